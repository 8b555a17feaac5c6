"""What every report shares: cells as a frame, names told apart, tables as Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

DIGITS = "%.10g"
"""Of computed numbers in CSV files: processors add up in other orders, and differ after these."""
PREAMBLE = "% needs \\usepackage{booktabs,adjustbox}"


def places(values: Sequence[str], missing: str) -> list[Literal["best", "second", ""]]:
    """What to mark in a row of numbers, equal digits alike; the last of several never is."""
    ranked = sorted({text for text in values if text != missing}, reverse=True)
    marks: list[Literal["best", "second", ""]] = ["best", "second"]
    place = dict(zip(ranked, marks[: max(0, len(ranked) - 1)], strict=False))
    return [place.get(text, "") for text in values]


def seeds_line(counts: Iterable[int]) -> str:
    """How many seeds stand behind each number of a table."""
    found = set(counts)
    if found == {1}:
        return "One seed: differences of the size of seed noise mean nothing."
    return f"Means over {' to '.join(map(str, sorted({min(found), max(found)})))} seeds."


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], n_text: int) -> list[str]:
    """Lines of a table whose first ``n_text`` columns are text, the others ready for Markdown."""
    lines = ["| " + " | ".join(map(plain, header)) + " |"]
    lines.append("|" + "---|" * n_text + "--:|" * (len(header) - n_text))
    return lines + [
        "| " + " | ".join([*map(plain, row[:n_text]), *row[n_text:]]) + " |" for row in rows
    ]


def plain(text: str) -> str:
    """Text for a Markdown table, in which no cell begins or ends."""
    return text.replace("|", "\\|")


def as_markdown(lines: Iterable[str]) -> str:
    """A Markdown file of these lines, in which HTML is text, but for the second best's ``<u>``."""
    return re.sub(r"<(?=[a-zA-Z/!?])(?!/?u>)", "&lt;", "\n".join(lines)) + "\n"


def latex_table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    n_text: int,
    notes: Iterable[str] = (),
) -> list[str]:
    """Lines of a table for a document that loads booktabs and adjustbox.

    Args:
        caption: plain text.
        header: plain text.
        rows: the first ``n_text`` columns plain text, not repeated while it stays the same; the
            others ready for LaTeX.
        n_text: how many columns are text; a rule stands where the first of them changes.
        notes: plain text, printed below the table.
    """
    lines = ["\\begin{table}", "\\centering", "\\small", f"\\caption{{{escape(caption)}}}"]
    lines.append("\\begin{adjustbox}{max width=\\linewidth}")
    lines.append(f"\\begin{{tabular}}{{{'l' * n_text}{'r' * (len(header) - n_text)}}}")
    lines += ["\\toprule", " & ".join(map(escape, header)) + " \\\\"]
    previous: list[str] = [""] * n_text
    for row in rows:
        if row[0] != previous[0]:
            lines.append("\\midrule")
        texts = list(row[:n_text])
        same = 0
        while same < n_text - 1 and texts[same] == previous[same]:
            same += 1
        shown = [""] * same + [escape(text) for text in texts[same:]]
        lines.append(" & ".join([*shown, *row[n_text:]]) + " \\\\")
        previous = texts
    lines += ["\\bottomrule", "\\end{tabular}", "\\end{adjustbox}"]
    lines += [f"\\par\\raggedright\\footnotesize {escape(note)}" for note in notes]
    return [*lines, "\\end{table}", ""]


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return text.translate(LATEX)


LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$"}
)

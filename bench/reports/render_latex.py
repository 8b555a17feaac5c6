"""A document's tables for LaTeX, which needs booktabs and adjustbox."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.reports.document import Document, Print, Table, Value

PREAMBLE = "% needs \\usepackage{booktabs,adjustbox}"
MISSING = "--"
MARKS = {"best": "\\textbf{{{}}}", "second": "\\underline{{{}}}"}
ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$"}
)


def latex(document: Document) -> str:
    """The tables that are printed, in a file to be read by ``\\input``; empty where none is."""
    lines = [
        line
        for part in document.parts
        if isinstance(part, Table) and part.printed is not None
        for line in _table(part, part.printed)
    ]
    return "\n".join([PREAMBLE, *lines]) if lines else ""


def _table(table: Table, printed: Print) -> Iterator[str]:
    """Lines of a table; a rule stands where the first column changes.

    Text is not repeated while it stays the same.
    """
    n_text = table.n_text
    aligned = "".join("l" if table.is_text(i) else "r" for i in range(len(table.header)))
    header = [*printed.header, *table.header[len(printed.header) :]]
    yield from ("\\begin{table}", "\\centering", "\\small")
    yield f"\\caption{{{_escaped(printed.caption)}}}"
    yield "\\begin{adjustbox}{max width=\\linewidth}"
    yield f"\\begin{{tabular}}{{{aligned}}}"
    yield from ("\\toprule", " & ".join(map(_escaped, header)) + " \\\\")
    previous: list[Value] = [""] * n_text
    for row in table.rows:
        if row[0] != previous[0]:
            yield "\\midrule"
        names = list(row[:n_text])
        same = 0
        while same < n_text - 1 and names[same] == previous[same]:
            same += 1
        yield " & ".join([""] * same + [_cell(value) for value in row[same:]]) + " \\\\"
        previous = names
    yield from ("\\bottomrule", "\\end{tabular}", "\\end{adjustbox}")
    for note in printed.notes:
        yield f"\\par\\raggedright\\footnotesize {_escaped(note)}"
    yield from ("\\end{table}", "")


def _cell(value: Value) -> str:
    if isinstance(value, str):
        return _escaped(value)
    text = MISSING if value.missing else _escaped(value.text)
    margin = "" if math.isnan(value.margin) else f" $\\pm$ {value.margin:.4f}"
    return MARKS.get(value.mark, "{}").format(text) + margin + ("$^\\dagger$" * value.worse)


def _escaped(text: str) -> str:
    return text.translate(ESCAPES)

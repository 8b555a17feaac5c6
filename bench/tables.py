"""What every report shares: cells as a frame, names told apart, tables as Markdown and LaTeX."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd

METRICS = {
    "recall@5": "RC@5",
    "recall@10": "RC@10",
    "recall@20": "RC@20",
    "ndcg@5": "NG@5",
    "ndcg@10": "NG@10",
    "ndcg@20": "NG@20",
}
"""Stored metric to its name in the paper's Table 3."""

HEADLINE = "ndcg@10"
BASELINE = "uniform"
DIGITS = "%.10g"
"""Of computed numbers in CSV files: processors add up in other orders, and differ after these."""
PREAMBLE = "% needs \\usepackage{booktabs,adjustbox}"


def as_text(value: Any) -> str:
    """The same text for equal JSON values."""
    return json.dumps(value, sort_keys=True)


def cells_of(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row a cell; namesakes run with several settings are told apart by what differs."""
    configs = [record["config"] for record in records]
    names = {
        "key": [record["key"] for record in records],
        "dataset": dataset_names(configs),
        "backbone": told_apart(
            [c["backbone"]["name"] for c in configs], [c["backbone"]["hyper"] for c in configs]
        ),
        "sampler": told_apart(
            [c["sampler"]["name"] for c in configs], [settings_of(c) for c in configs]
        ),
        "method": [c["sampler"]["name"] for c in configs],
        "objective": [c["objective"]["name"] for c in configs],
        "seed": [c["seed"] for c in configs],
        "models": [1 if c["peer"] is None else 2 for c in configs],
        "best_epoch": [record["best_epoch"] for record in records],
    }
    rows = [
        {"synthetic": record["data"]["synthetic"], "test_users": record["data"]["test_users"]}
        | record["metrics"]["test"]
        | {
            f"{part.removeprefix('test_')}_{name}": value
            for part, metrics in record["metrics"].items()
            if part != "test"
            for name, value in metrics.items()
        }
        | record["timings"]
        | {"cpu_s_to_best": _cpu_seconds_to_best(record)}
        for record in records
    ]
    # A metric or a timing that is called like one of the names gives way to it.
    frame = pd.DataFrame(rows).drop(columns=list(names), errors="ignore")
    frame = pd.concat([pd.DataFrame(names), frame], axis=1)
    order = {name: i for i, name in enumerate(sampler_order(frame))}
    return (
        frame.assign(_order=frame["sampler"].map(order))
        .sort_values(["dataset", "backbone", "_order", "seed"])
        .drop(columns="_order")
        .reset_index(drop=True)
    )


def _cpu_seconds_to_best(record: Mapping[str, Any]) -> float:
    """The cell's CPU seconds in proportion to its epochs; NaN unless it was trained on a CPU."""
    if record["environment"].get("device") != "cpu":
        return math.nan
    timings = record["timings"]
    share = record["best_epoch"] / (timings.get("epochs") or math.nan)
    return float(timings.get("cpu_s", math.nan) * share)


def sampler_order(cells: pd.DataFrame) -> list[str]:
    """The samplers as tables and plots show them: the baseline first, M=5 before M=10."""

    def key(name: str) -> tuple[bool, list[str | float]]:
        parts = re.split(r"([0-9]+(?:\.[0-9]+)?)", name)  # text and numbers in turn
        return name != BASELINE, [float(x) if i % 2 else x for i, x in enumerate(parts)]

    return sorted(set(cells["sampler"]), key=key)


def dataset_names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cells' datasets; several files or splits under one name are told apart."""
    return told_apart([c["dataset"] for c in configs], [content_of(c) for c in configs])


def content_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What data the cell was trained and tested on."""
    return {"content": config["fingerprint"][:8], "split": config["split_digest"][:8]}


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sampler's hyper-parameters, and those of its peer and its objective."""
    parts = [part for part in (config["peer"], config["objective"]) if part is not None]
    others = {f"{part['name']}.{k}": v for part in parts for k, v in part["hyper"].items()}
    return {**config["sampler"]["hyper"], **others}


def told_apart(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each name, with the settings that tell it from its namesakes: ``dns+ (M=2)``."""
    return [
        f"{name} ({shown})" if shown else name
        for name, shown in zip(names, what_differs(names, settings), strict=True)
    ]


def what_differs(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each name the settings that tell it from its namesakes, ``M=2``; empty if none do.

    ``gru4rec.layers=2`` tells nothing from a namesake that has no gru4rec: another option names it.
    """
    namesakes: dict[str, list[Mapping[str, Any]]] = {}
    for name, setting in zip(names, settings, strict=True):
        namesakes.setdefault(name, []).append(setting)
    differing = {
        name: [
            option
            for option in sorted({option for setting in given for option in setting})
            if len({as_text(s.get(option)) for s in given if _has_component(s, option)}) > 1
        ]
        for name, given in namesakes.items()
    }
    return [
        ", ".join(f"{option}={setting[option]}" for option in differing[name] if option in setting)
        for name, setting in zip(names, settings, strict=True)
    ]


def _has_component(setting: Mapping[str, Any], option: str) -> bool:
    component, dot, _ = option.rpartition(".")
    return not dot or any(name.startswith(f"{component}.") for name in setting)


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

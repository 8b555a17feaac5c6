"""Tables as lines of Markdown, and what tables of several reports say alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from bench.analysis.comparison import SYSTEM
from bench.reports.document import Mark, Number, Table, Value

MISSING = "–"
ONE_SEED = "One seed: differences of the size of seed noise mean nothing."
MARKS = {"best": "**{}**", "second": "<u>{}</u>"}


def markdown_table(
    header: Sequence[str],
    rows: Iterable[Sequence[Value]],
    n_text: int,
    last_is_text: bool = False,
) -> list[str]:
    """Lines of a table; the arguments are those of `document.Table`."""
    rules = ["---"] * n_text + ["--:"] * (len(header) - n_text)
    if last_is_text:
        rules[-1] = "---"
    lines = [f"| {' | '.join(map(_cell, header))} |", f"|{'|'.join(rules)}|"]
    return lines + [f"| {' | '.join(map(_cell, row))} |" for row in rows]


def turned(table: Table) -> Table:
    """A table with its rows across and its columns down; one that has no `Table.across` as it is.

    Numbers keep their marks, which are of what was a row and is a column.
    """
    if not table.across:
        return table
    names = [tuple(map(str, row[: table.n_text])) for row in table.rows]
    lines = [table.header, *table.rows]
    columns = zip(*(line[table.n_text :] for line in lines), strict=True)
    return replace(
        table,
        header=[table.across, *map(" ".join, names)],
        rows=[list(column) for column in columns],
        n_text=1,
        kept=(0,),
        across=table.header[0] if table.n_text == 1 else "",
        keys=names if table.n_text > 1 else (),
        printed=table.printed and replace(table.printed, header=(table.across.capitalize(),)),
    )


def plain(text: str) -> str:
    """Text for Markdown that opens no tag of HTML."""
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text)


def after(number: Number) -> str:
    """What stands behind a number: half the width of its interval, and whether it is worse."""
    margin = "" if math.isnan(number.margin) else f" ± {number.margin:.4f}"
    return margin + " †" * number.worse


def _cell(value: Value) -> str:
    """A table's cell, in which no other begins."""
    if isinstance(value, str):
        return plain(value).replace("|", "\\|")
    text = MISSING if value.missing else value.text
    return MARKS.get(value.mark, "{}").format(text) + after(value)


def places(texts: Sequence[str | None]) -> list[Mark]:
    """What to mark in a row of numbers, equal digits alike; the last of several never is.

    Args:
        texts: the numbers as written, with as many digits each; None where one is missing.
    """
    ranked = sorted({text for text in texts if text is not None}, reverse=True)
    marks: list[Mark] = ["best", "second"]
    place = dict(zip(ranked, marks[: max(0, len(ranked) - 1)], strict=False))
    return [place.get(text, "") if text is not None else "" for text in texts]


def placed(values: Iterable[float]) -> list[Number]:
    """The numbers of a row or a column, the best and the second marked."""
    numbers = [Number(value) for value in values]
    marks = places([None if number.missing else number.text for number in numbers])
    return [replace(number, mark=mark) for number, mark in zip(numbers, marks, strict=True)]


def seeds_line(counts: Iterable[int]) -> str:
    """How many seeds stand behind each number of a table."""
    found = set(counts)
    if found == {1}:
        return ONE_SEED
    return f"Means over {' to '.join(map(str, sorted({min(found), max(found)})))} seeds."


def of_systems(caption: str, means: pd.DataFrame, patterns: dict[str, str]) -> Table:
    """A row a system.

    Args:
        caption: of the table.
        means: by `SYSTEM`.
        patterns: header of each of its columns to the format of its numbers.
    """
    rows: list[list[Value]] = [
        [*map(str, key), *map(Number, values, patterns.values())]
        for key, values in zip(means.index, means.to_numpy().tolist(), strict=True)
    ]
    return Table(caption, [*SYSTEM, *patterns], rows, n_text=len(SYSTEM), kept=(2,))

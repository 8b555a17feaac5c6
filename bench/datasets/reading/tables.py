"""Tables of text: what separates their columns, whether they have a header, rows in blocks."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from bench.datasets.reading.columns import KNOWN, NAMES, is_time, plain
from bench.errors import UserError

Ints = npt.NDArray[np.int64]

SEPARATORS = ("::", "\t", "|", ";", ",", " ")
"""What may stand between columns; of those that would do the first.  A space is any white space."""

AT_ONCE = 2**9
"""Rows that are held one by one: so few that Python's collector of garbage finds none of them old,
which with thousands takes a third of the time."""

MAX_COLUMNS = 10_000

SAMPLE, SAMPLE_ROWS = 2**16, 100
"""Bytes, and rows, by which a file's form is told."""


@dataclass(frozen=True)
class Block:
    """Some rows of a table.

    Attributes:
        columns: those asked for, each ``[n]`` texts; what is missing is empty.
        lines: ``[n]`` where each row stands in the file, from 1.
    """

    columns: list[Sequence[str]]
    lines: Ints


class Table(Protocol):
    """A file of rows and columns.

    Attributes:
        names: of the columns; numbers from 0 where it has no header.
        unnamed: the first row of a table without header; else nothing.
        unit: what `Block.lines` counts.
    """

    names: list[str]

    @property
    def unnamed(self) -> Sequence[str]: ...

    @property
    def unit(self) -> str: ...

    def blocks(self, places: Sequence[int]) -> Iterator[Block]:
        """The rows, once.

        Args:
            places: numbers of the columns wanted.

        Raises:
            UserError: what is there is no table; names file and line.
        """
        ...


def rows_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """Fields of each row; with a tab, ``::`` and spaces quotation marks are text."""
    if separator == "::":
        return (line.rstrip("\r\n").split(separator) for line in lines)
    if separator == " ":
        return map(str.split, lines)
    if separator == "\t":
        return csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(lines, delimiter=separator, strict=True)


def sample_of(file: Any) -> list[str]:
    """The first lines of a buffered reader, of which nothing is read by that; one that is longer
    than the sample is cut."""
    sample = file.peek(SAMPLE)[:SAMPLE]
    # As the file is read afterwards: str.splitlines would also cut at U+2028, \x0b and the like.
    lines = list(io.StringIO(sample.decode("utf-8-sig", "replace"), newline=""))
    if len(sample) == SAMPLE and len(lines) > 1:
        lines.pop()  # cut off
    return lines[: SAMPLE_ROWS + 1]


def separator_of(lines: Sequence[str], given: Iterable[str] = ()) -> str:
    """What separates the columns: what finds users and items in a header, else what cuts all lines
    into equally many fields, else what cuts the first; a comma if nothing does.

    Args:
        lines: the first ones.
        given: names of columns that a header is known to have.
    """
    wanted = {plain(name) for name in given if not name.isdecimal()}

    def fits(separator: str) -> tuple[bool, bool, bool]:
        rows = _sampled(lines, separator)
        names = {plain(name) for name in rows[0]} if rows else set[str]()
        usual = bool(names & {*NAMES["user"]} and names & {*NAMES["item"]})
        several = bool(rows) and len(rows[0]) > 1
        return several and (usual or bool(wanted and wanted <= names)), several and all(
            len(row) == len(rows[0]) for row in rows
        ), several  # fmt: skip

    best = max(SEPARATORS, key=fits)
    return best if any(fits(best)) else ","


def has_header(lines: Sequence[str], separator: str, given: Mapping[str, str]) -> bool:
    """Whether the first line names columns: it has a usual name, or one that is ``given``, or a
    text above nothing but numbers.

    Where users and items are given by number a file needs no header, and an item may be called
    ``book``: there a usual name alone does not tell.

    Args:
        lines: the first ones.
        separator: of their columns.
        given: names or numbers of columns, by role.
    """
    rows = _sampled(lines, separator)
    first = rows[0] if rows else []
    if any(not name.isdecimal() for name in given.values()):
        return True
    if "user" in given and "item" in given:
        if _names_columns(first, given):
            return True
    elif KNOWN & {plain(name) for name in first}:
        return True
    below = [row for row in rows[1:] if len(row) == len(rows[0])]
    return bool(below) and any(
        not _is_number(name) and all(_is_number(row[place]) for row in below)
        for place, name in enumerate(rows[0])
    )


def _names_columns(row: Sequence[str], numbers: Mapping[str, str]) -> bool:
    """Whether a row has usual names of two roles, or one in the very column that is given for its
    role, and nothing that is a number or a time, as no column is called."""
    names = [plain(field) for field in row]
    if sum(not {*names}.isdisjoint(usual) for usual in NAMES.values()) > 1:
        return True
    placed = any(
        name in NAMES[role]
        for role, number in numbers.items()
        for name in names[int(number) : int(number) + 1]
    )
    return placed and not any(_is_number(field) or is_time(field) for field in row)


def _sampled(lines: Sequence[str], separator: str) -> list[list[str]]:
    rows = []
    try:
        for row in rows_of(lines, separator):
            if row and row != [""]:
                rows.append(row)
    except csv.Error:
        pass  # said when the table is read
    return rows


def _lines_of(row: list[str]) -> int:
    """Lines that a row takes in its file."""
    return 1 + sum(field.count("\n") for field in row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class TextTable:
    """A table of text; see `Table`.  Of a row that is too short what lacks is empty."""

    unit: ClassVar[str] = "line"

    def __init__(self, name: str, file: Any, separator: str, header: bool = True) -> None:
        """
        Args:
            name: what errors call it.
            file: a buffered reader of UTF-8.
            separator: one of `SEPARATORS`.
            header: whether it has one.

        Raises:
            UserError: it has more than ``MAX_COLUMNS`` columns, or is empty.
        """
        self._name = name
        self._reader: Any = rows_of(io.TextIOWrapper(file, "utf-8-sig", newline=""), separator)
        self._line, self._gap, self._pushed = 0, 0, list[list[str]]()
        first: list[str] = []
        while first in ([], [""]):
            rows, _ = self._next(1)
            if not rows:
                raise self._empty()
            first = rows[0]
        if len(first) > MAX_COLUMNS:
            raise UserError(
                f"{name}, line {self._line}: more than {MAX_COLUMNS} columns; keep the needed ones"
            )
        self.names = first if header else [str(place) for place in range(len(first))]
        self.unnamed: list[str] = [] if header else first
        if not header:
            self._pushed, self._line = [first], self._line - 1

    def blocks(self, places: Sequence[int]) -> Iterator[Block]:
        """See `Table`.

        Raises:
            UserError: no row, a row longer than the header, an empty line among the others, a
                quotation that does not end.
        """
        empty, width = True, {len(self.names)}
        while True:
            rows, lines = self._next(AT_ONCE)
            if not rows:
                break
            if self._gap or {*map(len, rows)} != width:
                rows, lines = self._evened(rows, lines)
            if rows:
                empty = False
                columns: list[Sequence[str]] = list(zip(*rows, strict=True))
                yield Block([columns[place] for place in places], lines)
        if empty:
            raise self._empty()

    def _next(self, count: int) -> tuple[list[list[str]], Ints]:
        """So many rows, and the line in which each ends."""
        before = self._line
        rows, self._pushed = self._pushed, []
        try:
            rows += itertools.islice(self._reader, count)
        except csv.Error as error:
            # Where the row begins: a quotation that is not closed takes the lines after it along.
            line, remedy = before + sum(map(_lines_of, rows)) + 1, ""
            if self._reader.line_num > line or "end of data" in str(error):
                remedy = (
                    "; a field begins with a quotation mark there, which is not ended as it should"
                )
            raise UserError(f"{self._name}, line {line}: {error}{remedy}") from error
        self._line = getattr(self._reader, "line_num", before + len(rows))
        if self._line - before == len(rows):
            return rows, np.arange(before + 1, self._line + 1)
        return rows, before + np.cumsum([*map(_lines_of, rows)], dtype=np.int64)

    def _evened(self, rows: list[list[str]], lines: Ints) -> tuple[list[list[str]], Ints]:
        """Rows of one length, without the empty ones after which there is nothing."""
        width, kept = len(self.names), list[int]()
        for place, row in enumerate(rows):
            if len(row) > width:
                than = "the first row" if self.unnamed else "the header"
                raise UserError(
                    f"{self._name}, line {lines[place]}: more fields than {than} has; put quotes "
                    "around a field that holds the separator"
                )
            if row in ([], [""]):
                self._gap = self._gap or int(lines[place])
                continue
            if self._gap:
                raise UserError(
                    f"{self._name}, line {self._gap}: no user, the line is empty; take it out"
                )
            kept.append(place)
            row += [""] * (width - len(row))
        return [rows[place] for place in kept], lines[kept]

    def _empty(self) -> UserError:
        return UserError(f"{self._name}: empty; expected rows of user, item, time")

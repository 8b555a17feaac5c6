"""How a table is laid out on a two-column page, in type that can be read: its size, and where it is
split.

Widths are estimated from those of Computer Modern at 7 points, which is wider than the fonts that
papers are set in, so that what fits by the estimate fits.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.reports.document import Number, Table, Value

COLUMN, PAGE = 3.33 * 72.27, 7.0 * 72.27
"""Widths of a column and of both, in TeX's points."""

HEIGHT = 8.75 * 72.27
"""Of a page, in points."""

CAPTION = 10.0
"""Points of type in a caption."""

SIZES = (9.0, 8.0, 7.0)
"""Of type, in points, the largest first; none is smaller than the last."""

LEADING = 1.2
GAP = 6.0
"""Points between two columns."""

NARROW = 12 * 0.57
"""Width that a name in a header or before a row has at least, in ems."""

LONGEST = 28 * 0.57
"""Width from which on a name before a row is broken, in ems."""

EMS = (
    ("!',.:;[]`il", 0.36),
    ("fjI()-rst ", 0.51),
    ("cez", 0.59),
    ('0123456789ago$*/^~\\<>?"', 0.58),
    ("bdhnpkquvxySJ{}_", 0.64),
    ("ABCDEFGHKLNOPQRTUVXYZw&+=@", 0.89),
)
WIDEST = 1.16
BOLD = 1.16
WIDTHS = {character: width for characters, width in EMS for character in characters}


@dataclass(frozen=True)
class Grid:
    """A table as its layout sees it: names before the rows, and columns of values.

    Attributes:
        stub: headers of the names.
        names: of each row.
        keys: of each column its header, from the whole to the part.
        values: ``[rows][columns]``.
    """

    stub: list[str]
    names: list[tuple[str, ...]]
    keys: list[tuple[str, ...]]
    values: list[list[Value]]

    @property
    def turned(self) -> Grid:
        """Columns down and rows across."""
        return Grid(
            stub=[""],
            names=[(" ".join(key),) for key in self.keys],
            keys=self.names,
            values=[list(column) for column in zip(*self.values, strict=True)],
        )

    def part(self, rows: Sequence[int], columns: Sequence[int]) -> Grid:
        """Some of its rows and columns."""
        return Grid(
            self.stub,
            [self.names[i] for i in rows],
            [self.keys[j] for j in columns],
            [[self.values[i][j] for j in columns] for i in rows],
        )


@dataclass(frozen=True)
class Layout:
    """A table that fits: its pieces, one below the other.

    Attributes:
        pieces: tabulars.
        wide: whether they take both columns of a page.
        size: of type, in points.
        room: points that a page has for pieces, with the caption above and the notes below.
    """

    pieces: list[Grid]
    wide: bool
    size: float
    room: float

    def floats(self) -> Iterator[list[Grid]]:
        """The pieces that a page has room for, in turn."""
        found: list[Grid] = []
        height = 0.0
        for piece in self.pieces:
            its = height_of(piece, self.size)
            if found and height + its > self.room:
                yield found
                found, height = [], 0.0
            found.append(piece)
            height += its
        yield found


def grid_of(table: Table) -> Grid:
    """A table's names, columns and values."""
    n_text = table.n_text
    printed = list(table.printed.header) if table.printed else []
    header = [*printed, *table.header[len(printed) :]]
    return Grid(
        header[:n_text],
        [tuple(map(str, row[:n_text])) for row in table.rows],
        list(table.keys) or [(name,) for name in header[n_text:]],
        [list(row[n_text:]) for row in table.rows],
    )


def layout(table: Table) -> Layout:
    """The table whole, if it fits into a column or a page; else with its rows across, split where
    the first of their names changes, and into less where that is not enough."""
    grid = grid_of(table)
    sizes = [(wide, size) for wide in (False, True) for size in SIZES]
    for wide, size in sizes:
        if _fits(grid, wide, size):
            room = _room(table, wide)
            return Layout(_by_height(grid, size, room), wide, size, room)
    if not table.keys:
        grid = replace(grid.turned, stub=[table.across.capitalize()])
    for wide, size in sizes:
        room = _room(table, wide)
        if pieces := _split(grid, wide, size, room, whole=True):
            return Layout(pieces, wide, size, room)
    room = _room(table, True)
    return Layout(_split(grid, True, SIZES[-1], room, whole=False), True, SIZES[-1], room)


def _room(table: Table, wide: bool) -> float:
    """See `Layout`."""
    if table.printed is None:
        return HEIGHT
    width, smallest = PAGE if wide else COLUMN, SIZES[-1]
    above = LEADING * CAPTION * _lines(table.printed.caption, width / CAPTION)
    below = [_lines(note, width / smallest) for note in table.printed.notes]
    return HEIGHT - above - LEADING * smallest * sum(below)


def _lines(text: str, ems: float) -> int:
    """Lines that a text takes, and a half-filled one."""
    return math.ceil(text_width(text) / ems) + 1


def width_of(grid: Grid, size: float) -> float:
    """Points that a grid is wide, by the estimate."""
    names = [
        max(text_width(line) for text in column for line in broken(text, LONGEST))
        for column in zip(*([grid.stub, *grid.names]), strict=True)
    ]
    gap = GAP / size
    columns = [column_width(grid, j) for j in range(len(grid.keys))]
    spread = 0.0  # what headers of several columns are wider than these
    for level in range(1, len(grid.keys[0]) if grid.keys else 0):
        of_level = 0.0
        for part in alike(grid.keys, range(len(columns)), level):
            room = sum(columns[j] for j in part) + gap * (len(part) - 1)
            lines = broken(grid.keys[part[0]][level - 1], max(room, NARROW))
            of_level += max(0.0, max(map(text_width, lines)) - room)
        spread = max(spread, of_level)
    every = [*names, *columns]
    return size * (sum(every) + spread + gap * (len(every) - 1))


def column_width(grid: Grid, column: int) -> float:
    """Ems that a column of values is wide."""
    values = values_width(grid, column)
    lines = broken(grid.keys[column][-1], max(values, NARROW))
    return max(values, *map(text_width, lines))


def values_width(grid: Grid, column: int) -> float:
    """Ems that the values of a column take."""
    return max((value_width(row[column]) for row in grid.values), default=0.0)


def height_of(grid: Grid, size: float) -> float:
    """Points that a grid is high, with some room below."""
    rows = sum(max(len(broken(name, LONGEST)) for name in names) for names in grid.names)
    heads = sum(
        max(len(broken(key[level], NARROW)) for key in grid.keys)
        for level in range(len(grid.keys[0]) if grid.keys else 0)
    )
    return LEADING * size * (rows + heads + 3)


def value_width(value: Value) -> float:
    """Ems of a value with what stands behind it."""
    if not isinstance(value, Number):
        return text_width(value)
    if value.missing:
        return 2 * WIDTHS["-"]
    width = text_width(value.text) * (BOLD if value.mark == "best" else 1.0)
    if not math.isnan(value.margin):
        width += 2 * WIDTHS[" "] + 0.95 + text_width(f"{value.margin:.4f}")
    return width + 0.45 * value.worse


def text_width(text: str) -> float:
    """Ems of a text on a line."""
    return sum(WIDTHS.get(character, WIDEST) for character in text)


def broken(text: str, room: float) -> list[str]:
    """A text in lines of about so many ems, broken at spaces and hyphens, else as it is."""
    if text_width(text) <= room:
        return [text]
    return textwrap.wrap(text, max(1, int(room / 0.57)), break_long_words=False) or [text]


def _fits(grid: Grid, wide: bool, size: float) -> bool:
    return width_of(grid, size) <= (PAGE if wide else COLUMN)


def _split(grid: Grid, wide: bool, size: float, room: float, *, whole: bool) -> list[Grid]:
    """Pieces that fit, one below the other.

    Args:
        grid: to split by its columns.
        wide: see `Layout`.
        size: see `Layout`.
        room: see `Layout`.
        whole: whether columns with the same first key stay together; there are no pieces where
            these do not fit.
    """
    rows = range(len(grid.names))

    def fits(columns: Sequence[int]) -> bool:
        return _fits(grid.part(rows, columns), wide, size)

    found = _parts(grid.keys, range(len(grid.keys)), 1, fits)
    if whole and not all(map(fits, found)):
        return []
    if whole and len({key[0] for key in grid.keys}) < len(found):
        return []
    pieces = [grid.part(_known(grid, columns), columns) for columns in found]
    return [part for piece in pieces for part in _by_height(piece, size, room)]


def _known(grid: Grid, columns: Sequence[int]) -> list[int]:
    """The rows that have a value in one of the columns; all, where there is none."""
    rows = range(len(grid.names))
    return [i for i in rows if any(map(_is_there, (grid.values[i][j] for j in columns)))] or [*rows]


def _is_there(value: Value) -> bool:
    return not value.missing if isinstance(value, Number) else value != ""


def _by_height(grid: Grid, size: float, room: float) -> list[Grid]:
    """A grid, or where no page is that high, parts of it by the first of the rows' names."""
    columns = range(len(grid.keys))

    def fits(rows: Sequence[int]) -> bool:
        return height_of(grid.part(rows, columns), size) <= room

    parts = _parts(grid.names, range(len(grid.names)), 1, fits)
    return [grid.part(rows, columns) for rows in parts]


def alike(keys: Sequence[tuple[str, ...]], places: Sequence[int], level: int) -> list[list[int]]:
    """Neighbours of which the first ``level`` keys are the same."""
    return [list(group) for _, group in itertools.groupby(places, lambda i: keys[i][:level])]


def _parts(
    keys: Sequence[tuple[str, ...]],
    places: Sequence[int],
    level: int,
    fits: Callable[[Sequence[int]], bool],
) -> list[list[int]]:
    """Places in as few parts of about the same size as fit, those with the same first ``level``
    keys together if they can be."""
    units = alike(keys, places, level)
    for count in range(1, len(units) + 1):
        edges = [round(n * len(units) / count) for n in range(count + 1)]
        ends = itertools.pairwise(edges)
        parts = [list(itertools.chain(*units[start:end])) for start, end in ends]
        if all(map(fits, parts)):
            return parts
    if all(len(keys[i]) <= level for i in places):
        return units
    return [part for unit in units for part in _parts(keys, unit, level + 1, fits)]

"""A table's rows as interactions: chosen, numbered, in order of time, and made a dataset."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.datasets.base import Dataset
from bench.datasets.log_options import USUAL, Condition, Reading
from bench.datasets.reading import files
from bench.datasets.reading.columns import MISSING, Columns, columns_of, shown
from bench.datasets.reading.kcore import core_of
from bench.datasets.reading.tables import Table
from bench.datasets.reading.times import TimesReader
from bench.errors import UserError

Ints = npt.NDArray[np.int64]

DOUBLE_BITS = 53
"""Of a double: whole numbers of more are not all told apart by one."""

NO_TIMES = (
    "WARNING: no column of times is known (time, timestamp, date, ...; or give --columns "
    "time=NAME): the order of the rows is taken for that of time"
)


@dataclass(frozen=True)
class Events:
    """Interactions in the order of a file.

    Attributes:
        users: ``[n]`` numbers of users, from 0.
        items: ``[n]`` numbers of items, from 0.
        user_labels: the users as the file has them, by number.
        item_labels: the items, likewise.
        order: ``[n]`` what to sort a user's interactions by; None where file order counts.
        seconds: ``[n]`` unix seconds, or None.
    """

    users: npt.NDArray[np.integer]
    items: npt.NDArray[np.integer]
    user_labels: Sequence[str]
    item_labels: Sequence[str]
    order: npt.NDArray[Any] | None = None
    seconds: Ints | None = None


class _Numbers:
    """Texts to numbers, in order of first appearance."""

    def __init__(self) -> None:
        self._known: defaultdict[str, int] = defaultdict(itertools.count().__next__)
        self._parts: list[npt.NDArray[np.int32]] = []

    def add(self, texts: Sequence[str]) -> None:
        found = map(self._known.__getitem__, texts)
        self._parts.append(np.fromiter(found, np.int32, len(texts)))

    def finish(self) -> tuple[npt.NDArray[np.int32], list[str]]:
        return np.concatenate([np.zeros(0, np.int32), *self._parts]), list(self._known)


def events_of(path: Path, table: Table, reading: Reading) -> tuple[Events, list[str]]:
    """The rows of a table that meet the conditions, and what has to be said of how it was read.

    Raises:
        UserError: columns that are not there, a row without user or item, a time that is none.
    """
    columns = columns_of(path, table.names, reading.named, table.unnamed)
    users, items = _Numbers(), _Numbers()
    tests = [_Test(path, table, columns, condition) for condition in reading.conditions]
    timed = "time" in columns.places
    times = TimesReader(path, table.unit, columns.names[columns.places["time"]] if timed else "")
    places = [*columns.places.values(), *(test.place for test in tests)]
    n_rows, lines = 0, list[npt.NDArray[np.int32]]()
    for block in table.blocks(places):
        n_rows += len(block.lines)
        wanted, where = block.columns[: len(columns.places)], block.lines
        kept = np.ones(len(where), dtype=bool)
        for test, values in zip(tests, block.columns[len(columns.places) :], strict=True):
            kept &= test.met(values, where, kept)
        if not kept.all():
            wanted = [list(itertools.compress(values, kept)) for values in wanted]
            where = where[kept]
        users.add(wanted[0])
        items.add(wanted[1])
        if timed:
            times.add(wanted[2], where)
        lines.append(where.astype(np.int32))
    all_lines = np.concatenate([np.zeros(0, np.int32), *lines])
    (user_codes, user_labels), (item_codes, item_labels) = users.finish(), items.finish()
    for role, codes, labels in (
        ("user", user_codes, user_labels),
        ("item", item_codes, item_labels),
    ):
        _refuse_missing(path, table, columns, role, codes, labels, all_lines)
    notes = [f"{n_rows:,} rows read, {columns.described()}", *_unread(columns, tests, reading)]
    notes += [f"{test.dropped:,} rows left out by --where {test.text}" for test in tests]
    if not len(user_codes):
        raise UserError(f"{path}: no row is left; {'; '.join(notes[1:])}")
    found = times.finish(all_lines) if timed else None
    notes += [NO_TIMES] if found is None else found.notes
    order, seconds = (None, None) if found is None else (found.order, found.seconds)
    return Events(user_codes, item_codes, user_labels, item_labels, order, seconds), notes


def _unread(columns: Columns, tests: Sequence[_Test], reading: Reading) -> list[str]:
    used = {*columns.places.values(), *(test.place for test in tests)}
    others = [name for place, name in enumerate(columns.names) if place not in used]
    if not others:
        return []
    every = "" if reading.where else "; every row counts as an interaction"
    return [f"columns not read: {shown(others)}{every}"]


def _refuse_missing(
    path: Path, table: Table, columns: Columns, role: str, codes: npt.NDArray[np.int32],
    labels: list[str],
    lines: npt.NDArray[np.int32],
) -> None:  # fmt: skip
    nothing = [code for code, label in enumerate(labels) if label.strip().casefold() in MISSING]
    if nothing:
        at = int(np.flatnonzero(np.isin(codes, nothing))[0])
        found = labels[codes[at]].strip()
        raise UserError(
            f"{path}, {table.unit} {lines[at]}: no {role}{f' ({found})' if found else ''}; leave "
            f"such rows out with --where '{columns.names[columns.places[role]]}!='"
        )


class _Test:
    """A condition, and how many rows did not meet it that met those before."""

    def __init__(self, path: Path, table: Table, columns: Columns, condition: Condition) -> None:
        self.text, self.dropped = condition.text, 0
        self.place = columns.place(condition.column, f"{path}: --where {condition.text}")
        self._condition, self._at = condition, f"{path}, {table.unit}"

    def met(
        self, values: Sequence[str], lines: Ints, before: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """``[n]`` whether each value meets it.

        Raises:
            UserError: a text is to be compared as a number.
        """
        column = pd.Series(values, dtype=object).astype(str).str.strip()
        found = self._compared(column, lines)
        self.dropped += int((before & ~found).sum())
        return found

    def _compared(self, column: pd.Series, lines: Ints) -> npt.NDArray[np.bool_]:
        operator, number = self._condition.operator, self._condition.number
        if number is None:
            value = self._condition.value
            same = column == value if value else column.str.casefold().isin(MISSING)
            return np.asarray(same if operator == "=" else ~same, dtype=bool)
        numbers = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
        if operator in ("=", "!="):
            equal = _equal(column, numbers, self._condition.value)
            return equal if operator == "=" else ~equal
        texts = np.isnan(numbers) & ~column.str.casefold().isin(MISSING).to_numpy()
        if texts.any():
            at = int(np.argmax(texts))
            raise UserError(
                f"{self._at} {lines[at]}: --where {self.text}: {column.iloc[at][:40]!r} is no "
                "number"
            )
        compare = {">=": np.greater_equal, "<=": np.less_equal, ">": np.greater, "<": np.less}
        return np.asarray(compare[operator](numbers, number), dtype=bool)


def _equal(
    column: pd.Series, numbers: npt.NDArray[np.float64], value: str
) -> npt.NDArray[np.bool_]:
    """``[n]`` whether each text, and number of it, is the number that ``value`` is."""
    number = float(value)
    if abs(number) < 2**DOUBLE_BITS:
        return numbers == number
    # Beyond, several whole numbers, such as ids, are one double: the texts are compared, of those
    # that are near, for pandas does not round all of them to the nearest.
    equal = np.isclose(numbers, number, rtol=2.0 ** (3 - DOUBLE_BITS), atol=0)
    wanted = _exact(value)
    equal[equal] = [_exact(text) == wanted for text in column[equal]]
    return equal


def _exact(text: str) -> Decimal | str:
    """The number that a text is; the text, where it is none that can be held."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def dataset_of(
    name: str, events: Events, reading: Reading = USUAL, notes: Sequence[str] = ()
) -> Dataset:
    """A dataset: users in order of first appearance, items as they first come in it.

    Args:
        name: what tables call it.
        events: in file order, which ties keep.
        reading: which of them are dropped.
        notes: what has to be said of how they were read.

    Raises:
        UserError: nothing is left, or ids are too long.
    """
    ties = np.zeros(len(events.users)) if events.order is None else events.order
    kept = np.lexsort((ties, events.users))
    kept, said = _filtered(name, events, kept, reading)
    # Users by first appearance of what is left, each oldest first.
    users_left = pd.unique(events.users[np.sort(kept)])
    rank = np.zeros(len(events.user_labels), dtype=np.int64)
    rank[users_left] = np.arange(len(users_left))
    users = rank[events.users[kept]]
    kept = kept[np.argsort(users, kind="stable")]
    item_codes, items_left = pd.factorize(events.items[kept])
    counts = np.bincount(users, minlength=len(users_left))
    return Dataset(
        name=name,
        items=(item_codes + 1).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        n_items=len(items_left),
        times=None if events.seconds is None else events.seconds[kept],
        user_labels=labels_of(
            name, "user", [events.user_labels[code] for code in users_left.tolist()]
        ),
        item_labels=labels_of(
            name, "item", [events.item_labels[code] for code in items_left.tolist()]
        ),
        notes=(*notes, *said),
    )


def _filtered(name: str, events: Events, kept: Ints, reading: Reading) -> tuple[Ints, list[str]]:
    """Rows without repeats and without rare users and items, and how many of them went."""
    codes, repeats, rare = (events.users, events.items), 0, 0
    before = [len(np.unique(code[kept])) for code in codes]
    while True:
        some = _without_repeats(events, kept, reading.repeats)
        core = core_of(codes, some, reading.min_count)
        repeats += len(kept) - len(some)
        rare += len(some) - len(core)
        if len(core) == len(kept):
            break
        kept = core
    said = [f"{repeats:,} rows left out by --repeats {reading.repeats}"] if repeats else []
    if rare:
        gone = [n - len(np.unique(code[kept])) for n, code in zip(before, codes, strict=True)]
        said.append(
            f"{rare:,} rows, {gone[0]:,} users and {gone[1]:,} items left out by --min-count "
            f"{reading.min_count}"
        )
    if not len(kept):
        raise UserError(f"{name}: no interaction is left; {'; '.join(said)}")
    return kept, said


def _without_repeats(events: Events, kept: Ints, repeats: str) -> Ints:
    """Of rows by user and time those that stay; see `bench.datasets.log_options.REPEATS`."""
    users, items = events.users[kept], events.items[kept]
    if repeats == "drop-consecutive":
        stays = np.ones(len(kept), dtype=bool)
        stays[1:] = (users[1:] != users[:-1]) | (items[1:] != items[:-1])
        return kept[stays]
    if repeats == "first":
        pairs = users.astype(np.int64) * len(events.item_labels) + items
        return kept[~pd.Series(pairs).duplicated().to_numpy()]
    return kept


def labels_of(name: str, role: str, labels: list[str]) -> npt.NDArray[np.str_]:
    """The ids as an array, in which each takes as much room as the longest.

    Raises:
        UserError: that would be too much.
    """
    longest = max(map(len, labels), default=0)
    if 4 * longest * len(labels) > files.MAX_BYTES:
        raise UserError(
            f"{name}: {len(labels)} {role} ids, one of them of {longest} characters; number the "
            f"{role}s"
        )
    return np.array(labels, dtype=str)

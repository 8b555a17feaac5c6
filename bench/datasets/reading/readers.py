"""Reading logs: S3-Rec text, tables of text, JSON lines and Parquet, told by what they hold.

Whatever is wrong with a file is one `UserError` that names the file, the line and the remedy.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench import json_shape
from bench.datasets.base import Dataset, Exposures
from bench.datasets.log_options import USUAL, Reading
from bench.datasets.reading import files
from bench.datasets.reading.columns import NAMES, plain
from bench.datasets.reading.events import Events, dataset_of, events_of, labels_of
from bench.datasets.reading.tables import (
    SEPARATORS,
    Table,
    TextTable,
    has_header,
    sample_of,
    separator_of,
)
from bench.datasets.reading.times import SECONDS_FROM
from bench.datasets.reading.typed import JsonTable, ParquetTable
from bench.errors import UserError

Ints = npt.NDArray[np.int64]

SUFFIXES = (".txt", ".inter", ".tsv", ".csv", ".dat", ".data", ".json", ".jsonl", ".ndjson",
            ".parquet", ".pq")  # fmt: skip
"""Usual ends of a log's name; another one is read by what it holds, too."""

PACKED = (".gz", ".bz2", ".xz", ".zip")
"""Usual ends of a compressed one's, after another or alone."""

AT_ONCE = 2**14
"""Numbers of S3-Rec text that are held one by one."""

SPARSEST = 100
"""Item ids of S3-Rec text are rows of the item table as they stand: an id more than so many times
the number of interactions (and above a million) is taken for a mistake."""


def stem(path: Path) -> str:
    """The file's name without what says its format."""
    name = path.name
    for suffixes in (PACKED, SUFFIXES):
        ends = next((suffix for suffix in suffixes if name.endswith(suffix)), "")
        name = name.removesuffix(ends) or name
    return name


def is_log(path: Path) -> bool:
    """Whether the name ends as that of a log does, or is that of a file."""
    return path.name.endswith((*SUFFIXES, *PACKED)) or path.is_file()


def read_log(path: Path, times_path: Path | None = None, reading: Reading = USUAL) -> Dataset:
    """Read a log of any format.

    Args:
        path: the file.
        times_path: for S3-Rec text, a companion ``user t1 t2 ...`` of unix seconds.
        reading: which columns and rows count.

    Raises:
        UserError: missing or malformed file.
    """
    if path.is_dir():
        raise UserError(f"{path}: a directory; give the path of the log in it")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    name = stem(path)
    if not json_shape.name(name):
        raise UserError(f"{str(path)!r}: not a name that tables can show; rename the file")
    if files.start(path).startswith(files.PARQUET) or path.suffix in (".parquet", ".pq"):
        made = _of_table(path, ParquetTable(path), reading)
    else:
        made = _read_text(path, times_path, reading)
    notes = [*made.notes, _summary(made)]
    # Notes are kept with results, where control characters, of a column's name for one, break.
    printable = ("".join(c if c.isprintable() else "?" for c in note) for note in notes)
    return replace(made, notes=tuple(printable), reading=reading, file=path.name)


def from_events(
    name: str, users: Iterable[str], items: Iterable[str], times: npt.NDArray[Any] | None
) -> Dataset:
    """A dataset from events in file order; ids are given in order of first appearance.

    Args:
        name: what tables call it.
        users: ``[n]`` the source's user ids.
        items: ``[n]`` the source's item ids.
        times: ``[n]`` unix seconds, or None: then file order is taken for time order.  Fractions
            count for the order and are dropped after it; ties keep file order.
    """
    codes = [pd.factorize(pd.Series(ids, dtype="string")) for ids in (users, items)]
    (user_codes, user_labels), (item_codes, item_labels) = codes
    seconds = None if times is None else times.astype(np.int64)
    return dataset_of(
        name, Events(user_codes, item_codes, list(user_labels), list(item_labels), times, seconds)
    )


def _read_text(path: Path, times_path: Path | None, reading: Reading) -> Dataset:
    """S3-Rec text, JSON lines or a table, which the first lines tell."""
    with files.open_text(path) as file:
        lines = sample_of(file)
        if lines and lines[0].lstrip()[:1] in ("{", "["):
            return _of_table(path, JsonTable(str(path), file), reading)
        if not _is_sequences(path, lines, reading):
            given = [*reading.named.values(), *(each.column for each in reading.conditions)]
            separator = separator_of(lines, given)
            header = has_header(lines, separator, reading.named)
            return _of_table(path, TextTable(str(path), file, separator, header), reading)
    return _of_sequences(path, times_path, reading)


def _is_sequences(path: Path, lines: list[str], reading: Reading) -> bool:
    """Whether it is S3-Rec text: a ``.txt`` with nothing but white space between what it holds,
    and no header."""
    named = path.name.endswith((".txt", *(f".txt{suffix}" for suffix in PACKED)))
    if not named or reading.columns or reading.where:
        return False
    first = lines[0] if lines else ""
    names = {plain(word) for word in first.split()}
    header = bool(names & {*NAMES["user"]} and names & {*NAMES["item"]})
    return not header and not any(mark in first for mark in SEPARATORS if not mark.isspace())


def _of_table(path: Path, table: Table, reading: Reading) -> Dataset:
    events, notes = events_of(path, table, reading)
    return dataset_of(stem(path), events, reading, notes)


def _of_sequences(path: Path, times_path: Path | None, reading: Reading) -> Dataset:
    made = _read_sequences(path, times_path)
    if reading == USUAL:
        return made
    users = np.repeat(np.arange(made.n_users), made.lengths)
    assert made.user_labels is not None
    item_labels = [str(item) for item in range(1, made.n_items + 1)]
    order = np.arange(made.n_interactions)
    return dataset_of(
        made.name,
        Events(users, made.items - 1, made.user_labels.tolist(), item_labels, order, made.times),
        reading,
    )


def _summary(dataset: Dataset) -> str:
    """How much is left, of which time, how much of it has no order but the file's, and how much of
    it is of items that users have had."""
    users = np.repeat(np.arange(dataset.n_users), dataset.lengths)
    pairs = pd.Series(users * (dataset.n_items + 1) + dataset.items)
    again = float(pairs.duplicated().mean())
    span = together = copies = ""
    if dataset.times is not None:
        low, high = int(dataset.times.min()), int(dataset.times.max())
        dated = high >= SECONDS_FROM
        ends = [str(np.datetime64(t, "s"))[:10] if dated else str(t) for t in (low, high)]
        span = f", from {ends[0]} to {ends[1]}" if dated else f", times {ends[0]} to {ends[1]}"
        same = (np.diff(users) == 0) & (np.diff(dataset.times) == 0)
        if same.any():
            share = 100 * same.sum() / len(users)
            together = (
                f"; {share:.3g} % of them in the same second as the user's one before, and where "
                "the times are equal they stand as in the file"
            )
        rows = pd.DataFrame({"pair": pairs, "time": dataset.times})
        if many := int(rows.duplicated().sum()):
            copies = f"; {many:,} with the user, item and time of another"
    return (
        f"{dataset.n_interactions:,} interactions of {dataset.n_users:,} users with "
        f"{dataset.n_items:,} items{span}{together}{copies}; {100 * again:.3g} % of them with an "
        "item that the user has had before"
    )


def read_exposures(path: Path, dataset: Dataset) -> Exposures:
    """Read what users were shown: lines ``user +i -j ...`` in time order.

    ``+`` is an interaction, one for one those of the dataset; ``-`` an item shown and not taken.

    Raises:
        UserError: missing or malformed file, or one that is not of this dataset.
    """
    labels, offsets, numbers = _read_lines(path, "signed item")
    known = [] if dataset.user_labels is None else dataset.user_labels.tolist()
    if labels != known:
        raise UserError(f"{path}: its users are not those of dataset {dataset.name!r}")
    n_items = dataset.n_items
    wrong = np.flatnonzero((numbers == 0) | (numbers > n_items) | (numbers < -n_items))
    if len(wrong):
        line = int(np.searchsorted(offsets, wrong[0], "right"))
        raise UserError(
            f"{path}, line {line}: {numbers[wrong[0]]} is not a signed item id of dataset "
            f"{dataset.name!r}"
        )
    taken = numbers > 0
    user = np.repeat(np.arange(len(labels)), np.diff(offsets))
    lengths = np.bincount(user[taken], minlength=len(labels))
    if not (
        np.array_equal(numbers[taken], dataset.items) and np.array_equal(lengths, dataset.lengths)
    ):
        raise UserError(f"{path}: its +items are not the interactions of {dataset.name!r}")
    before: Ints = np.cumsum(taken) - taken  # interactions so far, of this user and those above
    shown = np.flatnonzero(~taken)
    return Exposures(
        items=(-numbers[shown]).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(user[shown], minlength=len(labels)))]),
        positions=(before[shown] - dataset.offsets[user[shown]]).astype(np.int32),
    )


def _read_sequences(path: Path, times_path: Path | None) -> Dataset:
    labels, offsets, items = _read_lines(path, "item")
    if not len(items):
        raise UserError(f"{path}: empty; expected lines 'user item item ...'")
    bad = np.flatnonzero((items < 1) | (items > np.iinfo(np.int32).max))
    if len(bad):
        line = int(np.searchsorted(offsets, bad[0], "right"))
        raise UserError(
            f"{path}, line {line}: item id {items[bad[0]]} is not a positive integer below 2^31"
        )
    n_items = int(items.max())
    if n_items > max(10**6, SPARSEST * len(items)):
        raise UserError(
            f"{path}: item id {n_items} with only {len(items)} interactions; ids must be "
            "numbered from 1 without large gaps"
        )
    times = None
    if times_path is not None:
        time_labels, time_offsets, times = _read_lines(times_path, "time")
        if time_labels != labels or not np.array_equal(time_offsets, offsets):
            raise UserError(f"{times_path}: its users or their lengths are not those of {path}")
        falls = np.flatnonzero(times[1:] < times[:-1]) + 1  # a difference might overflow
        falls = falls[~np.isin(falls, offsets)]
        if len(falls):
            line = int(np.searchsorted(offsets, falls[0], "right"))
            raise UserError(f"{times_path}, line {line}: times run backwards")
    return Dataset(
        name=stem(path),
        items=items.astype(np.int32),
        offsets=offsets,
        n_items=n_items,
        times=times,
        user_labels=labels_of(str(path), "user", labels),
    )


def _read_lines(path: Path, what: str) -> tuple[list[str], Ints, Ints]:
    """User labels, offsets and numbers of a file of lines ``user number number ...``."""
    labels, counts, seen = list[str](), list[int](), dict[str, int]()
    numbers: list[Ints] = []
    words: list[str] = []  # not yet made numbers
    converted = 0  # lines whose numbers are

    def convert() -> None:
        nonlocal converted
        numbers.append(_numbers(path, words, counts[converted:], converted + 1, what))
        converted = len(counts)
        words.clear()

    with files.open_text(path) as file:
        for number, line in files.up_to_the_last(io.TextIOWrapper(file, "utf-8-sig")):
            user, *rest = line.split() or [""]
            if not rest:
                raise UserError(
                    f"{path}, line {number}: expected 'user {what} {what} ...', found {line[:40]!r}"
                )
            if user in seen:
                raise UserError(
                    f"{path}, line {number}: user {user[:40]!r} has a line already "
                    f"(line {seen[user]}); a user has one line: pairs of user and item go into "
                    "a .csv with the header user,item, or are read by --columns user=0,item=1"
                )
            seen[user] = number
            labels.append(user)
            counts.append(len(rest))
            words += rest
            if len(words) > AT_ONCE:
                convert()
    convert()
    return labels, np.cumsum([0, *counts], dtype=np.int64), np.concatenate(numbers)


def _numbers(path: Path, words: list[str], counts: list[int], first: int, what: str) -> Ints:
    """Words as numbers; ``counts`` of them in each line from line ``first``."""
    text = " ".join(words)
    try:
        if text.isascii() and "_" not in text:  # Python takes "1_0" and other scripts' digits
            return np.array(words, dtype=np.int64)
    except (ValueError, OverflowError):
        pass
    ends = itertools.accumulate(counts)
    bad = next(i for i, word in enumerate(words) if not _is_integer(word))
    line = first + next(line for line, end in enumerate(ends) if end > bad)
    kind = "item id" if what == "item" else what
    raise UserError(f"{path}, line {line}: {kind} {words[bad][:40]!r} is not a positive integer")


def _is_integer(word: str) -> bool:
    return bool(re.fullmatch("[+-]?[0-9]{1,19}", word)) and -(2**63) <= int(word) < 2**63

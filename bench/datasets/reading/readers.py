"""Reading logs: S3-Rec text, RecBole ``.inter``, CSV and Parquet.

Whatever is wrong with a file is one `UserError` that names the file, the line and the remedy.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench import json_shape
from bench.datasets.base import Dataset, Exposures
from bench.datasets.reading import files
from bench.datasets.reading.columns import MISSING, Columns, columns_of, separator_of, times_of
from bench.errors import UserError

Ints = npt.NDArray[np.int64]

TABLES = {".inter": "\t", ".tsv": "\t", ".csv": ","}
"""Suffix of a text table to what usually separates its columns."""

TEXTS = (".txt", *TABLES)
SUFFIXES = (*TEXTS, *(f"{suffix}.gz" for suffix in TEXTS), ".parquet")

AT_ONCE = 2**14
"""Numbers of a text, or rows of a table, that are held one by one."""

MAX_COLUMNS = 10_000

HEADER = 2**16
"""Bytes in which a header is looked for what separates its columns."""

PARQUET_ROWS = 2**10
"""Rows of Parquet that are unpacked at a time: few, for a small file may repeat a long text."""

SPARSEST = 100
"""Item ids of S3-Rec text are rows of the item table as they stand: an id more than so many times
the number of interactions (and above a million) is taken for a mistake."""


def stem(path: Path) -> str:
    """The file's name without its format's suffix."""
    return next((path.name[: -len(s)] for s in SUFFIXES if path.name.endswith(s)), path.stem)


def is_log(path: Path) -> bool:
    """Whether the name has a suffix that :func:`read_log` knows."""
    return path.name.endswith(SUFFIXES)


def read_log(path: Path, times_path: Path | None = None) -> Dataset:
    """Read a log of any format, told by its suffix.

    Args:
        path: the file.
        times_path: for S3-Rec text, a companion ``user t1 t2 ...`` of unix seconds.

    Raises:
        UserError: unknown suffix, missing or malformed file.
    """
    if not is_log(path):
        raise UserError(
            f"{path}: unknown format; known are {', '.join(SUFFIXES)}; write a table with a header "
            "such as user,item,timestamp as .csv"
        )
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if not json_shape.name(stem(path)):
        raise UserError(f"{str(path)!r}: not a name that tables can show; rename the file")
    if path.name.endswith((".txt", ".txt.gz")):
        return _read_text(path, times_path)
    read = _read_parquet if path.suffix == ".parquet" else _read_csv
    return _from_table(path, *read(path))


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
    user_codes, labels = pd.factorize(pd.Series(users, dtype="string"))
    ties = np.zeros(len(user_codes)) if times is None else times
    order = np.lexsort((ties, user_codes))
    item_codes, item_labels = pd.factorize(pd.Series(items, dtype="string").iloc[order])
    counts = np.bincount(user_codes, minlength=len(labels))
    return Dataset(
        name=name,
        items=(item_codes + 1).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        n_items=len(item_labels),
        times=None if times is None else times[order].astype(np.int64),
        user_labels=_labels(name, labels.tolist()),
        item_labels=_labels(name, item_labels.tolist(), "item"),
    )


def _labels(name: str, labels: list[str], of: str = "user") -> npt.NDArray[np.str_]:
    """The ids as an array, in which each takes as much room as the longest."""
    longest = max(map(len, labels), default=0)
    if 4 * longest * len(labels) > files.MAX_BYTES:
        raise UserError(
            f"{name}: {len(labels)} {of} ids, one of them of {longest} characters; number the {of}s"
        )
    return np.array(labels, dtype=str)


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


def _read_text(path: Path, times_path: Path | None) -> Dataset:
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
        user_labels=_labels(str(path), labels),
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
                    "a .csv with the header user,item"
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


def _read_csv(path: Path) -> tuple[pd.DataFrame, Columns]:
    """User, item and, if there are any, timestamps of a text table, as text."""
    usual = next(separator for suffix, separator in TABLES.items() if suffix in path.suffixes)
    chosen: list[Columns] = []

    def choose(names: Sequence[str]) -> dict[str, str]:
        chosen.append(columns_of(path, names))
        return chosen[0].found

    with files.open_text(path) as file:
        header = file.peek(HEADER)[:HEADER].decode("utf-8-sig", "replace").splitlines()
        table = read_table(
            str(path), file, separator_of(header[0] if header else "", usual), choose
        )
    return table, chosen[0]


def read_table(
    name: str, file: Any, separator: str, choose: Callable[[Sequence[str]], dict[str, str]]
) -> pd.DataFrame:
    """Some columns of a table as text; of a row that is too short what lacks is empty.

    Args:
        name: what errors call it.
        file: a buffered reader of UTF-8.
        separator: a comma, or a tab, with which quotation marks are text.
        choose: called with the header; gives the result's columns and what the header calls each.

    Raises:
        UserError: no row, more than ``MAX_COLUMNS`` columns, a row longer than the header, an
            empty line among the others, a quotation that does not end.
    """
    rows = csv.reader(
        io.TextIOWrapper(file, "utf-8-sig", newline=""),
        delimiter=separator,
        quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
        strict=True,
    )
    parts, part = [], list[list[str]]()
    empty = 0  # the first of a run of empty lines
    try:
        header = next(rows, [])
        if len(header) > MAX_COLUMNS:
            raise UserError(
                f"{name}, line 1: more than {MAX_COLUMNS} columns; keep the needed ones"
            )
        chosen = choose(header) if header else {}
        places = [header.index(column) for column in chosen.values()]
        for row in rows:
            if len(row) > len(header):
                raise UserError(f"{name}, line {rows.line_num}: more fields than the header has")
            if not row:
                empty = empty or rows.line_num
                continue
            if empty:
                raise UserError(f"{name}, line {empty}: no {next(iter(chosen))}, the line is empty")
            part.append([row[place] if place < len(row) else "" for place in places])
            if len(part) == AT_ONCE:
                parts.append(pd.DataFrame(part, columns=list(chosen), dtype="str"))
                part.clear()
    except csv.Error as error:
        raise UserError(f"{name}, line {rows.line_num}: {error}") from error
    parts.append(pd.DataFrame(part, columns=list(chosen), dtype="str"))
    if not sum(map(len, parts)):
        raise UserError(f"{name}: empty; expected a header and rows below it")
    return pd.concat(parts, ignore_index=True)


def _read_parquet(path: Path) -> tuple[pd.DataFrame, Columns]:
    """User, item and, if there are any, timestamps, typed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UserError(
            f"{path}: reading Parquet needs pyarrow; pip install 'negative-sampling-bench[parquet]'"
        ) from error
    batches, size = [], 0
    try:
        with pq.ParquetFile(path) as file:
            columns = columns_of(path, file.schema_arrow.names)
            found = columns.found
            for role, name in found.items():
                if pa.types.is_nested(file.schema_arrow.field(name).type):
                    raise UserError(f"{path}: column {role!r} holds more than one value a row")
            for batch in file.iter_batches(PARQUET_ROWS, columns=list(found.values())):
                batch.validate(full=True)
                size += batch.nbytes
                if size > files.MAX_BYTES:
                    raise UserError(
                        f"{path}: longer than {files.MAX_BYTES} bytes unpacked; keep fewer users"
                    )
                batches.append(batch)
        if not sum(map(len, batches)):
            raise UserError(f"{path}: empty; expected rows of user, item, timestamp")
        table = pa.Table.from_batches(batches).to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        raise UserError(f"{path}: not a Parquet file ({files.last_line(error)})") from error
    return table[list(found.values())].set_axis(list(found), axis=1), columns


def _from_table(path: Path, table: pd.DataFrame, columns: Columns) -> Dataset:
    for role in ("user", "item"):
        words = table[role].astype(str).str.strip()
        missing = np.flatnonzero(table[role].isna() | words.str.casefold().isin(MISSING))
        if len(missing):
            found = words.iloc[missing[0]]
            raise UserError(
                f"{path}, line {missing[0] + 2}: no {role}{f' ({found})' if found else ''}; leave "
                "the row out"
            )
    times, notes = None, columns.notes
    if "timestamp" in table:
        times, more = times_of(path, table["timestamp"])
        notes = [*notes, *more]
    made = from_events(stem(path), table["user"].astype(str), table["item"].astype(str), times)
    return replace(made, notes=tuple(notes))

"""Reading logs: S3-Rec text, RecBole ``.inter``, CSV and Parquet.

Whatever is wrong with a file is one `UserError` that names the file, the line and the remedy.
"""

from __future__ import annotations

import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.datasets.base import Dataset, Exposures
from bench.errors import UserError

Ints = npt.NDArray[np.int64]

SUFFIXES = (".txt", ".txt.gz", ".inter", ".inter.gz", ".csv", ".csv.gz", ".parquet")
USER, ITEM, TIME = ("user", "user_id"), ("item", "item_id"), ("timestamp", "time")
"""Accepted names of the columns of a table; RecBole's ``:token`` and ``:float`` are ignored."""

MAX_BYTES = 2**31
"""Longest file read, uncompressed: a compressed bomb must not fill the memory."""

MAX_COLUMNS = 10_000
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
        raise UserError(f"{path}: unknown format; known are {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.name.endswith((".txt", ".txt.gz")):
        return _read_text(path, times_path)
    return _from_table(path, _read_table(path))


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
        user_labels=np.asarray(labels, dtype=str),
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
    wrong = np.flatnonzero((numbers == 0) | (np.abs(numbers) > dataset.n_items))
    if len(wrong):
        line = int(np.searchsorted(offsets, wrong[0], "right"))
        raise UserError(
            f"{path}, line {line}: {numbers[wrong[0]]} is not a signed item id of dataset "
            f"{dataset.name!r}"
        )
    taken = numbers > 0
    if not np.array_equal(numbers[taken], dataset.items):
        raise UserError(f"{path}: its +items are not the interactions of {dataset.name!r}")
    user = np.repeat(np.arange(len(labels)), np.diff(offsets))
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
        falls = np.flatnonzero(np.diff(times) < 0) + 1
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
        user_labels=np.array(labels, dtype=str),
    )


def _read_lines(path: Path, what: str) -> tuple[list[str], Ints, Ints]:
    """User labels, offsets and numbers of a file of lines ``user number number ...``."""
    lines = _text(path).splitlines()
    labels, counts, seen = [], [], dict[str, int]()
    for number, line in enumerate(lines, 1):
        words = line.split(None, 1)
        if len(words) < 2:
            raise UserError(
                f"{path}, line {number}: expected 'user {what} {what} ...', found {line[:40]!r}"
            )
        if words[0] in seen:
            raise UserError(
                f"{path}, line {number}: user {words[0]!r} has a line already "
                f"(line {seen[words[0]]})"
            )
        seen[words[0]] = number
        labels.append(words[0])
        lines[number - 1] = words[1]
        counts.append(len(words[1].split()))
    try:
        numbers = np.array(" ".join(lines).split(), dtype=np.int64)
    except (ValueError, OverflowError):
        for number, line in enumerate(lines, 1):
            for word in line.split():
                _check_integer(path, number, word, what)
        raise
    return labels, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), numbers


def _check_integer(path: Path, number: int, word: str, what: str) -> None:
    try:
        np.array([word], dtype=np.int64)
    except (ValueError, OverflowError):
        kind = "item id" if what == "item" else what
        raise UserError(
            f"{path}, line {number}: {kind} {word[:40]!r} is not a positive integer"
        ) from None


def _text(path: Path) -> str:
    """The file's text, unpacked if its name ends in ``.gz``."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                data = file.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if len(data) > MAX_BYTES:
        raise UserError(f"{path}: longer than {MAX_BYTES} bytes unpacked; split it")
    try:
        return data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text") from error


def _read_table(path: Path) -> pd.DataFrame:
    """All cells as text, for CSV and ``.inter``; typed, for Parquet."""
    if path.suffix == ".parquet":
        try:
            return pd.read_parquet(path)
        except ImportError as error:
            raise UserError(
                f"{path}: reading Parquet needs pyarrow; "
                "pip install 'negative-sampling-bench[parquet]'"
            ) from error
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a Parquet file ({error})") from error
    text = _text(path)
    if not text.strip():
        raise UserError(f"{path}: empty; expected a header and lines of user, item, timestamp")
    separator = "\t" if ".inter" in path.suffixes else ","
    header = text.partition("\n")[0]
    if header.count(separator) >= MAX_COLUMNS:
        raise UserError(f"{path}, line 1: more than {MAX_COLUMNS} columns")
    try:
        with warnings.catch_warnings():
            # A first line longer than the header is only warned of, and cut.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, na_filter=False,
            index_col=False, on_bad_lines="error", skip_blank_lines=False,
            quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
        )  # fmt: skip
    except pd.errors.ParserWarning as error:
        raise UserError(f"{path}, line 2: more fields than the header has") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        # pandas names the line; it counts the header as line 1, as an editor does.
        raise UserError(f"{path}: {str(error).strip().splitlines()[-1]}") from error


def _from_table(path: Path, table: pd.DataFrame) -> Dataset:
    plain = {str(column).partition(":")[0].strip(): column for column in table.columns}
    found = {
        role: next((plain[name] for name in names if name in plain), None)
        for role, names in (("user", USER), ("item", ITEM), ("timestamp", TIME))
    }
    for role in ("user", "item"):
        if found[role] is None:
            raise UserError(
                f"{path}: no column {role!r}; its columns are {', '.join(list(plain)[:20])}"
            )
    if not len(table):
        raise UserError(f"{path}: empty; it has a header and no lines")
    for role in ("user", "item"):
        column = table[found[role]]
        missing = np.flatnonzero(column.isna() | (column.astype(str).str.strip() == ""))
        if len(missing):
            raise UserError(f"{path}, line {missing[0] + 2}: no {role}")
    times = None if found["timestamp"] is None else _times(path, table[found["timestamp"]])
    return from_events(
        stem(path), table[found["user"]].astype(str), table[found["item"]].astype(str), times
    )


def _times(path: Path, column: pd.Series) -> npt.NDArray[np.float64]:
    """Unix seconds."""
    if pd.api.types.is_datetime64_any_dtype(column):
        column = column.astype("int64") / 10**9
    numbers = np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers) | (np.abs(numbers) > 2**53))
    if len(bad):
        found = str(column.iloc[bad[0]])[:40]
        raise UserError(f"{path}, line {bad[0] + 2}: timestamp {found!r} is not a number")
    return numbers

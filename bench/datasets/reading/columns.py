"""Which columns of a table are users, items and times, and what their values mean."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import UserError

NAMES = {
    "user": ("user", "userid", "uid", "customer", "customerid", "reviewerid", "visitorid",
             "sessionid", "session"),
    "item": ("item", "itemid", "iid", "product", "productid", "movieid", "parentasin", "asin",
             "articleid", "videoid", "trackid", "songid", "artistid", "bookid", "businessid"),
    "timestamp": ("timestamp", "time", "ts", "datetime", "date", "eventtime", "unixtimestamp",
                  "unixreviewtime", "createdat"),
}  # fmt: skip
"""Accepted names, the first that is there; case, ``_`` and RecBole's ``:token`` do not count."""

SEPARATORS = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}

MISSING = {"", "nan", "null", "none", "<na>"}
"""What stands for nothing, in any case."""

UNITS = {"nanoseconds": 1e9, "microseconds": 1e6, "milliseconds": 1e3}
"""Of times since 1970, finest first: how many make a second."""

SECONDS_FROM = 1e8
"""Times of 1973 or later are meant: the finest unit in which they are decides."""

SHOWN = 20
"""Columns that an error names."""


@dataclass(frozen=True)
class Columns:
    """Of a table.

    Attributes:
        found: ``user``, ``item`` and, if there is one, ``timestamp``, to the column's full name.
        ignored: the other columns.
    """

    found: dict[str, str]
    ignored: list[str]

    @property
    def notes(self) -> list[str]:
        """What a reader of the numbers must know of how the table was read."""
        said = []
        if "timestamp" not in self.found:
            said.append(
                "no column of times (timestamp, time, ts, datetime, ...): the order of the rows is "
                "taken for that of time"
            )
        if self.ignored:
            said.append(
                f"columns not read: {_shown(self.ignored)}; every row counts as an interaction"
            )
        return said


def plain(name: str) -> str:
    """A column's name as `NAMES` has it."""
    word = name.partition(":")[0].strip().casefold()
    return word.replace("_", "").replace("-", "").replace(" ", "")


def columns_of(path: Path, names: Sequence[str]) -> Columns:
    """Find users, items and times among a table's columns.

    Raises:
        UserError: one of them is not there, there are several by its name, or it holds lists.
    """
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(plain(name), []).append(name)
        if _is_list(name):
            raise UserError(
                f"{path}: column {name[:40]!r} holds lists; write a row for each interaction "
                "(user, item, timestamp)"
            )
    found = {}
    for role, accepted in NAMES.items():
        chosen = next((by_name[name] for name in accepted if name in by_name), [])
        if len(chosen) > 1:
            raise UserError(f"{path}: {len(chosen)} columns {role!r}; keep one")
        if chosen:
            found[role] = chosen[0]
        elif role != "timestamp":
            raise UserError(
                f"{path}: no column {role!r}; its columns are {_shown(names)}; rename the one of "
                f"{role}s to {role!r} ({', '.join(accepted[1:4])} and others do too; between "
                f"columns stands {', '.join(SEPARATORS.values())})"
            )
    return Columns(found, [name for name in names if name not in found.values()])


def separator_of(line: str, usual: str) -> str:
    """What separates the columns of a header: the usual one, unless another finds users and
    items."""
    for separator in (usual, *SEPARATORS):
        names = {plain(name) for name in next(csv.reader([line], delimiter=separator), [])}
        if names & {*NAMES["user"]} and names & {*NAMES["item"]}:
            return separator
    return usual


def times_of(path: Path, column: pd.Series) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Unix seconds of a column of numbers or of dates, and what must be said of them.

    Raises:
        UserError: a value is neither, or out of range.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    notes = []
    if pd.api.types.is_datetime64_any_dtype(column) or numbers.isna().all():
        dates = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
        seconds = np.asarray((dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), np.float64)
    else:
        seconds = np.asarray(numbers, dtype=np.float64)
        known = np.abs(seconds[np.isfinite(seconds)])
        middle = float(np.median(known)) if len(known) else 0.0
        unit = next((u for u, n in UNITS.items() if middle / n >= SECONDS_FROM), None)
        if unit is not None:
            seconds = seconds / UNITS[unit]
            notes.append(f"times are taken for {unit}")
    bad = np.flatnonzero(~np.isfinite(seconds) | (np.abs(seconds) > 2**53))
    if len(bad):
        found = str(column.iloc[bad[0]])[:40]
        raise UserError(
            f"{path}, line {bad[0] + 2}: timestamp {found!r} is neither a number (of seconds to "
            "nanoseconds since 1970) nor a date such as 2024-01-31 or 2024-01-31T12:00:00Z"
        )
    return seconds, notes


def _is_list(name: str) -> bool:
    """Whether RecBole's type, or the name, says that a user's or an item's column holds lists."""
    base, _, kind = name.partition(":")
    word = plain(base)
    said = kind.strip().endswith("_seq") or word.endswith("list")
    return said and word.removesuffix("list") in NAMES["user"] + NAMES["item"]


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:SHOWN])
    return f"{shown}, ..." if len(names) > SHOWN else shown

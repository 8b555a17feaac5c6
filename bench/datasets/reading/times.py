"""What the values of a column of times mean: numbers since 1970, or dates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.datasets.reading.columns import MISSING
from bench.errors import UserError

Ints = npt.NDArray[np.int64]

UNITS = {"nanoseconds": 10**9, "microseconds": 10**6, "milliseconds": 10**3, "seconds": 1}
"""Of times since 1970, finest first: how many make a second."""

SECONDS_FROM = 1e8
"""Times of 1973 or later are meant: the finest unit in which they are decides."""

CALENDAR = {"%Y%m%d": 8, "%Y%m%d%H%M%S": 14}
"""Numbers that are dates, as 20240131 is, by how many digits they have."""

EXPECTED = (
    "neither a number (of seconds to nanoseconds since 1970) nor a date such as 2024-01-31 or "
    "2024-01-31T12:00:00Z"
)

EPOCH = pd.Timestamp(0, tz="UTC")


@dataclass(frozen=True)
class Times:
    """Times of interactions.

    Attributes:
        order: ``[n]`` what to sort by, as exact as the file has it.
        seconds: ``[n]`` int64 unix seconds.
        notes: what they were taken for.
    """

    order: npt.NDArray[Any]
    seconds: Ints
    notes: list[str]


@dataclass
class TimesReader:
    """A column of times, block after block; all of it is in one form.

    Attributes:
        path: what errors call the file.
        unit: of the rows of the file, ``line`` or ``row``.
        column: the column's name.
    """

    path: Path
    unit: str
    column: str
    _dates: bool | None = None
    _parts: list[npt.NDArray[Any]] = field(default_factory=list)

    def add(self, values: Sequence[str], lines: Ints) -> None:
        """Read a block.

        Args:
            values: of the column.
            lines: ``[n]`` in which each stands.

        Raises:
            UserError: one of them is no time, or of another form than those before.
        """
        if not len(values):
            return
        column = pd.Series(values, dtype=object)
        if self._dates is None:
            first = str(values[0]).strip()
            self._dates = not _is_number(first)
        found = self._read_dates(column) if self._dates else _numbers(column)
        wrong = ~np.isfinite(found) if found.dtype.kind == "f" else found == _NAT
        if wrong.any():
            at = int(np.argmax(wrong))
            self._refuse(str(values[at]), int(lines[at]), first=not self._parts and at == 0)
        self._parts.append(found)

    def _read_dates(self, column: pd.Series) -> npt.NDArray[Any]:
        """Microseconds since 1970; `_NAT` of what is no date."""
        if str(column.iloc[0]).endswith(" UTC"):
            column = column.str.removesuffix(" UTC")
        # Numbers are dates to pandas, too: the year 2024 is.
        dates = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
        numbers = pd.to_numeric(column, errors="coerce").notna()
        return np.asarray(dates.mask(numbers).dt.as_unit("us").astype("int64"))

    def _refuse(self, value: str, line: int, first: bool) -> None:
        where = f"{self.path}, {self.unit} {line}: timestamp {value[:40]!r}"
        if value.strip().casefold() in MISSING:
            raise UserError(
                f"{where} is {EXPECTED}; leave such rows out with --where '{self.column}!='"
            )
        if re.match(r"\s*\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}", value):
            raise UserError(
                f"{where} can be read in several ways; write the year first, as in 2024-01-31"
            )
        if not first and (_is_number(value) is bool(self._dates)):
            form = "dates" if self._dates else "numbers"
            raise UserError(f"{where} is of another form than those before, which are {form}")
        raise UserError(f"{where} is {EXPECTED}")

    def finish(self, lines: npt.NDArray[np.integer]) -> Times:
        """All of them.

        Args:
            lines: ``[n]`` of all blocks.

        Raises:
            UserError: they are of several units, or out of range.
        """
        found = np.concatenate(self._parts) if self._parts else np.zeros(0, np.int64)
        if self._dates:
            return Times(found, found // 10**6, [])
        return self._of_numbers(found, lines)

    def _of_numbers(self, found: npt.NDArray[Any], lines: npt.NDArray[np.integer]) -> Times:
        dates = _calendar(found)
        if dates is not None:
            return Times(dates, dates, ["times are taken for dates such as 20240131"])
        size = np.abs(found.astype(np.float64))
        middle = float(np.median(size)) if len(size) else 0.0
        unit = next((u for u, n in UNITS.items() if middle / n >= SECONDS_FROM), "seconds")
        # Powers of a thousand above the least that a unit has; what lies below is of no unit.
        scale = np.floor(np.log10(np.maximum(size, SECONDS_FROM) / SECONDS_FROM) / 3 + 1e-9)
        odd = (size >= SECONDS_FROM) & (scale != np.floor(np.log10(UNITS[unit]) / 3 + 1e-9))
        if unit == "nanoseconds":
            odd &= scale < 3
        beyond = size / UNITS[unit] > 2**53
        for wrong, why in ((beyond, f"is {EXPECTED}"), (odd, f"is not in {unit}, as others are")):
            if wrong.any():
                at = int(np.argmax(wrong))
                raise UserError(
                    f"{self.path}, {self.unit} {lines[at]}: timestamp {str(found[at])!r} {why}"
                )
        said = [] if unit == "seconds" else [f"times are taken for {unit}"]
        return Times(found, np.floor_divide(found, UNITS[unit]).astype(np.int64), said)


_NAT = np.iinfo(np.int64).min


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _numbers(column: pd.Series) -> npt.NDArray[Any]:
    """Integers if all are; NaN of what is no number."""
    found = np.asarray(pd.to_numeric(column, errors="coerce"))
    if found.dtype.kind == "i":
        return found.astype(np.int64)
    return found.astype(np.float64)


def _calendar(found: npt.NDArray[Any]) -> Ints | None:
    """Unix seconds, where all numbers are dates written without separators."""
    if not len(found) or not (found == np.floor(found)).all():
        return None
    for form, digits in CALENDAR.items():
        low, high = 1970 * 10 ** (digits - 4), 2100 * 10 ** (digits - 4)
        if low <= found.min() and found.max() < high:
            text = pd.Series(found.astype(np.int64)).astype(str)
            dates = pd.to_datetime(text, format=form, utc=True, errors="coerce")
            if dates.notna().all():
                return np.asarray((dates - EPOCH) // pd.Timedelta(seconds=1), dtype=np.int64)
    return None

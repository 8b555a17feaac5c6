"""What another library's model recommends: scores of items or ranked lists, a row a prediction.

Read from a CSV or TSV with columns of users, items and scores or ranks, from an NPZ, or made of
arrays and DataFrames.  Higher scores are better; rank 1 is the best.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.datasets.reading import files
from bench.datasets.reading.columns import columns_of, plain
from bench.datasets.reading.readers import read_table
from bench.errors import UserError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

VALUES = {"score": ("score", "scores", "prediction", "rating"), "rank": ("rank", "position")}
"""Accepted names of the columns of scores and of ranks; `bench.datasets.reading.columns` has those
of users and items."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ARRAYS = ("scores", "lists", "users", "items")
"""What an NPZ may hold: ``scores`` or ``lists``, the rows' users and the columns' items."""

LARGEST_ID = 2**31 - 1


class Predictions(ABC):
    """Of P held-out predictions, in any order.

    Attributes:
        source: what errors call it.
        labels: ``[P]`` what each goes by, all different; None where they are in the order of
            ``test_inputs.csv``.
    """

    def __init__(self, source: str, labels: npt.NDArray[np.str_] | None) -> None:
        self.source, self.labels = source, labels
        if labels is not None and len(twice := _twice(labels)):
            raise UserError(f"{source}: user {str(twice[0])!r} has several rows; give one")

    @property
    @abstractmethod
    def count(self) -> int:
        """P."""

    @property
    @abstractmethod
    def largest_item(self) -> int:
        """The largest item id."""

    @abstractmethod
    def dense(self, rows: Ints, n_items: int) -> Floats:
        """``[len(rows), n_items + 1]`` scores; -inf of what is not recommended."""


class Scores(Predictions):
    """A table of scores."""

    def __init__(
        self,
        source: str,
        labels: npt.NDArray[np.str_] | None,
        scores: npt.NDArray[Any],
        items: npt.NDArray[Any] | None = None,
    ) -> None:
        """
        Args:
            source: what errors call it.
            labels: see `Predictions`.
            scores: ``[P, n]``; -inf is never recommended.
            items: ``[n]`` ids of the columns; without, 1, 2, 3, ...

        Raises:
            UserError: it is no such table.
        """
        super().__init__(source, labels)
        if scores.ndim != 2 or scores.dtype.kind not in "fiu" or not scores.size:
            raise UserError(
                f"{source}: scores are {_shape(scores)}; give numbers [predictions, items]"
            )
        _check_rows(source, labels, len(scores))
        if np.isnan(scores).any() or np.isposinf(scores).any():
            row, column = np.argwhere(np.isnan(scores) | np.isposinf(scores))[0]
            raise UserError(
                f"{source}: the score in row {row}, column {column} is {scores[row, column]}; give "
                "numbers, -inf for an item that is never recommended"
            )
        self._scores = scores
        self._items = np.arange(1, scores.shape[1] + 1)
        if items is not None:
            self._items = _ids(source, items)
            if self._items.shape != (scores.shape[1],):
                raise UserError(
                    f"{source}: {_shape(items)} items of {scores.shape[1]} columns of scores"
                )
            if len(twice := _twice(self._items)):
                raise UserError(f"{source}: item {twice[0]} has several columns")
            if self._items.min() < 1:
                raise UserError(f"{source}: item {self._items.min()}: items are numbers from 1")

    @property
    def count(self) -> int:
        return len(self._scores)

    @property
    def largest_item(self) -> int:
        return int(self._items.max())

    def dense(self, rows: Ints, n_items: int) -> Floats:
        found = np.full((len(rows), n_items + 1), -np.inf)
        found[:, self._items] = self._scores[rows]
        return found


class Lists(Predictions):
    """Items with scores, of each prediction some."""

    def __init__(
        self,
        source: str,
        labels: npt.NDArray[np.str_] | None,
        rows: Ints,
        items: Ints,
        scores: Floats,
        count: int,
    ) -> None:
        """
        Args:
            source: what errors call it.
            labels: see `Predictions`.
            rows: ``[n]`` which prediction each item is of.
            items: ``[n]`` ids.
            scores: ``[n]`` finite.
            count: P.

        Raises:
            UserError: an item is none, or is twice in a list.
        """
        super().__init__(source, labels)
        _check_rows(source, labels, count)
        if not len(items):
            raise UserError(f"{source}: it recommends nothing")
        order = np.argsort(rows, kind="stable")
        self._items, self._scores = items[order], scores[order]
        self._offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
        if items.min() < 1:
            raise UserError(f"{source}: item {items.min()}: items are numbers from 1")
        same = rows.astype(np.int64) * (LARGEST_ID + 1) + items
        if len(twice := _twice(same)):
            row, item = divmod(int(twice[0]), LARGEST_ID + 1)
            raise UserError(f"{source}: item {item} is twice in the list of {self._name(row)}")

    def _name(self, row: int) -> str:
        return f"row {row}" if self.labels is None else f"user {str(self.labels[row])!r}"

    @property
    def count(self) -> int:
        return len(self._offsets) - 1

    @property
    def largest_item(self) -> int:
        return int(self._items.max())

    def dense(self, rows: Ints, n_items: int) -> Floats:
        found = np.full((len(rows), n_items + 1), -np.inf)
        lengths = np.diff(self._offsets)[rows]
        start = np.repeat(self._offsets[rows] - (np.cumsum(lengths) - lengths), lengths)
        index = start + np.arange(lengths.sum())
        found[np.repeat(np.arange(len(rows)), lengths), self._items[index]] = self._scores[index]
        return found


def read(path: Path) -> Predictions:
    """Predictions of a file, told by its suffix.

    Raises:
        UserError: missing or malformed file, unknown suffix.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == ".npz":
        return _read_npz(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in SEPARATORS:
        raise UserError(
            f"{path}: unknown format; write .csv or .tsv with columns user, item and score or "
            f"rank, or .npz with arrays {', '.join(ARRAYS)}"
        )

    def choose(names: Sequence[str]) -> dict[str, str]:
        return _columns(path, names)

    with files.open_text(path) as file:
        table = read_table(str(path), file, SEPARATORS[suffix], choose)
    return _of_table(str(path), table, first_line=2)


def of_frame(frame: pd.DataFrame) -> Predictions:
    """Predictions of a DataFrame with the columns of such a file.

    Raises:
        UserError: it has not, or holds what is none.
    """
    columns = _columns(Path("DataFrame"), [str(name) for name in frame.columns])
    chosen = frame.set_axis([str(name) for name in frame.columns], axis=1)
    table = pd.DataFrame({role: chosen[name] for role, name in columns.items()})
    if table.empty:
        raise UserError("DataFrame: it has no rows")
    return _of_table("DataFrame", table.reset_index(drop=True), first_line=0)


def of_array(
    array: npt.NDArray[Any],
    users: Sequence[Any] | None = None,
    items: Sequence[Any] | None = None,
    source: str = "array",
) -> Predictions:
    """Predictions of an array: numbers with a point are scores, whole ones lists.

    Args:
        array: ``[P, n]`` scores of items, or ``[P, k]`` items, the best first; 0 and -1 stand for
            none, as where a list is short.
        users: ``[P]`` what each goes by; without, in the order of ``test_inputs.csv``.
        items: ``[n]`` of the columns of scores; without, 1, 2, 3, ...
        source: what errors call it.

    Raises:
        UserError: it is neither.
    """
    labels = None if users is None else _labels(source, np.asarray(users))
    array = np.asarray(array)
    if array.dtype.kind == "f":
        return Scores(source, labels, array, None if items is None else np.asarray(items))
    if array.ndim != 2 or array.dtype.kind not in "iu" or items is not None:
        raise UserError(
            f"{source}: {_shape(array)} is neither scores (numbers with a point, [predictions, "
            "items]) nor lists (item ids, [predictions, k], without items=)"
        )
    rows, columns = np.nonzero(array > 0)
    if array.size and int(array.min()) < -1:
        raise UserError(f"{source}: item {array.min()}: items are numbers from 1, none is -1")
    ids = _ids(source, array[rows, columns])
    return Lists(source, labels, rows, ids, -columns.astype(np.float64), len(array))


def _read_npz(path: Path) -> Predictions:
    source = str(path)
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(info.file_size for info in packed.infolist())
        if size > files.MAX_BYTES:
            raise UserError(
                f"{source}: unpacks to {size} bytes, of at most {files.MAX_BYTES}; give scores as "
                "float32, or lists"
            )
        with np.load(path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files if name in ARRAYS}
    except UserError:
        raise
    except Exception as error:  # damaged zip and NPY files have two dozen kinds of it
        raise UserError(
            f"{source}: {files.last_line(error)}; write it with numpy.savez, without objects"
        ) from error
    given = [name for name in ("scores", "lists") if name in found]
    if len(given) != 1:
        raise UserError(
            f"{source}: it holds {' and '.join(given) or 'neither scores nor lists'}; give one of "
            "scores and lists, with users and, for scores, items"
        )
    (name,) = given
    array = found[name]
    if name == "lists" and array.dtype.kind not in "iu":
        raise UserError(f"{source}: lists are of {array.dtype}; give item ids, whole numbers")
    if name == "scores" and array.dtype.kind in "iu":
        array = array.astype(np.float64)
    users, items = found.get("users"), found.get("items")
    return of_array(array, users, items if name == "scores" else None, source)


def _columns(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Role to the name of its column: user, item, and score, rank or both."""
    roles = columns_of(path, names).found
    roles.pop("timestamp", None)
    for role, accepted in VALUES.items():
        chosen = [name for name in names if plain(name) in accepted]
        if len(chosen) > 1:
            raise UserError(f"{path}: columns {', '.join(chosen)}: which is the {role}? keep one")
        if chosen:
            roles[role] = chosen[0]
    if not VALUES.keys() & roles.keys():
        raise UserError(
            f"{path}: no column 'score' or 'rank' beside users and items; higher scores are "
            "better, and rank 1 is the best"
        )
    return roles


def _of_table(source: str, table: pd.DataFrame, first_line: int) -> Predictions:
    """Lists of a table of users, items and scores, ranks or both.

    Args:
        first_line: number of the first row, in errors.
    """
    where = "line" if first_line else "row"

    def number(role: str) -> Floats:
        values = pd.to_numeric(table[role], errors="coerce").to_numpy(np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise UserError(
                f"{source}, {where} {bad[0] + first_line}: {role} "
                f"{str(table[role].iloc[bad[0]])[:40]!r} is not a finite number"
            )
        return values

    items = number("item")
    strange = np.flatnonzero((items % 1 != 0) | (items < 1) | (items > LARGEST_ID))
    if len(strange):
        raise UserError(
            f"{source}, {where} {strange[0] + first_line}: item "
            f"{str(table['item'].iloc[strange[0]])[:40]!r} is not a number from 1, as items are in "
            "the files of python -m bench.data export"
        )
    rows, labels = pd.factorize(table["user"].astype("str"))
    scores = number("score") if "score" in table else -number("rank")
    if "rank" in table:
        _check_ranks(source, rows, np.asarray(labels), number("rank"), scores)
    return Lists(
        source, _labels(source, np.asarray(labels)), rows, items.astype(np.int64), scores,
        len(labels),
    )  # fmt: skip


def _check_ranks(
    source: str, rows: Ints, labels: npt.NDArray[Any], ranks: Floats, scores: Floats
) -> None:
    """Refuse two items of one rank, and scores that say otherwise than ranks."""
    order = np.lexsort((ranks, rows))
    user, rank, score = rows[order], ranks[order], scores[order]
    same = user[1:] == user[:-1]
    for bad, what in (
        (same & (rank[1:] == rank[:-1]), "two items of one rank"),
        (same & (score[1:] > score[:-1]), "a rank above one of a higher score; keep one column"),
    ):
        if bad.any():
            label = str(labels[user[1:][bad][0]])
            raise UserError(f"{source}: user {label!r} has {what}")


def _labels(source: str, users: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    if users.ndim != 1 or users.dtype.kind not in "iuUSO":
        raise UserError(f"{source}: users are {_shape(users)}; give one id a row")
    return users.astype(str)


def _ids(source: str, items: npt.NDArray[Any]) -> Ints:
    """Item ids as numbers."""
    try:
        numbers = items.astype(np.int64)
        if items.dtype.kind == "f" and (numbers != items).any():
            raise ValueError("not whole")
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(
            f"{source}: items are not numbers ({files.last_line(error)}); they are numbers from 1 "
            "in the files of python -m bench.data export"
        ) from error
    if numbers.size and numbers.max() > LARGEST_ID:
        raise UserError(f"{source}: no item {numbers.max()}")
    return numbers


def _check_rows(source: str, labels: npt.NDArray[np.str_] | None, count: int) -> None:
    if labels is not None and len(labels) != count:
        raise UserError(f"{source}: {len(labels)} users of {count} rows; give one id a row")


def _twice(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What is there more than once."""
    found, counts = np.unique(values, return_counts=True)
    return found[counts > 1]


def _shape(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"

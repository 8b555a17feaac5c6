"""What another library's model recommends: scores of items or ranked lists, a row a prediction.

Read from a CSV or TSV with columns of users, items and scores or ranks, from an NPZ, or made of
arrays and DataFrames.  Higher scores are better; rank 1 is the best.
"""

from __future__ import annotations

import itertools
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
from bench.datasets.reading.item_ids import ItemIds
from bench.datasets.reading.tables import TextTable
from bench.errors import UserError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

VALUES = {"score": ("score", "scores", "prediction", "rating"), "rank": ("rank", "position")}
"""Accepted names of the columns of scores and of ranks; `bench.datasets.reading.columns` has those
of users and items."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ARRAYS = ("scores", "lists", "users", "items")
"""What an NPZ may hold: ``scores`` or ``lists``, the rows' users and the columns' items."""


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
        ids: ItemIds,
        items: npt.NDArray[Any] | None = None,
    ) -> None:
        """
        Args:
            source: what errors call it.
            labels: see `Predictions`.
            scores: ``[P, n]``; -inf is never recommended.
            ids: what items are called.
            items: ``[n]`` ids of the columns; without, 1, 2, 3, ..., where that is what they are.

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
        if items is None:
            if ids.own:
                raise UserError(
                    f"{source}: scores of which items? give items, the id of each column: the log "
                    f"calls them like {ids.name(1)!r}"
                )
            items = np.arange(1, scores.shape[1] + 1)
        if items.shape != (scores.shape[1],):
            raise UserError(
                f"{source}: {_shape(items)} items of {scores.shape[1]} columns of scores"
            )
        self._items = ids.numbers(source, items)
        if len(twice := _twice(self._items)):
            raise UserError(f"{source}: item {ids.name(twice[0])!r} has several columns")

    @property
    def count(self) -> int:
        return len(self._scores)

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
        ids: ItemIds,
    ) -> None:
        """
        Args:
            source: what errors call it.
            labels: see `Predictions`.
            rows: ``[n]`` which prediction each item is of.
            items: ``[n]`` numbers from 1.
            scores: ``[n]`` finite.
            count: P.
            ids: what items are called.

        Raises:
            UserError: there are none, or one is twice in a list.
        """
        super().__init__(source, labels)
        _check_rows(source, labels, count)
        if not len(items):
            raise UserError(f"{source}: it recommends nothing")
        order = np.argsort(rows, kind="stable")
        self._items, self._scores = items[order], scores[order]
        self._offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
        if len(twice := _twice(rows.astype(np.int64) * (ids.count + 1) + items)):
            row, item = divmod(int(twice[0]), ids.count + 1)
            raise UserError(
                f"{source}: item {ids.name(item)!r} is twice in the list of {self._name(row)}"
            )

    def _name(self, row: int) -> str:
        return f"row {row}" if self.labels is None else f"user {str(self.labels[row])!r}"

    @property
    def count(self) -> int:
        return len(self._offsets) - 1

    def dense(self, rows: Ints, n_items: int) -> Floats:
        found = np.full((len(rows), n_items + 1), -np.inf)
        lengths = np.diff(self._offsets)[rows]
        start = np.repeat(self._offsets[rows] - (np.cumsum(lengths) - lengths), lengths)
        index = start + np.arange(lengths.sum())
        found[np.repeat(np.arange(len(rows)), lengths), self._items[index]] = self._scores[index]
        return found


def read(path: Path, ids: ItemIds) -> Predictions:
    """Predictions of a file, told by its suffix.

    Args:
        path: the file.
        ids: what items are called.

    Raises:
        UserError: missing or malformed file, unknown suffix.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == ".npz":
        return _read_npz(path, ids)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix not in SEPARATORS:
        raise UserError(
            f"{path}: unknown format; write .csv or .tsv with columns user, item and score or "
            f"rank, or .npz with arrays {', '.join(ARRAYS)}"
        )

    with files.open_text(path) as file:
        table = TextTable(str(path), file, SEPARATORS[suffix])
        places = _columns(path, table.names)
        blocks = list(table.blocks(list(places.values())))
    columns = {
        role: list(itertools.chain.from_iterable(block.columns[at] for block in blocks))
        for at, role in enumerate(places)
    }
    return _of_table(str(path), pd.DataFrame(columns), ids, first_line=2)


def of_frame(frame: pd.DataFrame, ids: ItemIds) -> Predictions:
    """Predictions of a DataFrame with the columns of such a file.

    Args:
        frame: a row an item.
        ids: what items are called.

    Raises:
        UserError: it has not, or holds what is none.
    """
    places = _columns(Path("DataFrame"), [str(name) for name in frame.columns])
    table = pd.DataFrame({role: frame.iloc[:, at] for role, at in places.items()})
    if table.empty:
        raise UserError("DataFrame: it has no rows")
    return _of_table("DataFrame", table.reset_index(drop=True), ids, first_line=0)


def of_array(
    array: npt.NDArray[Any],
    ids: ItemIds,
    users: Sequence[Any] | None = None,
    items: Sequence[Any] | None = None,
    source: str = "array",
) -> Predictions:
    """Predictions of an array: numbers with a point are scores, whole ones and texts lists.

    Args:
        array: ``[P, n]`` scores of items, or ``[P, k]`` items, the best first; 0, -1 and an empty
            text stand for none, as where a list is short.
        ids: what items are called.
        users: ``[P]`` what each goes by; without, in the order of ``test_inputs.csv``.
        items: ``[n]`` of the columns of scores; without, 1, 2, 3, ..., where that is what they are.
        source: what errors call it.

    Raises:
        UserError: it is neither.
    """
    labels = None if users is None else _labels(source, np.asarray(users))
    array = np.asarray(array)
    if array.dtype.kind == "f":
        return Scores(source, labels, array, ids, None if items is None else np.asarray(items))
    if array.ndim != 2 or array.dtype.kind not in "iuUSO" or items is not None:
        raise UserError(
            f"{source}: {_shape(array)} is neither scores (numbers with a point, [predictions, "
            "items]) nor lists (item ids, [predictions, k], without items=)"
        )
    numbers = ids.of_lists(source, array)
    rows, columns = np.nonzero(numbers)
    found = numbers[rows, columns]
    return Lists(source, labels, rows, found, -columns.astype(np.float64), len(array), ids)


def _read_npz(path: Path, ids: ItemIds) -> Predictions:
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
    if name == "lists" and array.dtype.kind not in "iuUS":
        raise UserError(
            f"{source}: lists are of {array.dtype}; give item ids, texts or whole numbers"
        )
    if name == "scores" and array.dtype.kind in "iu":
        array = array.astype(np.float64)
    users, items = found.get("users"), found.get("items")
    return of_array(array, ids, users, items if name == "scores" else None, source)


def _columns(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Role to the number of its column: user, item, and score, rank or both."""
    roles = {r: at for r, at in columns_of(path, names, None).places.items() if r != "time"}
    for role, accepted in VALUES.items():
        chosen = [at for at, name in enumerate(names) if plain(name) in accepted]
        if len(chosen) > 1:
            both = ", ".join(names[at] for at in chosen)
            raise UserError(f"{path}: columns {both}: which is the {role}? keep one")
        if chosen:
            roles[role] = chosen[0]
    if not VALUES.keys() & roles.keys():
        raise UserError(
            f"{path}: no column 'score' or 'rank' beside users and items; higher scores are "
            "better, and rank 1 is the best"
        )
    return roles


def _of_table(source: str, table: pd.DataFrame, ids: ItemIds, first_line: int) -> Predictions:
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

    items = ids.numbers(source, table["item"].to_numpy(), first_line)
    rows, labels = pd.factorize(table["user"].astype("str"))
    scores = number("score") if "score" in table else -number("rank")
    if "rank" in table:
        _check_ranks(source, rows, np.asarray(labels), number("rank"), scores)
    users = _labels(source, np.asarray(labels))
    return Lists(source, users, rows, items, scores, len(users), ids)


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


def _check_rows(source: str, labels: npt.NDArray[np.str_] | None, count: int) -> None:
    if labels is not None and len(labels) != count:
        raise UserError(f"{source}: {len(labels)} users of {count} rows; give one id a row")


def _twice(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What is there more than once."""
    found, counts = np.unique(values, return_counts=True)
    return found[counts > 1]


def _shape(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"

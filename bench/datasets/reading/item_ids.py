"""What items are called in predictions: by their log's own ids, or by number where it has none."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.errors import UserError

Ints = npt.NDArray[np.int64]

NONE = ("", "-1", "0")
"""What stands for no item in an array of lists, where no item is called so."""


class ItemIds:
    """The items of a dataset as predictions call them.

    Attributes:
        count: how many items there are.
        own: whether the log has ids of its own; if not, items are the numbers from 1.
    """

    def __init__(self, count: int, labels: npt.NDArray[np.str_] | None = None) -> None:
        """
        Args:
            count: size of the catalogue.
            labels: ``[count]`` ids, that of item 1 first; None where they are the numbers.
        """
        self.count, self.own = count, labels is not None
        self._labels = np.arange(1, count + 1).astype(str) if labels is None else labels
        self._index = pd.Index(self._labels.astype(object))

    def name(self, number: int) -> str:
        """What item ``number``, from 1, is called."""
        return str(self._labels[number - 1])

    def numbers(self, source: str, ids: npt.NDArray[np.generic], first_line: int = 0) -> Ints:
        """``[n]`` numbers from 1 of ids, which may be texts or numbers.

        Args:
            source: what errors call it.
            ids: ``[n]``.
            first_line: of a file, that of the first id, which errors name the others by.

        Raises:
            UserError: one of them is no item.
        """
        found = self._found(texts_of(ids))
        if (unknown := np.flatnonzero(found == 0)).size:
            at = f", line {unknown[0] + first_line}" if first_line else ""
            raise self._no_item(f"{source}{at}", str(texts_of(ids)[unknown[0]]))
        return found

    def of_lists(self, source: str, lists: npt.NDArray[np.generic]) -> Ints:
        """``[P, k]`` numbers of lists of ids; 0 of what stands for none (`NONE`, or nothing).

        Raises:
            UserError: something else is no item.
        """
        texts = texts_of(lists.ravel())
        found = self._found(texts)
        unknown = (found == 0) & ~np.isin(texts.astype(str), NONE)
        if unknown.any():
            raise self._no_item(source, str(texts[unknown.argmax()]))
        return found.reshape(lists.shape)

    def _found(self, texts: npt.NDArray[np.object_]) -> Ints:
        """Numbers of texts; 0 of what is no item."""
        found = self._index.get_indexer(pd.Index(texts)) + 1
        # A column of whole numbers in which one was missing once is written with points.
        for at in np.flatnonzero(found == 0):
            if whole := re.fullmatch(r"(-?[0-9]+)\.0+", texts[at]):
                found[at] = self._index.get_indexer([whole[1]])[0] + 1
        return found.astype(np.int64)

    def _no_item(self, where: str, text: str) -> UserError:
        called = f"called like {self.name(1)!r}" if self.own else "numbers from 1"
        return UserError(
            f"{where}: no item {text[:40]!r} among the {self.count} of the dataset, whose items "
            f"are {called}, as in the files of python -m bench.data export"
        )


def texts_of(ids: npt.NDArray[np.generic]) -> npt.NDArray[np.object_]:
    """``[n]`` ids as texts; an empty one of what is missing."""
    ids = ids.astype(str) if ids.dtype.kind == "S" else ids
    kept = pd.Series(ids, dtype=object if ids.dtype.kind == "O" else None)
    return kept.astype(str).where(kept.notna(), "").to_numpy(dtype=object)

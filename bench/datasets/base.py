"""What a dataset is: interactions in time order, user by user, in two flat arrays."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bench.datasets.log_options import Reading
from bench.registry import Registry

Truth = Callable[
    [npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]], npt.NDArray[np.float64]
]
"""Users ``[P]``, and what they have had, ``items [n]`` with ``offsets [P + 1]``, to the true
distribution of what each takes next, ``[P, n_items + 1]``; known of generated data alone."""

registry: Registry[DatasetSource] = Registry("dataset", "bench.datasets", lambda: DatasetSource)
register = registry.register


@dataclass(frozen=True)
class Exposures:
    """Items that users were shown and did not take, users one after another, each oldest first.

    Attributes:
        items: ``[m]`` int32.
        offsets: ``[n_users + 1]`` int64.
        positions: ``[m]`` int32: how many of the user's interactions came before the showing.
    """

    items: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int32]

    def only(self, kept: npt.NDArray[np.bool_]) -> Exposures:
        """Those of ``kept [m]``."""
        before = np.concatenate([[0], np.cumsum(kept)])
        return Exposures(self.items[kept], before[self.offsets], self.positions[kept])


@dataclass(frozen=True)
class Dataset:
    """Interactions of ``n_users`` users with items ``1..n_items``; id 0 is padding.

    Attributes:
        name: what tables and plots call it.
        items: ``[n_interactions]`` int32, users one after another, each oldest first.
        offsets: ``[n_users + 1]`` int64; user ``u`` owns ``items[offsets[u]:offsets[u + 1]]``.
        n_items: catalogue size (items that never occur count too).
        times: ``[n_interactions]`` int64 unix seconds, or None when the source has none.
        user_labels: ``[n_users]`` the source's own user ids, as text (split files use them).
        item_labels: ``[n_items]`` the source's own item ids, as text, that of item 1 first; None
            where they are the numbers.
        exposures: what users were shown and did not take, or None when the source has none.
        synthetic: made by a generator; every output must say so.
        truth: of a generated dataset: the true distribution of the next item.
        only_tested: the last so many users are tested on, whatever the split, and nothing else.
        notes: facts a reader of the numbers must know; reports print them as footnotes.
        file: name of the file that it was read from, where that is a log of one's own.
        reading: how that was read.
    """

    name: str
    items: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    n_items: int
    times: npt.NDArray[np.int64] | None = None
    user_labels: npt.NDArray[np.str_] | None = None
    item_labels: npt.NDArray[np.str_] | None = None
    exposures: Exposures | None = None
    synthetic: bool = False
    truth: Truth | None = None
    only_tested: int = 0
    notes: tuple[str, ...] = field(default=())
    file: str = ""
    reading: Reading | None = None

    @property
    def n_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_split(self) -> int:
        """Users that a split deals out; those after them are tested on alone."""
        return self.n_users - self.only_tested

    @property
    def n_interactions(self) -> int:
        return len(self.items)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """``[n_users]`` interactions per user."""
        return np.diff(self.offsets)

    def labels(
        self, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer]
    ) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
        """``[P]`` the source's own ids of users ``[P]``, rows, and of items ``[P]``, numbers."""
        of_users = users.astype(str) if self.user_labels is None else self.user_labels[users]
        of_items = items.astype(str) if self.item_labels is None else self.item_labels[items - 1]
        return of_users, of_items

    def by_user(self) -> tuple[list[str], list[list[str]]]:
        """Every user's own id, and the ids of what each has had, oldest first."""
        nobody = np.array([], dtype=np.int64)
        users, _ = self.labels(np.arange(self.n_users), nobody)
        _, items = self.labels(nobody, self.items)
        return users.tolist(), [part.tolist() for part in np.split(items, self.offsets[1:-1])]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything a model can see: items, offsets, times, exposures,
        catalogue size."""
        digest = hashlib.sha256(f"{self.n_items}:{self.n_users}:".encode())
        arrays = [(self.items, "<i4"), (self.offsets, "<i8"), (self.times, "<i8")]
        if self.exposures is not None:
            arrays += [(array, "<i8") for array in vars(self.exposures).values()]
        for array, kind in arrays:
            if array is not None:
                digest.update(np.ascontiguousarray(array, dtype=kind).tobytes())
        return digest.hexdigest()


class DatasetSource(ABC):
    """Where a named dataset comes from.  Subclass, register, implement :meth:`load`.

    Attributes:
        synthetic: whether a generator makes it; what is not is trained under the preset
            ``standard`` unless another is asked for.
    """

    name: ClassVar[str]
    synthetic: ClassVar[bool] = False

    @abstractmethod
    def load(self, data_dir: Path | None) -> Dataset:
        """Read the dataset.

        Args:
            data_dir: the directory given by ``--data-dir`` or ``$BENCH_DATA``; None when
                neither was given (embedded datasets need none).

        Raises:
            UserError: the file is missing or malformed; names it and the remedy.
        """

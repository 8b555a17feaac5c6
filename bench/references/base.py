"""What a reference is: a recommender that counts, and scores all items for given inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from bench.datasets.training_data import TrainingData
from bench.registry import Registry

registry: Registry[Reference] = Registry("reference", "bench.references", lambda: Reference)
register = registry.register

Floats = npt.NDArray[np.float64]
Items = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]

MOST_SETTINGS = 8
"""Combinations of a ``search_space``: a reference takes seconds."""


class Reference(ABC):
    """What training is measured against; hyper-parameters are keyword-only arguments.

    Every combination of ``search_space`` is fitted, and the best on validation is tested.

    Attributes:
        ranks_seen: whether it says something only where what users have had is ranked, too.
    """

    name: ClassVar[str]
    search_space: ClassVar[dict[str, list[Any]]] = {}
    ranks_seen: ClassVar[bool] = False

    def applies(self, data: TrainingData) -> bool:
        """Whether it can be had of these data; if not, tables have a dash."""
        return True

    @abstractmethod
    def fit(self, data: TrainingData) -> None:
        """Count what is to be counted; nothing random, and called once."""

    @abstractmethod
    def scores(self, items: Items, offsets: Ints, users: Ints) -> Floats:
        """Scores of all items after each of P inputs.

        Args:
            items: ``[n]`` inputs, one after another, oldest item first.
            offsets: ``[P + 1]``.
            users: ``[P]`` row of each input's user in the dataset.

        Returns:
            ``[P, n_items + 1]`` finite, larger for what is more likely next.  The harness masks
            padding, column 0, and, unless ``seen=ranked``, what the input holds.
        """


def shares(data: TrainingData) -> Floats:
    """``[n_items + 1]`` share of each item in the training interactions."""
    counts = np.bincount(data.train.items, minlength=data.n_items + 1)
    return counts / max(1, len(data.train.items))


def weighted_inputs(
    items: Items, offsets: Ints, n_items: int, weight: Callable[[Ints], npt.NDArray[np.floating]]
) -> sparse.csr_array:
    """``[P, n_items + 1]`` weight of each item in each input, by how long ago it came.

    Args:
        weight: of ages, 0 for the input's last item; a repeated item has the sum of its weights.
    """
    lengths = np.diff(offsets)
    ages = np.repeat(offsets[1:], lengths) - 1 - np.arange(len(items))
    shape = (len(lengths), n_items + 1)
    found = sparse.csr_array((weight(ages), items, offsets), shape=shape, copy=True)
    found.sum_duplicates()
    return found

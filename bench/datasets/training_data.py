"""What training may see of a dataset: no held-out item is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.datasets.base import Dataset, Exposures, Truth
from bench.datasets.splits import Sequences, Split


@dataclass(frozen=True)
class TrainingData:
    """All that training may see; no held-out item is in it.

    Attributes:
        train: training sequences.
        n_items: catalogue size.
        exposures: what users were shown, where the dataset records it.
        truth: the true distribution of the next item, for diagnostics on synthetic data.
    """

    train: Sequences
    n_items: int
    exposures: Exposures | None = None
    truth: Truth | None = None

    @classmethod
    def of(cls, dataset: Dataset, split: Split) -> TrainingData:
        """What may be seen of a dataset that is split so."""
        exposures = dataset.exposures
        if exposures is not None:
            # What was shown before the training users' last training item.
            until = np.zeros(dataset.n_users, dtype=np.int64)
            until[split.train.users] = np.diff(split.train.offsets)
            user = np.repeat(np.arange(dataset.n_users), np.diff(exposures.offsets))
            exposures = exposures.only(exposures.positions < until[user])
        return cls(split.train, dataset.n_items, exposures, dataset.truth)

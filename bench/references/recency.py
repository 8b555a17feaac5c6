from __future__ import annotations

import numpy as np

from bench.datasets.training_data import TrainingData
from bench.references.base import Floats, Ints, Items, Reference, register, shares


@register("recency")
class Recency(Reference):
    """The user's own items again, the latest first, then the most popular of the others.

    The score of an item of the input is 1 + 1 / (1 + age), age 0 for the input's last, and of any
    other its share of the training interactions.  Only where what users have had is ranked
    (``seen=ranked``): elsewhere it is masked, and the ranking is that by popularity.
    """

    ranks_seen = True

    def fit(self, data: TrainingData) -> None:
        self.shares = shares(data)

    def scores(self, items: Items, offsets: Ints, users: Ints) -> Floats:
        lengths = np.diff(offsets)
        found: Floats = np.tile(self.shares, (len(users), 1))
        rows = np.repeat(np.arange(len(users)), lengths)
        ages = np.repeat(offsets[1:], lengths) - 1 - np.arange(len(items))
        # Oldest first, so that of an item that comes again the latest place stays.
        found[rows, items] = 1 + 1 / (1 + ages)
        return found

from __future__ import annotations

import numpy as np

from bench.datasets.training_data import TrainingData
from bench.references.base import Floats, Ints, Items, Reference, register, shares


@register("popularity")
class Popularity(Reference):
    """Everybody is recommended the most popular training items that they have not had."""

    def fit(self, data: TrainingData) -> None:
        self.shares = shares(data)

    def scores(self, items: Items, offsets: Ints, users: Ints) -> Floats:
        return np.tile(self.shares, (len(users), 1))

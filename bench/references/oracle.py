from __future__ import annotations

import itertools

import numpy as np

from bench.datasets.training_data import TrainingData
from bench.references.base import Floats, Ints, Items, Reference, register


@register("oracle")
class Oracle(Reference):
    """The true distribution of the next item, of generated data: the best that can be reached."""

    expected = True

    def applies(self, data: TrainingData) -> bool:
        return data.truth is not None

    def fit(self, data: TrainingData) -> None:
        assert data.truth is not None
        self.truth = data.truth

    def scores(self, items: Items, offsets: Ints, users: Ints) -> Floats:
        inputs = (items[start:end] for start, end in itertools.pairwise(offsets))
        return np.stack(
            [self.truth(int(user), each) for user, each in zip(users, inputs, strict=True)]
        )

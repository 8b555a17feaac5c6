from __future__ import annotations

from bench.datasets.training_data import TrainingData
from bench.references.base import Floats, Ints, Items, Reference, register


@register("oracle")
class Oracle(Reference):
    """The true distribution of the next item, of generated data: the best that can be reached."""

    def applies(self, data: TrainingData) -> bool:
        return data.truth is not None

    def fit(self, data: TrainingData) -> None:
        assert data.truth is not None
        self.truth = data.truth

    def scores(self, items: Items, offsets: Ints, users: Ints) -> Floats:
        return self.truth(users, items, offsets)

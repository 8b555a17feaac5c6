from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from bench.datasets.training_data import TrainingData
from bench.references.base import Floats, Ints, Items, Reference, register, shares, weighted_inputs
from bench.references.markov import followers

REACH = 10
"""Most places between two items of a training sequence that count as met."""

BACK_OFF = 1e-6
"""Weight of an item's popularity: it orders items that the input's never met."""


@register("co-occurrence")
class CoOccurrence(Reference):
    """Items met in the same training sequences as the input's, recent ones counting more.

    score(j) = c_j^-discount sum_i (1 + age_i)^-recency C_ij over the items i of the input, age 0
    for the last.  C_ij sums d^-1/2 over the times that j came d <= 10 places after i in a training
    sequence, and that times ``backward`` over those that it came before; c_j is how often j
    occurs.  Sequential rules (Ludewig and Jannach, User Modeling and User-Adapted Interaction 2018)
    applied to all of the input.

    Validation chooses among eight settings, in seconds.  The power of d, the reach and which
    settings to try were found on Beauty, Toys, Sports and Health by validation, with the test
    figures printed beside it.
    """

    search_space = {"recency": [1.0, 1.5], "backward": [0.0, 0.25], "discount": [0.0, 0.2]}

    def __init__(
        self, *, recency: float = 1.5, backward: float = 0.25, discount: float = 0.0
    ) -> None:
        """
        Args:
            recency: power at which an item of the input loses weight with age; 0 is none.
            backward: what counts that one item came before the other and not after it, from 0 to
                1, at which order does not matter.
            discount: power at which popular items are held back, from 0 to 1.
        """
        if recency < 0:
            raise ValueError(f"recency={recency}: must not be negative")
        for option, value in (("backward", backward), ("discount", discount)):
            if not 0 <= value <= 1:
                raise ValueError(f"{option}={value}: must lie in [0, 1]")
        self.recency, self.backward, self.discount = recency, backward, discount

    def fit(self, data: TrainingData) -> None:
        longest = int(np.diff(data.train.offsets).max())
        counts = followers(data, 1)
        for distance in range(2, min(REACH, longest - 1) + 1):
            counts = counts + followers(data, distance) * distance**-0.5
        popular = np.bincount(data.train.items, minlength=data.n_items + 1).clip(min=1)
        held_back = sparse.diags_array(popular.astype(np.float64) ** -self.discount)
        self.met = ((counts + self.backward * counts.T) @ held_back).tocsr()
        self.back_off: Floats = BACK_OFF * shares(data)

    def scores(self, items: Items, offsets: Ints, users: Ints) -> Floats:
        n_items = len(self.back_off) - 1
        inputs = weighted_inputs(items, offsets, n_items, lambda age: (1.0 + age) ** -self.recency)
        found: Floats = (inputs @ self.met).toarray() + self.back_off
        return found

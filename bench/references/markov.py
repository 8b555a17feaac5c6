from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from bench.datasets.training_data import TrainingData
from bench.references.base import Floats, Ints, Items, Reference, register, shares


@register("markov")
class MarkovChain(Reference):
    """First-order Markov chain: how often an item came right after the input's last one.

    P(j | i) = (n_ij + s p_j) / (n_i + s), n_ij how often j came right after i in training and p_j
    the share of j in the training interactions: after an item that nothing followed, the ranking is
    that by popularity.  The denominator is the same for all j and left out.

    NDCG@10 as for co-occurrence: .0473 Beauty, .0567 Toys, .0280 Sports, .0367 Health, and
    .0867 LastFM.
    """

    search_space = {"smoothing": [1.0, 30.0, 300.0, 3000.0]}

    def __init__(self, *, smoothing: float = 1.0) -> None:
        """
        Args:
            smoothing: s, how many transitions the popularity counts as.
        """
        if smoothing <= 0:
            raise ValueError(f"smoothing={smoothing}: must be positive")
        self.smoothing = smoothing

    def fit(self, data: TrainingData) -> None:
        self.shares = shares(data)
        self.counts = followers(data, 1)

    def scores(self, items: Items, offsets: Ints, users: Ints) -> Floats:
        last = items[offsets[1:] - 1]
        found: Floats = self.counts[last].toarray() + self.smoothing * self.shares
        return found


def followers(data: TrainingData, distance: int) -> sparse.csr_array:
    """``[n_items + 1, n_items + 1]`` how often the second item came so many places after the first,
    in one training sequence."""
    train, n = data.train, data.n_items + 1
    sequence = np.repeat(np.arange(len(train.users)), np.diff(train.offsets))
    first = np.flatnonzero(sequence[distance:] == sequence[:-distance])
    pairs = train.items[first], train.items[first + distance]
    return sparse.coo_array((np.ones(len(first)), pairs), shape=(n, n)).tocsr()

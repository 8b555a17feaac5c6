from __future__ import annotations

from samplers.base import Negatives, Sampler, View, register, require


@register("uniform")
class Uniform(Sampler):
    """RNS: K legal items, uniformly (random negative sampling).

    q(i) = 1 / |A_u|, with A_u the catalogue less the positive and the user's history so far.
    Distinct within a row, drawn anew every step.  The paper's released RNS rejects neither the
    positive nor the history (it compares an int with a list); this one does.

    Cost: O(T K), no scores.
    """

    search_space = {"K": [1, 2, 5, 10, 20]}

    def __init__(self, *, K: int = 1) -> None:
        """
        Args:
            K: negatives per target.
        """
        require(K >= 1, f"K={K}: needs at least one negative per target")
        self.K = K

    @property
    def pool_size(self) -> int:
        return self.K

    def sample(self, views: list[View]) -> list[Negatives]:
        return [Negatives(ids=view.pool(self.K)) for view in views]

from __future__ import annotations

from samplers.base import Negatives, Sampler, View, register
from samplers.dns import check_pool


@register("gbce")
class GBCE(Sampler):
    """gBCE with N uniform negatives, as in gSASRec.

    The negatives are those of ``uniform`` with K = N; the method is in the loss, objective gbce,
    which tempers the positive by the sampling rate.

    Source: Petrov and Macdonald, gSASRec, RecSys 2023 (there with 256 negatives and t = 0.75).
    Cost: T N scores, with gradient.
    """

    objective = "gbce"
    search_space = {"N": [50, 100, 200, 500]}

    def __init__(self, *, N: int = 100) -> None:
        """
        Args:
            N: negatives per target.
        """
        check_pool(N, 1)
        self.N = N

    def sample(self, views: list[View]) -> list[Negatives]:
        return [Negatives(ids=view.pool(self.N)) for view in views]

from __future__ import annotations

from samplers.base import Negatives, Sampler, View, register
from samplers.dns import check_pool, hard_negative


@register("dns+")
class DNSPlus(Sampler):
    """DNS+: one of the M highest-scoring of N candidates, uniformly, DNS(M, N).

    M = N is uniform sampling, M = 1 is DNS; M / N sets the hardness, and M has to be chosen for a
    dataset: 10 is what validation chooses on most of those tried here.  The MDCNS comparison's
    scripts sweep M from 1 to 100.

    Source: Shi et al., WWW 2023.
    Cost: T N scores without gradient.
    """

    search_space = {"M": [1, 2, 5, 10, 20, 30, 50, 100]}

    def __init__(self, *, N: int = 100, M: int = 10) -> None:
        """
        Args:
            N: size of the candidate pool.
            M: how many of the best to draw from.
        """
        check_pool(N, M)
        self.N, self.M = N, M

    def sample(self, views: list[View]) -> list[Negatives]:
        generator = self.catalogue.generator
        return [Negatives(ids=hard_negative(view, self.N, self.M, generator)) for view in views]

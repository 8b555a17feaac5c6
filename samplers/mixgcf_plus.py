from __future__ import annotations

from samplers.base import Negatives, Sampler, View, register
from samplers.dns import check_pool
from samplers.mixgcf import check_mix, mixed_negative


@register("mixgcf+")
class MixGCFPlus(Sampler):
    """MixGCF+: one of the M hardest of N candidates, uniformly, mixed with the positive.

    MixGCF with the pick of DNS(M, N) in place of DNS; see there, also for the loss: the MDCNS
    comparison's scripts train it by BPR, and sweep M from 1 to 100.

    Source: Shi et al., WWW 2023, and the comparison in MDCNS, SIGIR 2026.
    Cost: T N scores without gradient, one mixed vector per target.
    """

    search_space = {"M": [1, 2, 5, 10, 20, 30, 50, 100], "mix": [0.5, 1.0]}

    def __init__(self, *, N: int = 100, M: int = 10, mix: float = 1.0) -> None:
        """
        Args:
            N: size of the candidate pool.
            M: how many of the best to draw from.
            mix: largest share of the positive; 1 is the method's, 0 is DNS+.
        """
        check_pool(N, M)
        check_mix(mix)
        self.N, self.M, self.mix = N, M, mix

    def sample(self, views: list[View]) -> list[Negatives]:
        generator = self.catalogue.generator
        return [mixed_negative(view, self.N, self.M, self.mix, generator) for view in views]

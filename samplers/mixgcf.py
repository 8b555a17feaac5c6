from __future__ import annotations

import torch

from samplers.base import Negatives, Sampler, View, register
from samplers.dns import check_pool, hard_negative


@register("mixgcf")
class MixGCF(Sampler):
    """MixGCF: the hardest of N candidates, mixed with the positive (positive mixing).

    z_c = a E_y + (1 - a) E_c with a ~ U(0, 1), one per target; the negative is the z_c with the
    largest h . z_c, a vector through which gradient reaches E_y, E_c and h.  As a is shared by a
    row, h . z_c rises with s(u, c), so the candidate chosen is that of DNS: only one vector needs
    to be mixed, and only the loss differs.  Hop mixing has no counterpart without a graph.

    Source: Huang et al., KDD 2021 (its positive mixing).
    Cost: T N scores without gradient, one mixed vector per target.
    """

    search_space = {"N": [10, 50, 100, 200]}

    def __init__(self, *, N: int = 100) -> None:
        """
        Args:
            N: size of the candidate pool.
        """
        check_pool(N, 1)
        self.N = N

    def sample(self, views: list[View]) -> list[Negatives]:
        generator = self.catalogue.generator
        negatives = []
        for view in views:
            hardest = view.embed(hard_negative(view, self.N, 1, generator))
            positive = view.embed(view.positives[:, None])
            a = torch.rand((len(hardest), 1, 1), generator=generator, device=hardest.device)
            negatives.append(Negatives(vectors=a * positive + (1 - a) * hardest))
        return negatives

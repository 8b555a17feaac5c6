from __future__ import annotations

import torch

from samplers.base import Negatives, Sampler, View, register
from samplers.dns import check_pool, hard_negative


@register("mixgcf")
class MixGCF(Sampler):
    """MixGCF: the hardest of N candidates, mixed with the positive (positive mixing).

    z_c = a E_y + (1 - a) E_c with a ~ U(0, mix), one per target; the negative is the z_c with the
    largest h . z_c, a vector through which gradient reaches E_y, E_c and h.  As a is shared by a
    row, h . z_c rises with s(u, c), so the candidate chosen is that of DNS: only one vector needs
    to be mixed, and only the loss differs.  Hop mixing has no counterpart without a graph.

    The MDCNS comparison's scripts, like the original, train it by BPR, where the mixture only
    changes the slope: s+ - h . z = (1 - a)(s+ - s(u, c)).  Under BCE the negative holds a share a
    of the positive, whose own score it pushes down: a table under BCE alone judges the method by
    a loss that nobody proposed it with.

    Source: Huang et al., KDD 2021 (its positive mixing).
    Cost: T N scores without gradient, one mixed vector per target.
    """

    search_space = {"N": [10, 50, 100, 200], "mix": [0.25, 0.5, 1.0]}

    def __init__(self, *, N: int = 100, mix: float = 1.0) -> None:
        """
        Args:
            N: size of the candidate pool.
            mix: largest share of the positive; 1 is the method's, 0 is DNS.
        """
        check_pool(N, 1)
        check_mix(mix)
        self.N, self.mix = N, mix

    def sample(self, views: list[View]) -> list[Negatives]:
        generator = self.catalogue.generator
        return [mixed_negative(view, self.N, 1, self.mix, generator) for view in views]


def check_mix(mix: float) -> None:
    """Refuse a share of the positive outside [0, 1]."""
    if not 0 <= mix <= 1:
        raise ValueError(f"mix={mix}: must lie in [0, 1]")


def mixed_negative(view: View, N: int, M: int, mix: float, generator: torch.Generator) -> Negatives:
    """``vectors [T, 1, d]``: the pick of DNS(M, N), mixed with the positive."""
    ids = hard_negative(view, N, M, generator)
    hard = view.embed(ids)
    positive = view.embed(view.positives[:, None])
    a = mix * torch.rand((len(hard), 1, 1), generator=generator, device=hard.device)
    return Negatives(vectors=a * positive + (1 - a) * hard, made_of=ids)

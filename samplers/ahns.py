from __future__ import annotations

import torch
import torch.nn.functional as F

from samplers.base import Negatives, Sampler, View, register, require


@register("ahns")
class AHNS(Sampler):
    """AHNS: the candidate whose score fits the positive's: harder the worse the positive scores.

    v = argmin over the candidates of |s(u, c) - beta (s+ + alpha)^(p + 1)|, p < -1.  The authors
    put the raw s+ in (``raw``).  Products of a sequence encoder can be negative: at s+ = -alpha
    that form is singular, and below it changes sign.  Hence softplus(s+), which is s+ where that
    is large: with alpha .1, beta .4 and p = -2 the hardness aimed at is .50 at s+ = 0, where the
    raw form has 4.0; from s+ = 2 on they are nearly the same (.18 and .19).

    The size C of its pool is its own and not the protocol's N, because it is no budget here: among
    many candidates there is always one at the hardness aimed at, so that what scores higher is
    never pushed down, and with C = 100 training on LastFM does not get past popularity ranking.
    Defaults are those published for MovieLens 1M.

    Source: Lai et al., Adaptive hardness negative sampling for collaborative filtering, AAAI 2024.
    Cost: T C scores without gradient.
    """

    search_space = {
        "C": [8, 16, 32],
        "alpha": [0.1, 0.5, 1.0, 1.5],
        "beta": [0.1, 0.2, 0.4],
        "p": [-2.0, -3.0],
    }

    def __init__(
        self,
        *,
        C: int = 16,
        alpha: float = 0.1,
        beta: float = 0.4,
        p: float = -2.0,
        raw: bool = False,
    ) -> None:
        """
        Args:
            C: size of the candidate pool.
            alpha: shift of the positive's score.
            beta: scale of the hardness aimed at.
            p: exponent, below -1: how fast hardness falls as the positive's score rises.
            raw: put s+ itself into the hardness, as the authors do; p must then be whole.
        """
        require(C >= 1, f"C={C}: the candidate pool needs at least one item")
        require(alpha > 0, f"alpha={alpha}: must be positive")
        require(beta > 0, f"beta={beta}: must be positive")
        require(p < -1, f"p={p}: must lie below -1")
        require(not raw or p == round(p), f"p={p}: must be whole where raw is on")
        self.C, self.alpha, self.beta, self.p, self.raw = C, alpha, beta, p, raw

    @property
    def pool_size(self) -> int:
        return self.C

    def sample(self, views: list[View]) -> list[Negatives]:
        negatives = []
        for view in views:
            pool = view.pool(self.C)
            positive = view.score_positives()  # with gradient, for the loss
            with torch.no_grad():
                size = positive if self.raw else F.softplus(positive)
                hardness = self.beta * (size + self.alpha) ** (self.p + 1)
                column = (view.score(pool) - hardness[:, None]).abs().argmin(dim=1, keepdim=True)
            ids = pool.gather(1, column)
            negatives.append(Negatives(ids=ids, known_positive_scores=positive))
        return negatives

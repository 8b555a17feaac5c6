from __future__ import annotations

import torch
import torch.nn.functional as F

from samplers.base import Negatives, Sampler, View, register, require
from samplers.dns import check_pool


@register("ahns")
class AHNS(Sampler):
    """AHNS: the candidate whose score fits the positive's: harder the worse the positive scores.

    v = argmin over C_N of |s(u, c) - beta (s+ + alpha)^(p + 1)|, p < -1.  The published form is
    singular at s+ = -alpha and changes sign below it, which products of a sequence encoder reach;
    softplus(s+), which is s+ where that is large, stands in for s+.

    Source: Lai et al., Adaptive hardness negative sampling for collaborative filtering, AAAI 2024.
    Cost: T N scores without gradient.
    """

    search_space = {
        "N": [16, 32, 100],
        "alpha": [0.1, 0.5, 1.0, 1.5],
        "beta": [0.1, 0.2, 0.4, 1.0],
        "p": [-2.0, -3.0],
    }

    def __init__(
        self, *, N: int = 100, alpha: float = 1.0, beta: float = 0.1, p: float = -2.0
    ) -> None:
        """
        Args:
            N: size of the candidate pool.
            alpha: shift of the positive's score.
            beta: scale of the hardness aimed at.
            p: exponent, below -1: how fast hardness falls as the positive's score rises.
        """
        check_pool(N, 1)
        require(alpha > 0, f"alpha={alpha}: must be positive")
        require(beta > 0, f"beta={beta}: must be positive")
        require(p < -1, f"p={p}: must lie below -1")
        self.N, self.alpha, self.beta, self.p = N, alpha, beta, p

    def sample(self, views: list[View]) -> list[Negatives]:
        negatives = []
        for view in views:
            pool = view.pool(self.N)
            with torch.no_grad():
                positive = F.softplus(view.positive_scores)
                hardness = self.beta * (positive + self.alpha) ** (self.p + 1)
                column = (view.score(pool) - hardness[:, None]).abs().argmin(dim=1, keepdim=True)
            negatives.append(Negatives(ids=pool.gather(1, column)))
        return negatives

from __future__ import annotations

import torch

from samplers.base import Negatives, Sampler, View, register, require_weights
from samplers.dns import check_pool, one_of_top


@register("dns+3")
class DNSThree(Sampler):
    """Control: DNS(M, N) drawn three times a row, with weights as MDCNS has; one model, no peer.

    As many loss terms as MDCNS, from self alone: what is left of its gain here does not come from
    the peer.  The weights are those of one model's loss in MDCNS; gamma is 3 here, of the paper's
    grid, and 1 in ``mdcns``, for which ``dns+3.gamma=1`` is as much loss.  With M = 1 the three
    draws are one item, and under bce and bpr the loss is that of DNS times alpha + beta + gamma, a
    factor to which Adam is blind.

    Cost: T N scores without gradient.
    """

    search_space = {"M": [1, 5, 10, 20, 50], "gamma": [0.5, 1.0, 2.0, 3.0]}

    def __init__(
        self,
        *,
        N: int = 100,
        M: int = 10,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 3.0,
    ) -> None:
        """
        Args:
            N: size of the candidate pool.
            M: how many of the best to draw from.
            alpha: weight of the first draw.
            beta: weight of the second.
            gamma: weight of the third.
        """
        check_pool(N, M)
        require_weights(alpha=alpha, beta=beta, gamma=gamma)
        self.N, self.M, self.weights = N, M, (alpha, beta, gamma)

    def sample(self, views: list[View]) -> list[Negatives]:
        negatives = []
        used = [k for k, weight in enumerate(self.weights) if weight > 0]
        for view in views:
            pool = view.pool(self.N)
            with torch.no_grad():
                scores = view.score(pool)
                columns = [one_of_top(scores, self.M, self.catalogue.generator) for _ in range(3)]
            weights = torch.tensor([self.weights[k] for k in used], device=pool.device)
            ids = pool.gather(1, torch.cat([columns[k] for k in used], dim=1))
            negatives.append(Negatives(ids=ids, weights=weights))
        return negatives

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.objectives.base import Objective, register, weighted_terms


@register("bpr")
class BayesianPersonalisedRanking(Objective):
    """Bayesian personalised ranking: -log σ(s+ - s-), a term for each negative.

    Rendle et al., UAI 2009.
    """

    def loss(
        self,
        positive: Tensor,
        negative: Tensor,
        weights: Tensor | None = None,
        log_q: Tensor | None = None,
    ) -> Tensor:
        return weighted_terms(F.softplus(negative - positive[:, None]), weights)

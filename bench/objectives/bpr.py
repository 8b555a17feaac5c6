from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.objectives.base import Objective, register, weighted_terms
from samplers.base import Scored


@register("bpr")
class BayesianPersonalisedRanking(Objective):
    """Bayesian personalised ranking: -log σ(s+ - s-), a term for each negative.

    Rendle et al., UAI 2009.
    """

    def loss(self, scored: Scored) -> Tensor:
        difference = scored.negative - scored.positive[:, None]
        return weighted_terms(F.softplus(difference), scored.negatives)

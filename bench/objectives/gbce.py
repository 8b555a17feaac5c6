from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.objectives.base import Objective, register
from samplers.base import Scored, require


@register("gbce")
class GeneralisedBCE(Objective):
    """gBCE: binary cross-entropy whose positive is tempered to undo the effect of sampling.

    L = -(log σ(s+)^β + sum_k log(1 - σ(s-_k))) / (K + 1) with β = 1 - t (1 - a), a = K / (I - 1)
    the sampling rate.  t = 0 is plain BCE; t = 1 makes σ(s) a calibrated probability.  The
    reference code reaches σ^β through a float64 logit transform; β softplus(-s+) is the same.
    A sampler's weights multiply the terms of the sum, in which 1 is the usual one, and not 1 / K as
    in bce: a sampler whose weights sum to 1 gives its negatives K times less here.

    Source: Petrov and Macdonald, gSASRec, RecSys 2023.
    """

    search_space = {"t": [0.0, 0.5, 0.75, 0.9, 1.0]}

    def __init__(self, *, t: float = 0.75) -> None:
        """
        Args:
            t: calibration, from 0 to 1.
        """
        require(0 <= t <= 1, f"t={t}: must lie in [0, 1]")
        self.t = t

    def loss(self, scored: Scored) -> Tensor:
        weights = scored.negatives.weights
        K, n_items = scored.negative.shape[1], len(scored.view.table) - 1
        a = K / (n_items - 1)
        beta = 1 - self.t * (1 - a)
        terms = F.softplus(scored.negative)
        if weights is not None:
            terms = terms * weights
        return (beta * F.softplus(-scored.positive) + terms.sum(dim=1)).mean() / (K + 1)

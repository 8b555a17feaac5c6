from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.objectives.base import Objective, register, weighted_terms
from samplers.base import Scored


@register("bce")
class BinaryCrossEntropy(Objective):
    """Binary cross-entropy: -log σ(s+) - log(1 - σ(s-)), a term for each negative.

    Each negative brings the positive's term with it (as in MDCNS, whose loss is a weighted sum of
    such pairs), so weights that sum to one keep positives and negatives in balance.  Written with
    softplus: ``log(sigmoid(x) + eps)`` has no gradient once the sigmoid underflows.
    """

    def loss(self, scored: Scored) -> Tensor:
        terms = F.softplus(-scored.positive)[:, None] + F.softplus(scored.negative)
        return weighted_terms(terms, scored.negatives)

from __future__ import annotations

import torch
from torch import Tensor

from bench.objectives.base import Objective, register
from samplers.base import Scored, require


@register("softmax")
class SampledSoftmax(Objective):
    """Sampled softmax: -log of the positive's share among itself and all K negatives.

    z = s / T - log q, where q is how often the proposal is expected to bring an item into its
    row, so that the negatives stand for the whole catalogue in proportion (logQ correction); of a
    sampler that does not say its q, z = s / T, and ``correct`` changes nothing.  The positive,
    present in any case, is corrected only where the sampler says that its proposal brings it too
    (in-batch negatives).  Weights count as multiplicities.

    Source: Jean et al., ACL 2015 (sampled softmax); Yi et al., RecSys 2019 (in-batch, logQ).
    """

    search_space = {"correct": [True, False]}

    def __init__(self, *, correct: bool = True, temperature: float = 1.0) -> None:
        """
        Args:
            correct: whether to subtract log q.
            temperature: T, of the scores.
        """
        require(temperature > 0, f"temperature={temperature}: must be positive")
        self.correct, self.temperature = correct, temperature

    def loss(self, scored: Scored) -> Tensor:
        negatives = scored.negatives
        negative = scored.negative / self.temperature
        positive = scored.positive / self.temperature
        if self.correct and negatives.log_q is not None:
            negative = negative - negatives.log_q
            if negatives.log_q_positive is not None:
                positive = positive - negatives.log_q_positive
        if negatives.weights is not None:
            negative = negative + negatives.weights.log()
        logits = torch.cat([positive[:, None], negative], dim=1)
        return (logits.logsumexp(dim=1) - positive).mean()

from __future__ import annotations

from samplers.base import Negatives, Sampler, View, register


@register("in-batch")
class InBatch(Sampler):
    """In-batch negatives: the other targets' positives, with logQ correction, under the softmax.

    The T positives of the batch are everybody's negatives, less what is the target's own positive
    or in its history.  An item comes into a batch T q(i) times on average, q(i) being its share
    of the training targets; log of that is subtracted from its score, the positive's included.

    Source: Yi et al., Sampling-bias-corrected neural modeling, RecSys 2019.
    Cost: T^2 scores, with gradient.
    """

    objective = "softmax"

    @property
    def pool_size(self) -> int:
        return 0

    def sample(self, views: list[View]) -> list[Negatives]:
        ids = views[0].positives
        log_q = (len(ids) * self.catalogue.target_shares[ids]).log()
        legal = views[0].legal(ids)
        return [Negatives(ids=ids, legal=legal, log_q=log_q, log_q_positive=log_q) for _ in views]

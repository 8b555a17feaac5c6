from __future__ import annotations

from torch import Tensor

from samplers.base import Negatives, Sampler, View, register


@register("in-batch")
class InBatch(Sampler):
    """In-batch negatives: the other targets' positives, with logQ correction, under the softmax.

    The T positives of the batch are everybody's negatives, less what is the target's own positive
    or in its history, and less the positives of its own sequence (see `of_other_sequences`).  An
    item comes into a batch T q(i) times on average, q(i) being its share of the training targets;
    log of that is subtracted from its score, the positive's included.

    The T q(i) is an approximation: to save padding, a batch holds windows of like length, so that
    q(i) is the share among all of them where the batch has those of one length, and where these
    are few, the same ones in every epoch.  Nor does it leave out the target's own sequence, from
    which no negative comes: q(i) is too large by its share of the batch, 2 % on Beauty and 3.5 %
    on LastFM, on average.

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
        legal = views[0].legal(ids) & of_other_sequences(views[0])
        return [Negatives(ids=ids, legal=legal, log_q=log_q, log_q_positive=log_q) for _ in views]


def of_other_sequences(view: View) -> Tensor:
    """``[T, T]`` bool: whether a target (down) may have another one's positive (across).

    In one-pass training the targets of a sequence are in one batch together.  Its later items are
    there with certainty, not with the T q(i) that the correction supposes, and would weigh
    1 / (T q(i)) each time although the user does choose them.
    """
    return view.sequences[:, None] != view.sequences

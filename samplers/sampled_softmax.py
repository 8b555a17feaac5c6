from __future__ import annotations

from samplers.base import Negatives, Sampler, View, register
from samplers.dns import check_pool


@register("sampled-softmax")
class SampledSoftmax(Sampler):
    """Sampled softmax over the whole candidate pool: all N uniform items are negatives.

    Uses every score that a hard sampler computes and throws away, with one model.  With logQ
    correction (``softmax.correct``) each of the N stands for |A_u| / N items, A_u being what is
    legal; without, for itself.

    Source: Jean et al., On using very large target vocabulary for neural machine translation,
    ACL 2015.
    Cost: T N scores, with gradient.
    """

    objective = "softmax"
    search_space = {"N": [50, 100, 200, 500]}

    def __init__(self, *, N: int = 100) -> None:
        """
        Args:
            N: size of the candidate pool.
        """
        check_pool(N, 1)
        self.N = N

    def sample(self, views: list[View]) -> list[Negatives]:
        targets = views[0].targets
        legal = self.catalogue.n_items - targets.history.count(targets.sequences, targets.positions)
        log_q = (self.N / legal).log()[:, None]
        return [Negatives(ids=view.pool(self.N), log_q=log_q) for view in views]

from __future__ import annotations

import torch

from samplers.base import Negatives, Sampler, View, register, require
from samplers.in_batch import of_other_sequences


@register("mixed")
class Mixed(Sampler):
    """Mixed negatives: in-batch ones and N uniform ones shared by the batch, under the softmax.

    In-batch negatives alone hardly ever show the model an unpopular item; the uniform ones do.
    logQ correction with the mixture's q: an item is met T q(i) + N / I times on average.  The
    in-batch ones are of other sequences, as those of `in-batch` are, and T q(i) is as approximate.

    Source: Yang et al., Mixed negative sampling for learning two-tower neural networks in
    recommendations, WWW 2020 companion.
    Cost: T (T + N) scores, with gradient.
    """

    objective = "softmax"
    search_space = {"N": [50, 100, 200, 500]}

    def __init__(self, *, N: int = 100) -> None:
        """
        Args:
            N: uniform negatives, drawn with replacement, once for the whole batch.
        """
        require(N >= 1, f"N={N}: needs at least one uniform negative (without: in-batch)")
        self.N = N

    @property
    def pool_size(self) -> int:
        return 1  # the N are drawn with replacement

    def sample(self, views: list[View]) -> list[Negatives]:
        catalogue, positives = self.catalogue, views[0].positives
        uniform = torch.randint(
            1,
            catalogue.n_items + 1,
            (self.N,),
            generator=catalogue.generator,
            device=catalogue.device,
        )
        ids = torch.cat([positives, uniform])
        met = len(positives) * catalogue.target_shares[ids] + self.N / catalogue.n_items
        log_q = met.log()
        legal = views[0].legal(ids)
        legal[:, : len(positives)] &= of_other_sequences(views[0])
        return [
            Negatives(ids=ids, legal=legal, log_q=log_q, log_q_positive=log_q[: len(positives)])
            for _ in views
        ]

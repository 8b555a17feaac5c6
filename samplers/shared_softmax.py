from __future__ import annotations

import torch

from samplers.base import Negatives, Sampler, View, register, require


@register("shared-softmax")
class SharedSoftmax(Sampler):
    """Sampled softmax whose N uniform negatives are drawn once for the whole batch.

    As most libraries do it: the scores are one product of states and N item vectors, in place of
    other N for each target (``sampled-softmax``).  What is the target's positive, or in its
    history, does not count for it.  Each of the N is met N / I times on average.

    Source: Jean et al., On using very large target vocabulary for neural machine translation,
    ACL 2015, where the negatives of a partition are shared.
    Cost: T N scores in one product, with gradient.
    """

    objective = "softmax"
    search_space = {"N": [50, 100, 200, 500]}

    def __init__(self, *, N: int = 100) -> None:
        """
        Args:
            N: uniform negatives, drawn with replacement.
        """
        require(N >= 1, f"N={N}: needs at least one negative")
        self.N = N

    @property
    def pool_size(self) -> int:
        return 1  # the N are drawn with replacement

    def sample(self, views: list[View]) -> list[Negatives]:
        catalogue = self.catalogue
        ids = torch.randint(
            1,
            catalogue.n_items + 1,
            (self.N,),
            generator=catalogue.generator,
            device=catalogue.device,
        )
        legal = views[0].legal(ids)
        log_q = torch.full((self.N,), self.N / catalogue.n_items, device=ids.device).log()
        return [Negatives(ids=ids, legal=legal, log_q=log_q) for _ in views]

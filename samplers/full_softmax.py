from __future__ import annotations

import torch

from samplers.base import Negatives, Sampler, View, register


@register("full-softmax")
class FullSoftmax(Sampler):
    """Full softmax: no sampling; objective ce sets every item against the positive.

    The reference that sampling stands in for.  What the user has had counts as a negative, too,
    as is usual.  There is nothing to draw, so the negatives handed over are none.

    Cost: T I scores, with gradient.
    """

    objective = "ce"

    @property
    def pool_size(self) -> int:
        return 0

    def sample(self, views: list[View]) -> list[Negatives]:
        none = torch.empty(0, dtype=torch.int64, device=self.catalogue.device)
        return [Negatives(ids=none) for _ in views]

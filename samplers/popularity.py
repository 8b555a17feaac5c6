from __future__ import annotations

import torch
from torch import Tensor

from samplers.base import Catalogue, Negatives, Sampler, View, register, require


@register("popularity")
class Popularity(Sampler):
    """PNS: K legal items in proportion to count^power (popularity negative sampling).

    q(i) = c_i^b / sum_j c_j^b over the legal items, c_i the item's training interactions, each
    counted once.  Items that never occur in training are not drawn, except for a user who has met
    nearly all that occur: after many illegal draws the choice is uniform.

    Source: the unigram^0.75 proposal of word2vec (Mikolov et al., NeurIPS 2013).
    Cost: O(T K log I), no scores.
    """

    search_space = {"power": [0.25, 0.5, 0.75, 1.0], "K": [1, 5, 20]}

    def __init__(self, *, power: float = 0.75, K: int = 1) -> None:
        """
        Args:
            power: b; 0 is uniform over the items seen in training.
            K: negatives per target.
        """
        require(K >= 1, f"K={K}: needs at least one negative per target")
        require(power >= 0, f"power={power}: must not be negative")
        self.power, self.K = power, K

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        counts = catalogue.counts.double()
        relative = counts / counts.max()  # at most 1, so that no power overflows
        self._cumulative = torch.where(counts > 0, relative**self.power, 0.0).cumsum(0)

    def sample(self, views: list[View]) -> list[Negatives]:
        ids = views[0].draw(self.K, self._propose)
        return [Negatives(ids=ids) for _ in views]

    def _propose(self, rows: Tensor, K: int) -> Tensor:
        cumulative = self._cumulative
        uniform = torch.rand(
            (len(rows), K),
            generator=self.catalogue.generator,
            dtype=cumulative.dtype,
            device=cumulative.device,
        )
        # right=True: a draw equal to a boundary belongs to the item above it, so that items of
        # zero mass (id 0 among them) are never hit.
        return torch.searchsorted(cumulative, uniform * cumulative[-1], right=True)

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from samplers.base import Catalogue, Negatives, Sampler, View, register, require, variant
from samplers.dns import check_pool, one_of_top
from samplers.gnno import ROUNDS, Overlap, check_curriculum, draw_by_overlap


@register("gnno-released")
class GNNOReleased(Sampler):
    """GNNO as in the MDCNS comparison: DNS(M, N) over candidates of which some share neighbours.

    At epoch e, ``hard`` of the N candidates are drawn by the law of `gnno` with c =
    min(start + pace e, c_max), the others uniformly; the negative is one of the M highest-scoring
    of all N.  That law is nearly uniform, so that this is nearly DNS(M, N); with
    ``law="proportional"`` (``gnno-proportional``) the hard ones are drawn in proportion to the
    overlap itself, p(j) ~ J(y, j) [0 < J(y, j) <= c], and a positive without such items, or with
    so few that forty redraws find none, gets uniform ones.

    The release's scripts train it by BPR and sweep M from 1 to 50.

    Source: Fan et al., SIGIR 2023, as in the released code of the MDCNS comparison.
    Cost: T N scores without gradient; memory as of `gnno`, and 8 bytes more for each pair of items
    that overlap where the law is proportional.
    """

    search_space = {"M": [1, 5, 10, 20, 50], "c_max": [0.2, 0.4]}

    def __init__(
        self,
        *,
        N: int = 100,
        M: int = 10,
        hard: int = 10,
        start: float = 0.05,
        pace: float = 0.01,
        c_max: float = 0.4,
        law: Literal["softmax", "proportional"] = "softmax",
    ) -> None:
        """
        Args:
            N: size of the candidate pool.
            M: how many of the best to draw from.
            hard: how many of the N are drawn by overlap.
            start: largest overlap allowed, less one ``pace``, in the first epoch (in the release
                it is ``start`` itself: there the rise is one epoch later).
            pace: its rise per epoch.
            c_max: where it stops.
            law: of the hard ones.
        """
        check_pool(N, M)
        require(1 <= hard < N, f"hard={hard}: must lie between 1 and N - 1 = {N - 1}")
        check_curriculum(start, pace, c_max)
        self.N, self.M, self.hard, self.law = N, M, hard, law
        self.start, self.pace, self.c_max = start, pace, c_max

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        self._overlap = Overlap.of(catalogue)
        if self.law == "proportional":
            self._running = running_sum(self._overlap)

    def sample(self, views: list[View]) -> list[Negatives]:
        view, generator = views[0], self.catalogue.generator
        c = min(self.start + self.pace * view.epoch, self.c_max)
        if self.law == "softmax":
            hard = draw_by_overlap(view, self._overlap, self.hard, c, generator)
        else:
            hard = self._in_proportion(view, c)
        negatives = []
        for each in views:
            candidates = torch.cat([hard, each.pool(self.N - self.hard)], dim=1)
            with torch.no_grad():
                chosen = one_of_top(each.score(candidates), self.M, generator)
            negatives.append(Negatives(ids=candidates.gather(1, chosen)))
        return negatives

    def _in_proportion(self, view: View, c: float) -> Tensor:
        """``[T, hard]`` legal draws with replacement, p(j) ~ J(y, j) [0 < J(y, j) <= c]."""
        overlap, running = self._overlap, self._running

        def propose(rows: Tensor, K: int) -> Tensor:
            y = view.positives[rows]
            low, high = running[overlap.first[y]], running[overlap.first[y + 1]]
            u = torch.rand(
                (len(rows), K),
                generator=self.catalogue.generator,
                dtype=running.dtype,
                device=rows.device,
            )
            mass = low[:, None] + u * (high - low)[:, None]
            index = torch.searchsorted(running, mass, right=True) - 1
            ids = overlap.ids[index.clamp(max=len(overlap.ids) - 1)].long()
            ids = torch.where((high > low)[:, None], ids, view.targets.uniform(rows, K))
            # What is too much alike is given back as the positive, which is drawn again.
            return torch.where(overlap.jaccard(y, ids) <= c, ids, y[:, None])

        return view.draw(self.hard, propose, ROUNDS)


def running_sum(overlap: Overlap) -> Tensor:
    """``[m + 1]`` float64: sums of J over all entries before each; an item with itself counts 0."""
    count = overlap.first.diff()
    y = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    ids, common = overlap.ids.long(), overlap.common.double()
    J = common / (overlap.degree[y] + overlap.degree[ids] - common)
    return torch.cat([J.new_zeros(1), torch.where(ids == y, 0.0, J).cumsum(0)])


variant(
    "gnno-proportional",
    "gnno-released",
    "GNNO in which overlap attracts: hard candidates in proportion to it.",
    law="proportional",
)

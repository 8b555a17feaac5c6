from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from samplers.base import Catalogue, Negatives, Sampler, View, register, require

DISTANCE = 3
"""Items so far apart in a sequence, or nearer, are neighbours."""
ROWS_AT_ONCE = 1024
DENSE = 2**24
"""Pairs of items up to which the overlap of all is kept, 64 MB; a look-up is several times as fast
as a search."""
ROUNDS = 40
"""Redraws of what the law of hard negatives rejects.  Of the items that are alike little enough it
accepts at least e^-c_max; where they are few, they are found by name in the end."""
PAIRS_AT_ONCE = 2**20
"""Targets x items whose overlaps are looked up together."""


@register("gnno")
class GNNO(Sampler):
    """GNNO: hard negatives by the overlap of neighbourhoods, beside a uniform one.

    Items at most three steps apart in a training sequence are neighbours (a binary, symmetric
    graph); J(y, j) = |N(y) and N(j)| / |N(y) or N(j)|.  From epoch ``begin`` + 1 on every target
    has ``hard`` more negatives, drawn with replacement with

        p(j) ~ exp(J(y, j)) [J(y, j) <= c],   c = min(pace (epoch - begin - 1), c_max)

    over the whole catalogue, the legal items of it, and they share one mean loss with the K uniform
    ones; a target without such an item has uniform ones, too.  As the authors have it: softmax over
    J, of which nearly all are 0, is close to uniform (on Beauty within .010 of it in total
    variation); what the law does is to leave out the items that are most alike (J(y, y) = 1 among
    them), fewer of them as training goes on.

    The authors train another encoder, with a contrastive loss beside, by BPR; ``gnno-released`` is
    the MDCNS comparison's reading, ``gnno-proportional`` one in which overlap really attracts.

    Source: Fan et al., Neighborhood-based hard negative mining for sequential recommendation,
    SIGIR 2023, and its authors' code.
    Cost: O(T (K + hard)) draws, no scores, and a look at all items for a target whose redraws find
    none, as for most on KuaiRand at c = 0 (three times the step there); once, a sparse product of
    the item graph with itself, of which 6 bytes for each pair of items that overlap are kept (on
    Beauty 180 MB).
    """

    search_space = {"hard": [1, 3, 5, 10], "c_max": [0.3, 0.7], "begin": [0, 5]}

    def __init__(
        self,
        *,
        K: int = 1,
        hard: int = 3,
        begin: int = 5,
        pace: float = 0.01,
        c_max: float = 0.7,
    ) -> None:
        """
        Args:
            K: uniform negatives per target.
            hard: negatives per target that are drawn by overlap.
            begin: epochs without hard negatives.
            pace: rise of the largest overlap allowed, per epoch; it starts at 0.
            c_max: where it stops.
        """
        require(K >= 1, f"K={K}: needs at least one uniform negative per target")
        require(hard >= 1, f"hard={hard}: needs at least one hard negative per target")
        require(begin >= 0, f"begin={begin}: must not be negative")
        check_curriculum(0.0, pace, c_max)
        self.K, self.hard, self.begin, self.pace, self.c_max = K, hard, begin, pace, c_max

    @classmethod
    def known_as(cls, name: str, hyper: Mapping[str, Any]) -> str:
        """``gnno`` once was `gnno-proportional`, of 500 neighbours an item at most."""
        return "gnno-proportional" if "M" in hyper else name

    @property
    def pool_size(self) -> int:
        return self.K

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        self._overlap = Overlap.of(catalogue)

    def sample(self, views: list[View]) -> list[Negatives]:
        view = views[0]
        ids = view.pool(self.K)
        if view.epoch > self.begin:
            c = min(self.pace * (view.epoch - self.begin - 1), self.c_max)
            hard = draw_by_overlap(view, self._overlap, self.hard, c, self.catalogue.generator)
            ids = torch.cat([ids, hard], dim=1)
        return [Negatives(ids=ids) for _ in views]


def check_curriculum(start: float, pace: float, c_max: float) -> None:
    """Refuse a largest overlap that is none."""
    require(0 < c_max <= 1, f"c_max={c_max}: must lie in (0, 1]")
    require(start >= 0 and pace >= 0, f"start={start}, pace={pace}: must not be negative")


def draw_by_overlap(
    view: View, overlap: Overlap, K: int, c: float, generator: torch.Generator
) -> Tensor:
    """``[T, K]`` legal draws with replacement, p(j) ~ exp(J(y, j)) [J(y, j) <= c].

    By rejection: a uniform item is kept with probability exp(J - c).  What is rejected is given
    back as the positive, which is illegal for its row, so that it is drawn again.  What is rejected
    to the end is drawn from a list of all items, and is uniform where none of them has J <= c.
    """

    def propose(rows: Tensor, K: int) -> Tensor:
        y, ids = view.positives[rows], view.targets.uniform(rows, K)
        J = overlap.jaccard(y, ids)
        u = torch.rand(ids.shape, generator=generator, device=ids.device)
        kept = (c >= J) & (u < (J - c).exp())
        return torch.where(kept, ids, y[:, None])

    ids = view.draw(K, propose, ROUNDS)
    rejected = overlap.jaccard(view.positives, ids) > c
    targets, n_columns = view.targets, len(overlap.degree)
    for some in rejected.any(dim=1).nonzero()[:, 0].split(max(1, PAIRS_AT_ONCE // n_columns)):
        everything = torch.arange(n_columns, device=ids.device).expand(len(some), -1)
        J = overlap.jaccard(view.positives[some], everything)
        out = targets.history.met_of_all(targets.sequences[some], targets.positions[some])
        law = J.exp().masked_fill_(out | (c < J) | (everything == 0), 0.0)
        possible = law.any(dim=1)
        drawn = torch.multinomial(law[possible], K, replacement=True, generator=generator)
        some = some[possible]
        ids[some] = torch.where(rejected[some], drawn, ids[some])
    return ids


@dataclass(frozen=True)
class Overlap:
    """How many neighbours any two items have in common, in sparse rows.

    Attributes:
        first: ``[n_items + 2]`` where each item's stretch of the next two starts.
        ids: ``[m]`` int32, the items with a common neighbour, rising within a stretch.
        common: ``[m]`` how many these are.
        degree: ``[n_items + 1]`` neighbours of each item.
    """

    first: Tensor
    ids: Tensor
    common: Tensor
    degree: Tensor

    @classmethod
    def of(cls, catalogue: Catalogue) -> Overlap:
        """Of the graph of a training set."""
        items, offsets = catalogue.items.cpu().numpy(), catalogue.offsets.cpu().numpy()
        graph = neighbours(items, offsets, catalogue.n_items)
        degree = np.diff(graph.indptr)
        kind = np.int16 if degree.max(initial=0) < 2**15 else np.int32
        counts, ids, common = [np.zeros(1, dtype=np.int64)], [], []
        for begin in range(0, catalogue.n_items + 1, ROWS_AT_ONCE):
            part = sp.csr_array(graph[begin : begin + ROWS_AT_ONCE] @ graph.T)
            part.sort_indices()
            counts.append(np.diff(part.indptr))
            ids.append(part.indices.astype(np.int32))
            common.append(part.data.astype(kind))
        arrays = (np.cumsum(np.concatenate(counts)), *map(np.concatenate, (ids, common)), degree)
        first, *rest = (torch.as_tensor(array, device=catalogue.device) for array in arrays)
        return cls(first.long(), *rest)

    def jaccard(self, y: Tensor, ids: Tensor) -> Tensor:
        """``[R, K]`` J(y, j) of items ``y [R]`` and ``ids [R, K]``; 0 where nothing is common."""
        return self._search(y, ids) if self._dense is None else self._dense[y[:, None], ids]

    @cached_property
    def _dense(self) -> Tensor | None:
        """``[n_items + 1, n_items + 1]`` J, in a small catalogue."""
        items = torch.arange(len(self.degree), device=self.degree.device)
        if len(items) ** 2 > DENSE:
            return None
        rows = items.split(ROWS_AT_ONCE)
        return torch.cat([self._search(y, items.expand(len(y), -1)) for y in rows])

    def _search(self, y: Tensor, ids: Tensor) -> Tensor:
        """`jaccard`, by bisection."""
        low = self.first[y][:, None].expand_as(ids).clone()
        end = self.first[y + 1][:, None]
        high = end.expand_as(ids).clone()
        last = max(0, len(self.ids) - 1)
        for _ in range(int(self.first.diff().max()).bit_length()):  # bisection, all pairs abreast
            middle = (low + high) // 2
            below = (middle < high) & (self.ids[middle.clamp(max=last)] < ids)
            low, high = torch.where(below, middle + 1, low), torch.where(below, high, middle)
        found = (low < end) & (self.ids[low.clamp(max=last)] == ids)
        common = torch.where(found, self.common[low.clamp(max=last)].long(), 0)
        union = self.degree[y][:, None] + self.degree[ids] - common
        return common / union.clamp(min=1)


def neighbours(items: np.ndarray, offsets: np.ndarray, n_items: int) -> sp.csr_array:
    """``[n_items + 1, n_items + 1]`` 1 where two items stand near each other in a sequence."""
    sequence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    pairs = []
    for k in range(1, DISTANCE + 1):
        together = sequence[k:] == sequence[:-k]
        pairs.append(np.stack([items[:-k][together], items[k:][together]]))
    i, j = np.concatenate(pairs, axis=1)
    ones = np.ones(2 * len(i), dtype=np.int32)
    where = (np.concatenate([i, j]), np.concatenate([j, i]))
    graph = sp.csr_array((ones, where), shape=(n_items + 1, n_items + 1))
    graph.sum_duplicates()
    graph.data[:] = 1
    return graph

from __future__ import annotations

from functools import partial

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from samplers.base import Catalogue, Negatives, Sampler, View, register, require
from samplers.dns import check_pool, one_of_top

DISTANCE = 3
"""Items so far apart in a sequence, or nearer, are neighbours."""
KEPT = 500
"""Overlapping items kept for each item, a random choice of those that it may ever draw."""
ROWS_AT_ONCE = 1024
ROUNDS = 10
"""Redraws before a hard candidate that stays illegal is replaced by a uniform one."""


@register("gnno")
class GNNO(Sampler):
    """GNNO: candidates that share neighbours with the positive, harder ones as training goes on.

    Items at most three steps apart in a training sequence are neighbours (a binary, symmetric
    graph); J(i, j) = |N(i) and N(j)| / |N(i) or N(j)| is their overlap.  At epoch e, ``hard`` of
    the N candidates are drawn with probability proportional to J(y, j) among the items with
    0 < J(y, j) <= c_e, c_e = min(start + pace e, c_max); the others are uniform.  The negative is
    the pick of DNS(M, N) among all N.  A positive without such items gets uniform candidates.

    The released code of the MDCNS comparison draws in proportion to softmax(J) over the whole
    catalogue, of which almost every J is 0: nearly uniform, so that its GNNO is nearly DNS(M, N).
    Here the overlap itself is the weight.  Of an item that overlaps with many by at most c_max, a
    random 500 are kept.  ``epochs.csv`` has the share of targets without a hard candidate.

    Source: Fan et al., Neighborhood-based hard negative mining for sequential recommendation,
    SIGIR 2023; the curriculum and constants as in the MDCNS comparison.
    Cost: T N scores without gradient; once, a sparse product of the item graph with itself.
    """

    search_space = {
        "c_max": [0.2, 0.4, 0.7],
        "pace": [0.01, 0.05],
        "hard": [3, 10],
        "M": [1, 2, 5, 10],
    }

    def __init__(
        self,
        *,
        N: int = 100,
        M: int = 5,
        hard: int = 10,
        start: float = 0.05,
        pace: float = 0.01,
        c_max: float = 0.4,
    ) -> None:
        """
        Args:
            N: size of the candidate pool.
            M: how many of the best to draw from.
            hard: how many of the N are drawn by overlap.
            start: largest overlap allowed at the beginning.
            pace: its rise per epoch.
            c_max: where it stops.
        """
        check_pool(N, M)
        require(1 <= hard < N, f"hard={hard}: must lie between 1 and N - 1 = {N - 1}")
        require(0 < c_max <= 1, f"c_max={c_max}: must lie in (0, 1]")
        require(start >= 0 and pace >= 0, f"start={start}, pace={pace}: must not be negative")
        self.N, self.M, self.hard = N, M, hard
        self.start, self.pace, self.c_max = start, pace, c_max

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        device = catalogue.device
        items, offsets = catalogue.items.cpu().numpy(), catalogue.offsets.cpu().numpy()
        seed = int(torch.randint(2**31, (1,), generator=catalogue.generator, device=device))
        rng = np.random.default_rng(seed)
        overlap = neighbourhood_overlap(items, offsets, catalogue.n_items, self.c_max, rng)
        self._first = torch.as_tensor(overlap.indptr.astype(np.int64), device=device)
        self._ids = torch.as_tensor(overlap.indices.astype(np.int64), device=device)
        # Overlaps rise within a row; with 2 added for each row before, they do from first to last.
        row = np.repeat(np.arange(catalogue.n_items + 1), np.diff(overlap.indptr))
        self._overlap = torch.as_tensor(2.0 * row + overlap.data, device=device)
        # One running sum over all rows; a draw for item y is a search in y's stretch of it.
        total = np.concatenate([[0.0], np.cumsum(overlap.data, dtype=np.float64)])
        self._running = torch.as_tensor(total, device=device)
        self._epoch, self._end = 0, self._first[:-1]
        self._targets, self._without = 0, torch.zeros((), device=device)

    def sample(self, views: list[View]) -> list[Negatives]:
        generator = self.catalogue.generator
        self._allow(views[0].epoch)
        y = views[0].positives
        self._targets += len(y)
        self._without += (self._end[y] == self._first[y]).sum()
        negatives = []
        hard = views[0].draw(self.hard, partial(self._propose, views[0]), ROUNDS)
        for view in views:
            candidates = torch.cat([hard, view.pool(self.N - self.hard)], dim=1)
            with torch.no_grad():
                chosen = one_of_top(view.score(candidates), self.M, generator)
            negatives.append(Negatives(ids=candidates.gather(1, chosen)))
        return negatives

    def diagnostics(self) -> dict[str, float]:
        share = float(self._without) / max(1, self._targets)
        self._targets = 0
        self._without.zero_()
        return {"no_hard_candidate": share}

    def _allow(self, epoch: int) -> None:
        """Find, for each item, where its allowed overlaps end."""
        if epoch != self._epoch:
            self._epoch = epoch
            most = float(np.float32(min(self.start + self.pace * epoch, self.c_max)))
            rows = torch.arange(self.catalogue.n_items + 1, device=self.catalogue.device)
            self._end = torch.searchsorted(self._overlap, 2.0 * rows.double() + most, right=True)

    def _propose(self, view: View, rows: Tensor, K: int) -> Tensor:
        y = view.positives[rows]
        uniform = view.targets.uniform(rows, K)
        if not len(self._ids):
            return uniform
        low, high = self._running[self._first[y]], self._running[self._end[y]]
        u = torch.rand(
            (len(rows), K),
            generator=self.catalogue.generator,
            dtype=self._running.dtype,
            device=rows.device,
        )
        mass = low[:, None] + u * (high - low)[:, None]
        index = torch.searchsorted(self._running, mass, right=True) - 1
        index = torch.minimum(index, (self._end[y] - 1)[:, None]).clamp_(min=0)
        return torch.where((self._end[y] > self._first[y])[:, None], self._ids[index], uniform)


def neighbourhood_overlap(
    items: np.ndarray, offsets: np.ndarray, n_items: int, c_max: float, rng: np.random.Generator
) -> sp.csr_array:
    """J between items: ``[n_items + 1, n_items + 1]``, of each row a random ``KEPT`` of the entries
    in (0, c_max] off the diagonal, in rising order."""
    sequence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    pairs = []
    for k in range(1, DISTANCE + 1):
        together = sequence[k:] == sequence[:-k]
        pairs.append(np.stack([items[:-k][together], items[k:][together]]))
    i, j = np.concatenate(pairs, axis=1)
    shape = (n_items + 1, n_items + 1)
    ones = np.ones(2 * len(i), dtype=np.float32)
    graph = sp.csr_array((ones, (np.concatenate([i, j]), np.concatenate([j, i]))), shape=shape)
    graph.sum_duplicates()
    graph.data[:] = 1
    degree = np.diff(graph.indptr)
    indptr, indices, data = [0], [], []
    for begin in range(0, n_items + 1, ROWS_AT_ONCE):
        common = (graph[begin : begin + ROWS_AT_ONCE] @ graph.T).tocsr()
        for row in range(common.shape[0]):
            stretch = slice(common.indptr[row], common.indptr[row + 1])
            columns, shared = common.indices[stretch], common.data[stretch]
            J = shared / (degree[begin + row] + degree[columns] - shared)
            usable = np.flatnonzero((columns != begin + row) & (c_max >= J))
            if len(usable) > KEPT:
                usable = np.sort(rng.choice(usable, KEPT, replace=False))
            columns, J = columns[usable], J[usable]
            order = np.lexsort((columns, J))  # ties in the order of ids
            indices.append(columns[order])
            data.append(J[order].astype(np.float32))
            indptr.append(indptr[-1] + len(order))
    return sp.csr_array((np.concatenate(data), np.concatenate(indices), indptr), shape=shape)

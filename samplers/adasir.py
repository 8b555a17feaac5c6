from __future__ import annotations

import torch
from torch import Tensor

from samplers.base import Catalogue, Negatives, Sampler, View, register, require
from samplers.srns import last_of_each


@register("adasir")
class AdaSIR(Sampler):
    """AdaSIR: a pool of P items for each user, renewed by sampling-importance-resampling.

    Once an epoch, before its user's targets are trained on: S items drawn uniformly (q is constant
    and cancels) are weighed by w = softmax(s / T), with the model as it is then, and P of them are
    drawn with replacement in proportion to w; each keeps its w.  The user's pool becomes P uniform
    draws from these and from the pool it had.  A target's K negatives are uniform draws from the
    legal part of its user's pool, and their loss terms are weighed by softmax(s + log w) among the
    K, detached (the authors' ``two_pass_weight``, sampler 2; the positive's score cancels).  A
    target for whom nothing in the pool is legal gets uniform items, with w = 1.

    The authors' users are vectors; a user of a sequence model has a state for each target.  The
    pool is renewed with that of the last target in the batch, dropout on.  The authors train it
    by BPR.  ``adasir-released`` is the MDCNS comparison's reading.

    Source: Chen et al., Learning recommenders for implicit feedback with importance resampling,
    WWW 2022, and its authors' code (pool 50, S 200, K 5).
    Cost: S scores without gradient for each user and epoch; memory of 8 P bytes a user.
    """

    search_space = {"S": [100, 200, 500], "P": [10, 50], "K": [1, 5, 10]}

    def __init__(self, *, S: int = 200, P: int = 50, K: int = 5, T: float = 1.0) -> None:
        """
        Args:
            S: proposals per user and epoch.
            P: size of a user's pool.
            K: negatives per target.
            T: temperature of the resampling.
        """
        require(S >= 1, f"S={S}: needs at least one proposal")
        require(P >= 1, f"P={P}: the pool needs at least one item")
        require(K >= 1, f"K={K}: needs at least one negative per target")
        require(T > 0, f"T={T}: must be positive")
        self.S, self.P, self.K, self.T = S, P, K, T

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        shape = (catalogue.n_sequences, self.P)
        self._pools = torch.zeros(shape, dtype=torch.int32, device=catalogue.device)
        self._weights = torch.zeros(shape, device=catalogue.device)
        # The epoch of the last renewal; 0: there is no pool yet.
        self._renewed = torch.zeros(shape[0], dtype=torch.int64, device=catalogue.device)
        self._distinct = DistinctItems(catalogue.device)

    def sample(self, views: list[View]) -> list[Negatives]:
        (view,) = views
        self._renew(view)
        pool, w = self._pools[view.sequences].long(), self._weights[view.sequences]
        legal = view.legal(pool)
        column = categorical(legal.float(), self.K, self.catalogue.generator)
        some = legal.any(dim=1, keepdim=True)
        ids = torch.where(some, pool.gather(1, column), view.draw(self.K, view.targets.uniform))
        log_w = torch.where(some, w.gather(1, column), 1.0).log()
        positive, scores = view.score_with_positives(ids)
        weights = (scores.detach() + log_w).softmax(dim=1)
        return [
            Negatives(ids=ids, weights=weights, known_scores=scores, known_positive_scores=positive)
        ]

    def diagnostics(self) -> dict[str, float]:
        """Distinct items in a pool, on average: a collapsed pool has one."""
        return {"distinct_in_pool": self._distinct.mean()}

    def state_dict(self) -> dict[str, Tensor]:
        return {"pools": self._pools, "weights": self._weights, "renewed": self._renewed}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._pools.copy_(state["pools"])
        self._weights.copy_(state["weights"])
        self._renewed.copy_(state["renewed"])

    @torch.no_grad()
    def _renew(self, view: View) -> None:
        """Renew the pools of the batch's users whose turn has not been in this epoch."""
        users, last = last_of_each(view.sequences, view.positions)
        due = self._renewed[users] < view.epoch
        users, last = users[due], last[due]
        if not len(users):
            return
        generator = self.catalogue.generator
        state = View(view.states[last], view.table, view.targets)
        proposals = view.targets.uniform(users, self.S)
        w = (state.score(proposals) / self.T).softmax(dim=1)
        column = categorical(w, self.P, generator)
        old = (self._renewed[users] > 0)[:, None]
        fresh, fresh_w = proposals.gather(1, column), w.gather(1, column)
        both = torch.cat([torch.where(old, self._pools[users].long(), fresh), fresh], dim=1)
        both_w = torch.cat([torch.where(old, self._weights[users], fresh_w), fresh_w], dim=1)
        chosen = torch.randint(
            2 * self.P, fresh.shape, generator=generator, device=self.catalogue.device
        )
        pool = both.gather(1, chosen)
        self._pools[users], self._weights[users] = pool.int(), both_w.gather(1, chosen)
        self._renewed[users] = view.epoch
        self._distinct.count(pool)


class DistinctItems:
    """How many distinct items the rows of pools hold, on average over an epoch."""

    def __init__(self, device: torch.device) -> None:
        self._sum, self._rows = torch.zeros((), device=device), 0

    def count(self, pool: Tensor) -> None:
        """Take the rows ``[R, P]`` into account."""
        ordered = pool.sort(dim=1).values
        self._sum += len(pool) + (ordered[:, 1:] != ordered[:, :-1]).sum()
        self._rows += len(pool)

    def mean(self) -> float:
        """The average since the last call."""
        mean = float(self._sum) / max(1, self._rows)
        self._sum.zero_()
        self._rows = 0
        return mean


def categorical(p: Tensor, K: int, generator: torch.Generator) -> Tensor:
    """``[T, K]`` columns drawn with replacement in proportion to ``p [T, S]``."""
    cumulative = p.cumsum(dim=1)
    u = torch.rand((len(p), K), generator=generator, device=p.device)
    columns = torch.searchsorted(cumulative, u * cumulative[:, -1:], right=True)
    return columns.clamp_(max=p.shape[1] - 1)

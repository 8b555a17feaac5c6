from __future__ import annotations

import torch
from torch import Tensor

from samplers.base import Catalogue, Negatives, Sampler, View, register, require


@register("adasir")
class AdaSIR(Sampler):
    """AdaSIR: a pool of P items for each target, renewed by sampling-importance-resampling.

    First pass: S proposals, uniform over the legal items, are weighted by softmax(s / T - log q)
    with the model as it is now (q is constant and cancels), and P of them are drawn with
    replacement.  The target's pool becomes P uniform draws from these and the pool it had, so it
    remembers earlier epochs.  Second pass: K negatives, uniform from the pool, with weights
    softmax(s) among the K (detached; the positive's score cancels).

    The released code of the MDCNS comparison draws before it has ever filled a pool, so all
    negatives of its first epoch are item 0 (padding); here the pool is filled before it is used.
    It draws proposals from padding, positive and history too, uses one negative without weight,
    and runs the encoder a second time; here the states of the step serve both passes.

    Source: Chen et al., Learning recommenders for implicit feedback with importance resampling,
    WWW 2022.
    Cost: T S scores without gradient; memory of P ids a training interaction.
    """

    search_space = {"S": [100, 200, 500], "P": [5, 10, 20, 50], "T": [0.5, 1.0, 2.0]}

    def __init__(self, *, S: int = 200, P: int = 10, K: int = 5, T: float = 1.0) -> None:
        """
        Args:
            S: proposals per target and epoch.
            P: size of a target's pool.
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
        # A target is one training interaction: its index in the training items.  0: no pool yet.
        self._pools = torch.zeros(
            (len(catalogue.items), self.P), dtype=torch.int32, device=catalogue.device
        )
        self._distinct, self._batches = torch.zeros((), device=catalogue.device), 0

    def sample(self, views: list[View]) -> list[Negatives]:
        view, generator = views[0], self.catalogue.generator
        slot = self.catalogue.offsets[view.sequences] + view.positions
        old = self._pools[slot].long()
        with torch.no_grad():
            proposals = view.draw(self.S, view.targets.uniform)
            p = (view.score(proposals) / self.T).softmax(dim=1)
            fresh = proposals.gather(1, categorical(p, self.P, generator))
            union = torch.cat([fresh, torch.where(old > 0, old, fresh)], dim=1)
            pool = union.gather(1, self._uniform(2 * self.P, (len(slot), self.P)))
            self._pools[slot] = pool.int()
            self._count_distinct(pool)
            ids = pool.gather(1, self._uniform(self.P, (len(slot), self.K)))
        positive, scores = view.score_with_positives(ids)
        weights = scores.detach().softmax(dim=1)
        return [
            Negatives(ids=ids, weights=weights, known_scores=scores, known_positive_scores=positive)
        ]

    def diagnostics(self) -> dict[str, float]:
        """Distinct items in a pool, on average: a collapsed pool has one."""
        mean = float(self._distinct) / max(1, self._batches)
        self._distinct.zero_()
        self._batches = 0
        return {"distinct_in_pool": mean}

    def state_dict(self) -> dict[str, Tensor]:
        return {"pools": self._pools}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._pools.copy_(state["pools"])

    def _uniform(self, high: int, shape: tuple[int, int]) -> Tensor:
        return torch.randint(
            high, shape, generator=self.catalogue.generator, device=self.catalogue.device
        )

    def _count_distinct(self, pool: Tensor) -> None:
        ordered = pool.sort(dim=1).values
        self._distinct += 1 + (ordered[:, 1:] != ordered[:, :-1]).sum(dim=1).float().mean()
        self._batches += 1


def categorical(p: Tensor, K: int, generator: torch.Generator) -> Tensor:
    """``[T, K]`` columns drawn with replacement with probabilities ``p [T, S]``."""
    cumulative = p.cumsum(dim=1)
    u = torch.rand((len(p), K), generator=generator, device=p.device)
    columns = torch.searchsorted(cumulative, u * cumulative[:, -1:], right=True)
    return columns.clamp_(max=p.shape[1] - 1)

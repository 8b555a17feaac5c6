from __future__ import annotations

import torch
from torch import Tensor

from samplers.adasir import DistinctItems, categorical
from samplers.base import Catalogue, Negatives, Sampler, View, register, require


@register("adasir-released")
class AdaSIRReleased(Sampler):
    """AdaSIR as in the MDCNS comparison: a pool of P items for each target, one unweighted draw.

    The negative is a uniform draw from the pool that the target's last turn left.  Then S
    proposals, uniform over the legal items, are weighed by softmax(s / T), P of them are drawn
    with replacement, and the pool becomes P uniform draws from these and from what it held.

    The release draws before it has ever filled a pool, so that all negatives of its first epoch
    are item 0 (padding); here a target's first pool is filled before it is drawn from.  It draws
    proposals from padding, positive and history too, and runs the encoder a second time, after the
    step; here the states of the step serve both.

    Source: Chen et al., WWW 2022, as in the released code of the MDCNS comparison.
    Cost: T S scores without gradient; memory of 4 P bytes a training interaction.
    """

    search_space = {"S": [100, 200, 500], "P": [5, 10, 20, 50]}

    def __init__(self, *, S: int = 200, P: int = 10, T: float = 1.0) -> None:
        """
        Args:
            S: proposals per target and epoch.
            P: size of a target's pool.
            T: temperature of the resampling.
        """
        require(S >= 1, f"S={S}: needs at least one proposal")
        require(P >= 1, f"P={P}: the pool needs at least one item")
        require(T > 0, f"T={T}: must be positive")
        self.S, self.P, self.T = S, P, T

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        # A target is one training interaction: its index in the training items.  0: no pool yet.
        self._pools = torch.zeros(
            (len(catalogue.items), self.P), dtype=torch.int32, device=catalogue.device
        )
        self._distinct = DistinctItems(catalogue.device)

    @torch.no_grad()
    def sample(self, views: list[View]) -> list[Negatives]:
        (view,) = views
        T, generator = len(view.states), self.catalogue.generator
        slot = self.catalogue.offsets[view.sequences] + view.positions
        proposals = view.draw(self.S, view.targets.uniform)
        p = (view.score(proposals) / self.T).softmax(dim=1)
        fresh = proposals.gather(1, categorical(p, self.P, generator))
        old = self._pools[slot].long()
        pool = torch.where(old > 0, old, fresh)
        ids = pool.gather(1, self._uniform(self.P, (T, 1)))
        union = torch.cat([fresh, pool], dim=1)
        renewed = union.gather(1, self._uniform(2 * self.P, (T, self.P)))
        self._pools[slot] = renewed.int()
        self._distinct.count(renewed)
        return [Negatives(ids=ids)]

    def diagnostics(self) -> dict[str, float]:
        """Distinct items in a pool, on average: a collapsed pool has one."""
        return {"distinct_in_pool": self._distinct.mean()}

    def state_dict(self) -> dict[str, Tensor]:
        return {"pools": self._pools}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._pools.copy_(state["pools"])

    def _uniform(self, high: int, shape: tuple[int, int]) -> Tensor:
        return torch.randint(
            high, shape, generator=self.catalogue.generator, device=self.catalogue.device
        )

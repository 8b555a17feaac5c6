from __future__ import annotations

import torch
from torch import Tensor

from samplers.base import Catalogue, Exposed, Negatives, Sampler, View, register, require


@register("exposure")
class Exposure(Sampler):
    """ENS: an item that the user was shown before the positive, and did not take.

    With probability ``mix`` the negative is drawn uniformly from what was shown to the user up to
    then, of it the legal items, else uniformly from all legal items; a user who had been shown
    nothing legal by then gets a uniform one, too.  ``epochs.csv`` has the share of targets with
    nothing shown by then.

    Source: Ding et al., An improved sampler for Bayesian personalized ranking by leveraging view
    data, WWW 2018 (exposed-but-not-interacted negatives); listed, without results, in MDCNS.
    Cost: O(T K) draws and what was shown to the users of the batch, no scores.
    """

    needs_exposures = True
    search_space = {"mix": [0.25, 0.5, 0.75, 1.0], "K": [1, 5]}

    def __init__(self, *, mix: float = 1.0, K: int = 1) -> None:
        """
        Args:
            mix: share of negatives that are to be exposed ones.
            K: negatives per target.
        """
        require(K >= 1, f"K={K}: needs at least one negative per target")
        require(0 <= mix <= 1, f"mix={mix}: must lie in [0, 1]")
        self.mix, self.K = mix, K

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        assert catalogue.exposed is not None, "needs_exposures: the harness checks it"
        self._exposed: Exposed = catalogue.exposed
        items = self._exposed.items
        users = torch.arange(len(self._exposed.offsets) - 1, device=items.device)
        owner = torch.repeat_interleave(users, self._exposed.offsets.diff())
        # One ascending key for "shown to this user before their p-th interaction".
        self._stride = int(self._exposed.positions.max()) + 2 if len(items) else 1
        self._keys = owner * self._stride + self._exposed.positions
        self._targets, self._without = 0, torch.zeros((), device=items.device)

    def sample(self, views: list[View]) -> list[Negatives]:
        view, exposed = views[0], self._exposed
        start = exposed.offsets[view.users]
        until = view.positions.clamp(max=self._stride - 1)
        end = torch.searchsorted(self._keys, view.users * self._stride + until, right=True)
        shown = end - start
        self._targets += len(shown)
        self._without += (shown == 0).sum()
        items, first, count = _legal_of(view, self._exposed.items, start, shown)
        ids = view.draw(self.K, view.targets.uniform)
        u, coin = torch.rand((2, *ids.shape), generator=self.catalogue.generator, device=ids.device)
        place = first[:, None] + (u * count[:, None]).long()
        chosen = (coin < self.mix) & (count > 0)[:, None]
        ids[chosen] = items[place[chosen]]
        return [Negatives(ids=ids) for _ in views]

    def diagnostics(self) -> dict[str, float]:
        share = float(self._without) / max(1, self._targets)
        self._targets = 0
        self._without.zero_()
        return {"nothing_shown": share}


def _legal_of(
    view: View, exposed: Tensor, start: Tensor, shown: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What is legal of each target's stretch of exposures.

    Args:
        exposed: ``[m]`` items, of all users.
        start, shown: ``[T]`` where a target's stretch begins, and its length.

    Returns:
        ``[n]`` legal items, target after target, and ``[T]`` where each one's begin and how many
        they are.
    """
    row = torch.repeat_interleave(torch.arange(len(shown), device=shown.device), shown)
    nth = torch.arange(len(row), device=row.device) - (shown.cumsum(0) - shown)[row]
    items = exposed[start[row] + nth]
    legal = ~view.targets.illegal(items[:, None], row)[:, 0]
    count = torch.bincount(row[legal], minlength=len(shown))
    return items[legal], count.cumsum(0) - count, count

"""What a backbone is: item ids in, one state per position out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.registry import Registry
from bench.scoring import is_large

registry: Registry[Backbone] = Registry("backbone", "backbones", lambda: Backbone)
register = registry.register


class Backbone(nn.Module, ABC):
    """A sequence encoder whose item table is also its classifier (tied weights, no bias).

    Sequences are left-aligned: ``items[b, :lengths[b]]`` are item ids ``1..n_items`` oldest
    first, the rest is padding (id 0).  States at padding positions are undefined; states at real
    positions must not depend on how much padding follows.

    Hyper-parameters are keyword-only constructor arguments.

    Attributes:
        causal: the state at position t depends on positions <= t alone, so that one pass over a
            sequence gives the state of each of its prefixes.  Backbones that are not causal are
            trained and evaluated on one prefix at a time, and only the last state is used.
        search_space: hyper-parameter name to the values that tuning may try.
        items: the item table, ``[n_items + 1, dim]``; row 0 is padding, zero, never trained.
    """

    name: ClassVar[str]
    causal: ClassVar[bool]
    search_space: ClassVar[dict[str, list[Any]]] = {}

    def __init__(self, n_items: int, dim: int, window: int) -> None:
        """
        Args:
            n_items: catalogue size.
            dim: width of states and item vectors.
            window: longest input, in items.
        """
        super().__init__()
        self.n_items, self.dim, self.window = n_items, dim, window
        self.items = nn.Embedding(n_items + 1, dim, padding_idx=0, sparse=is_large(n_items + 1))

    @abstractmethod
    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """
        Args:
            items: ``[B, L]`` int64, L <= window.
            lengths: ``[B]`` int64, at least 1.

        Returns:
            ``[B, L, dim]`` states.
        """

    def last(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, dim]``: the state at each sequence's last item; arguments as :meth:`forward`.

        All that prefix training and evaluation ask for.  Override it where the states before need
        not be finished.
        """
        return last_states(self(items, lengths), lengths)


def last_states(states: Tensor, lengths: Tensor) -> Tensor:
    """``[B, d]``: each sequence's state at its last real item, from ``[B, L, d]``."""
    return states[torch.arange(len(states), device=states.device), lengths - 1]

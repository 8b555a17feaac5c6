"""What a negative sampler is: views of a batch in, negatives out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.pools import Targets
from bench.registry import Registry
from bench.scoring import score_candidates

registry: Registry[Sampler] = Registry("sampler", "samplers")
register = registry.register


@dataclass(frozen=True)
class Catalogue:
    """What a sampler may know before training starts.

    Attributes:
        n_items: catalogue size; ids are ``1..n_items``.
        counts: ``[n_items + 1]`` int64, training interactions of each item (each counted once,
            however many prefixes it is part of).
        generator: the sampler's own random stream, reseeded every step; on ``device``.
    """

    n_items: int
    counts: Tensor
    generator: torch.Generator

    @property
    def device(self) -> torch.device:
        return self.counts.device


class View:
    """One model looking at one batch of T next-item predictions.

    Attributes:
        states: ``[T, d]`` the model's states, dropout on, differentiable.
        table: ``[n_items + 1, d]`` its item table, differentiable.
        targets: what is predicted and for whom; shared by all views of the batch.
    """

    def __init__(self, states: Tensor, table: Tensor, targets: Targets) -> None:
        self.states, self.table, self.targets = states, table, targets

    @property
    def positives(self) -> Tensor:
        """``[T]`` the items that really came next."""
        return self.targets.positives

    @property
    def users(self) -> Tensor:
        """``[T]`` row of each target's user in the dataset."""
        return self.targets.users

    @property
    def epoch(self) -> int:
        """Epoch of this batch, from 1."""
        return self.targets.epoch

    def pool(self, N: int) -> Tensor:
        """``[T, N]`` candidate pool C_N: distinct items, uniform over what is legal.

        Legal is the catalogue without the positive and without what the user has interacted
        with up to this point.  Every view of the batch gets the same pool.
        """
        return self.targets.pool(N)

    def draw(self, K: int, propose: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
        """``[T, K]`` legal items from any proposal, by redrawing what is not legal.

        Args:
            propose: shape to item ids, independent draws from the proposal distribution q.

        Returns:
            Draws from q restricted to the legal items of each row (repeats are possible).
        """
        return self.targets.draw(K, propose)

    def score(self, ids: Tensor) -> Tensor:
        """``[T, K]`` scores s(u, i) = h_u . E_i of ``ids [T, K]``; differentiable."""
        return score_candidates(self.states, self.table, ids)

    def embed(self, ids: Tensor) -> Tensor:
        """``[T, K, d]`` item vectors of ``ids [T, K]``; differentiable."""
        return F.embedding(ids, self.table)

    @cached_property
    def positive_scores(self) -> Tensor:
        """``[T]`` scores of the positives; differentiable."""
        return self.score(self.positives[:, None]).squeeze(1)


@dataclass(frozen=True)
class Negatives:
    """What one model is to be trained against.  Give ``ids`` or ``vectors``.

    Attributes:
        ids: ``[T, K]`` negative items.
        vectors: ``[T, K, d]`` synthetic negatives, differentiable.
        weights: ``[K]`` or ``[T, K]`` weight of each negative's loss term; None means 1/K each.
        log_q: ``[T, K]`` log proposal probability, for objectives that correct for it.
        auxiliary: a scalar loss to be added for this model (a distillation term, for one).
    """

    ids: Tensor | None = None
    vectors: Tensor | None = None
    weights: Tensor | None = None
    log_q: Tensor | None = None
    auxiliary: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.ids is None) == (self.vectors is None):
            raise ValueError("Negatives takes either ids or vectors")

    def scores(self, view: View) -> Tensor:
        """``[T, K]`` the view's scores of these negatives; differentiable."""
        if self.vectors is not None:
            return torch.einsum("td,tkd->tk", view.states, self.vectors)
        assert self.ids is not None
        return view.score(self.ids)


class Sampler(ABC):
    """A negative sampler.  Subclass, register, implement :meth:`sample`.

    Hyper-parameters are keyword-only constructor arguments; refuse impossible values there with
    ``ValueError``.  One named ``N`` is the size of the candidate pool; its default is replaced
    by the protocol's, so that all samplers are compared at one N unless told otherwise.

    Attributes:
        peer: backbone to be trained beside the one under test; ``sample`` then gets two views,
            the backbone under test first, and returns negatives for both.
        search_space: hyper-parameter name to the values that tuning may try.
        catalogue: set by :meth:`prepare`.
    """

    name: ClassVar[str]
    search_space: ClassVar[dict[str, list[Any]]] = {}
    peer: str | None = None
    catalogue: Catalogue

    def prepare(self, catalogue: Catalogue) -> None:
        """Called once, before training, after construction."""
        self.catalogue = catalogue

    @abstractmethod
    def sample(self, views: list[View]) -> list[Negatives]:
        """Negatives for each view, in the order of the views."""

    def after_step(self, views: list[View]) -> None:  # noqa: B027 - optional hook
        """Called after the optimiser's step, for samplers with a memory."""

    def state_dict(self) -> dict[str, Tensor]:
        """Memory to be kept in a checkpoint; tensors only."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Restore what :meth:`state_dict` gave."""


def require(condition: bool, message: str) -> None:
    """Refuse an impossible hyper-parameter: ``ValueError(message)`` unless ``condition``."""
    if not condition:
        raise ValueError(message)

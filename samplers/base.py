"""What a negative sampler is: views of a batch in, negatives out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.pools import MAX_ROUNDS, Proposal, Targets
from bench.registry import Registry
from bench.scoring import look_up, score_candidates

registry: Registry[Sampler] = Registry("sampler", "samplers", lambda: Sampler)
register = registry.register
variant = registry.variant


@dataclass(frozen=True)
class Exposed:
    """Items that users were shown and did not take.

    Attributes:
        items: ``[m]`` int64, users one after another, each oldest first.
        offsets: ``[n_users + 1]`` where each user's stretch starts.
        positions: ``[m]`` int64: how many of the user's interactions came before the showing.
    """

    items: Tensor
    offsets: Tensor
    positions: Tensor


@dataclass(frozen=True)
class Catalogue:
    """What a sampler may know before training starts: training data, and nothing held out.

    Attributes:
        n_items: catalogue size; ids are ``1..n_items``.
        items: ``[n]`` int64, the training sequences one after another, each oldest first.
        offsets: ``[n_sequences + 1]`` where each sequence starts.
        generator: the sampler's own random stream, reseeded every step; on ``device``.
        exposed: what users were shown, where the dataset records it, else None.
    """

    n_items: int
    items: Tensor
    offsets: Tensor
    generator: torch.Generator
    exposed: Exposed | None = None

    @property
    def device(self) -> torch.device:
        return self.items.device

    @property
    def n_sequences(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def counts(self) -> Tensor:
        """``[n_items + 1]`` int64: training interactions of each item (each counted once, however
        many prefixes it is part of)."""
        return torch.bincount(self.items, minlength=self.n_items + 1)

    @cached_property
    def target_shares(self) -> Tensor:
        """``[n_items + 1]`` float: each item's share of the training targets.  A sequence's first
        item is nobody's target."""
        firsts = torch.bincount(self.items[self.offsets[:-1]], minlength=self.n_items + 1)
        targets = (self.counts - firsts).float()
        return targets / targets.sum()


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
    def sequences(self) -> Tensor:
        """``[T]`` row of each target's training sequence."""
        return self.targets.sequences

    @property
    def positions(self) -> Tensor:
        """``[T]`` position of each positive in its sequence, from 0: what came before it."""
        return self.targets.positions

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

    def draw(self, K: int, propose: Proposal, rounds: int = MAX_ROUNDS) -> Tensor:
        """``[T, K]`` legal items from any proposal, by redrawing what is not legal.

        Args:
            propose: rows of the batch ``[R]`` and K to item ids ``[R, K]``: independent draws
                from each row's proposal distribution q.
            rounds: redraws before a row falls back to uniform legal items.

        Returns:
            Draws from q restricted to the legal items of each row (repeats are possible).
        """
        return self.targets.draw(K, propose, rounds)

    def legal(self, ids: Tensor) -> Tensor:
        """``[T, K]`` bool: whether items ``[T, K]``, or ``[K]`` shared by all rows, are legal."""
        if ids.dim() == 1:
            return self.targets.legal_among(ids)
        return ~self.targets.illegal(ids)

    def score(self, ids: Tensor) -> Tensor:
        """``[T, K]`` scores s(u, i) = h_u . E_i of ``ids [T, K]``; differentiable."""
        return score_candidates(self.states, self.table, ids)

    def score_positives(self) -> Tensor:
        """``[T]`` scores of the positives; differentiable."""
        return self.score(self.positives[:, None])[:, 0]

    def score_with_positives(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """``[T]`` scores of the positives and ``[T, K]`` of ``ids [T, K]``; differentiable.

        One product with one gradient costs less than two.
        """
        scores = self.score(torch.cat([self.positives[:, None], ids], dim=1))
        return scores[:, 0], scores[:, 1:]

    def embed(self, ids: Tensor) -> Tensor:
        """``[T, K, d]`` item vectors of ``ids [T, K]``; differentiable."""
        return look_up(ids, self.table)


@dataclass
class Negatives:
    """What one model is to be trained against.  Give ``ids`` or ``vectors``.

    Attributes:
        ids: ``[T, K]`` negative items, or ``[K]`` where all targets share them.
        vectors: ``[T, K, d]`` synthetic negatives, differentiable.
        made_of: ``[T, K]`` the items that ``vectors`` were made of, for diagnostics.
        weights: ``[K]`` or ``[T, K]`` weight of each negative's loss term; None means equal ones.
        legal: ``[T, K]`` bool, False where a negative is not to count; None means all count.
        log_q: ``[K]`` or ``[T, K]`` log of how often the proposal is expected to bring the
            negative into its row, for objectives that correct for it.
        log_q_positive: ``[T]`` the same of the positive, where the proposal brings it too.
        auxiliary: a scalar loss to be added for this model (a distillation term, for one).
        known_scores: ``[T, K]`` the view's scores of ``ids``, with gradient, where the sampler has
            computed them for its own ends.
        known_positive_scores: ``[T]`` the same of the positives.
    """

    ids: Tensor | None = None
    vectors: Tensor | None = None
    made_of: Tensor | None = None
    weights: Tensor | None = None
    legal: Tensor | None = None
    log_q: Tensor | None = None
    log_q_positive: Tensor | None = None
    auxiliary: Tensor | None = None
    known_scores: Tensor | None = None
    known_positive_scores: Tensor | None = None

    def __post_init__(self) -> None:
        if (self.ids is None) == (self.vectors is None):
            raise ValueError("Negatives takes either ids or vectors")

    @property
    def items(self) -> Tensor | None:
        """``[T, K]`` or ``[K]`` items drawn, if it is known which."""
        return self.ids if self.ids is not None else self.made_of

    @property
    def empty(self) -> bool:
        """Whether there are none: the objective needs none."""
        return self.ids is not None and self.ids.shape[-1] == 0


class Scored:
    """A view with its negatives: what a loss is computed on.

    The scores are computed when the first of them is asked for, always in the same products and
    always with gradient, so that they do not depend on who asks; a loss that needs none of them
    does not pay for them.

    Attributes:
        view: the model's look at the batch.
        negatives: what the sampler gave for this view.
    """

    def __init__(self, view: View, negatives: Negatives) -> None:
        self.view, self.negatives = view, negatives

    @property
    def positive(self) -> Tensor:
        """``[T]`` scores of the positives; differentiable."""
        return self._scores[0]

    @property
    def negative(self) -> Tensor:
        """``[T, K]`` scores of the negatives, -inf where one is not legal; differentiable."""
        return self._scores[1]

    @property
    def used(self) -> bool:
        """Whether anybody has asked for scores: whether a gradient will come by them."""
        return "_scores" in vars(self)

    @cached_property
    def _scores(self) -> tuple[Tensor, Tensor]:
        view, given = self.view, self.negatives
        positive, negative = given.known_positive_scores, given.known_scores
        with torch.enable_grad():
            if negative is None and given.vectors is not None:
                negative = torch.einsum("td,tkd->tk", view.states, given.vectors)
            elif negative is None:
                assert given.ids is not None, "Negatives has seen to it"
                if given.ids.dim() == 1:
                    negative = view.states @ look_up(given.ids, view.table).t()
                elif positive is None:
                    positive, negative = view.score_with_positives(given.ids)
                else:
                    negative = view.score(given.ids)
            if given.legal is not None:
                negative = negative.masked_fill(~given.legal, -torch.inf)
            return view.score_positives() if positive is None else positive, negative


class Sampler(ABC):
    """A negative sampler.  Subclass, register, implement :meth:`sample`.

    Hyper-parameters are keyword-only constructor arguments; refuse impossible values there with
    ``ValueError``.  One named ``N`` is the size of the candidate pool; its default is replaced
    by the protocol's, so that all samplers are compared at one N unless told otherwise.

    Attributes:
        objective: name of the loss that the sampler is one method with (in-batch negatives and
            the softmax, for one); None means that it goes with any.
        needs_exposures: whether the dataset must record what users were shown.
        peer: backbone to be trained beside the one under test (``"same"``: another of its kind);
            ``sample`` then gets two views, the backbone under test first, and returns negatives
            for both.
        search_space: hyper-parameter name to the values that tuning may try.
        catalogue: set by :meth:`prepare`.
    """

    name: ClassVar[str]
    objective: ClassVar[str | None] = None
    needs_exposures: ClassVar[bool] = False
    search_space: ClassVar[dict[str, list[Any]]] = {}
    peer: str | None = None
    catalogue: Catalogue

    @classmethod
    def known_as(cls, name: str, hyper: Mapping[str, Any]) -> str:
        """Today's name of what was stored as ``name`` with these hyper-parameters.

        Names may come to mean other settings, or other code; stored cells keep what they were
        trained with, and are shown by what that is called now.
        """
        return name

    def prepare(self, catalogue: Catalogue) -> None:
        """Called once, before training, after construction."""
        self.catalogue = catalogue

    @property
    def pool_size(self) -> int:
        """Distinct legal items that a target must have; a smaller catalogue is refused early."""
        return getattr(self, "N", 1)

    @abstractmethod
    def sample(self, views: list[View]) -> list[Negatives]:
        """Negatives for each view, in the order of the views."""

    def after_step(self, views: list[View]) -> None:  # noqa: B027 - optional hook
        """Called after the optimiser's step, for samplers with a memory."""

    def diagnostics(self) -> dict[str, float]:
        """Numbers of its own for ``epochs.csv``, about the epoch that has just ended."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Memory to be kept in a checkpoint; tensors only."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Restore what :meth:`state_dict` gave."""


def require_weights(**weights: float) -> None:
    """Refuse weights of loss terms of which one is negative, or all are zero."""
    for name, value in weights.items():
        require(value >= 0, f"{name}={value}: must not be negative")
    require(sum(weights.values()) > 0, f"{'='.join(weights)}=0: nothing is left to train on")


def require(condition: bool, message: str) -> None:
    """Refuse an impossible hyper-parameter: ``ValueError(message)`` unless ``condition``."""
    if not condition:
        raise ValueError(message)

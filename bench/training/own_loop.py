"""A registered sampler in a training loop of one's own: states in, negatives and a loss out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import samplers
from bench import objectives
from bench.errors import UserError
from bench.history import History
from bench.pools import Targets
from bench.seeding import seed_for
from bench.training.checks import check_negatives
from bench.training.loop import summed_loss
from samplers.base import Catalogue, Exposed, Negatives, Scored, View


class Sampling:
    """A sampler that is ready to be called step after step, whatever loop and model it is for.

    A step is ``views``, ``negatives``, ``loss``, the optimiser's step, ``after_step``; where the
    loss is one's own, `Negatives` has all that it needs.  The states and the item table of a step
    are the caller's; what came before each prediction is looked up in the sequences given here, so
    that negatives are what a user has not had by then, and samplers with a memory know their rows.

    Attributes:
        sampler: the sampler itself, prepared.
        objective: the loss that `loss` computes.
        models: how many models it wants views of: 1, or 2 where it trains a peer.
        peer: the backbone that it is made to have beside the one under test, by its registered
            name (``same``: another of its kind), or None; any second model will do here.
        steps: taken so far.
    """

    def __init__(
        self,
        sampler: str,
        sequences: Sequence[Sequence[int] | Tensor],
        n_items: int,
        *,
        settings: Mapping[str, Any] | None = None,
        objective: str = "bce",
        exposed: Exposed | None = None,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        """
        Args:
            sampler: registered name, or that of a setting (``mdcns-released``).
            sequences: of training, each the item ids ``1..n_items`` of one user, oldest first.
            n_items: catalogue size; item tables have ``n_items + 1`` rows, row 0 for padding.
            settings: hyper-parameters, ``{"N": 50}``; the sampler's defaults for the rest.
            objective: registered name of the loss, for samplers without one of their own.
            exposed: what the users of the sequences were shown, for samplers that need it.
            seed: of all draws: with equal seed, steps and states negatives are the same.
            device: of states and tables.

        Raises:
            UserError: unknown names, impossible values, items that are none, exposures that are not
                of these sequences, or a catalogue too small for the sampler's pool.
        """
        hyper = samplers.registry.resolve(sampler, settings or {})
        self.sampler = samplers.registry.build(sampler, hyper)
        self._name, self._device = sampler, torch.device(device)
        loss = self.sampler.objective or objective
        self.objective = objectives.registry.build(loss, objectives.registry.resolve(loss, {}))
        self.peer = self.sampler.peer
        self.models = 1 if self.peer is None else 2
        parts = [torch.as_tensor(each, dtype=torch.int64) for each in sequences]
        lengths = torch.tensor(list(map(len, parts)), dtype=torch.int64)
        if not parts or (lengths < 1).any():
            empty = f"number {int(lengths.argmin())} is empty; leave it out" if parts else ""
            raise UserError(f"sequences: {empty or 'there are none'}")
        items = torch.cat(parts)
        if not 1 <= int(items.min()) <= int(items.max()) <= n_items:
            raise UserError(f"sequences: expected item ids from 1 to n_items={n_items}")
        if self.sampler.needs_exposures and exposed is None:
            raise UserError(f"sampler {sampler!r} needs exposed=, what users were shown")
        self._items, self._lengths = items.to(self._device), lengths.to(self._device)
        self._offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]).to(self._device)
        self._history = History(self._items, self._offsets, n_items)
        left = n_items - self._history.longest
        if self.sampler.pool_size > left:
            raise UserError(
                f"sampler {sampler!r}: {n_items} items less the longest history are {left}, fewer "
                f"than its {self.sampler.pool_size} candidates; lower its N in settings"
            )
        self._seed, self.steps = seed_for(seed, "negatives"), 0
        self._generator = torch.Generator(self._device).manual_seed(self._seed)
        if exposed is not None:
            exposed = _checked(exposed, lengths, n_items, self._device)
        self.sampler.prepare(
            Catalogue(n_items, self._items, self._offsets, self._generator, exposed)
        )

    def views(
        self,
        models: Sequence[tuple[Tensor, Tensor]],
        rows: Tensor,
        positions: Tensor,
        *,
        epoch: int = 1,
    ) -> list[View]:
        """A step's T predictions as the sampler sees them.

        Args:
            models: of each model its states ``[T, d]`` at the predictions and its item table
                ``[n_items + 1, d]``, both with gradient; d may differ between models.
            rows: ``[T]`` which of the sequences each prediction is in.
            positions: ``[T]`` how many items of it stand before the predicted one, which are its
                history: 1 for the second item of a sequence, the first that can be predicted.
            epoch: from 1; some samplers change their ways as training goes on.

        Returns:
            One view a model; ``views[0].positives`` ``[T]`` are the items predicted.

        Raises:
            UserError: another number of models than the sampler wants, shapes that do not go
                together, or positions that are not in their sequences.
        """
        if len(models) != self.models:
            raise UserError(
                f"sampler {self._name!r} works on {self.models} models, and got {len(models)}"
            )
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self._device)
        positions = torch.as_tensor(positions, dtype=torch.int64, device=self._device)
        if rows.shape != positions.shape or rows.dim() != 1 or not len(rows):
            raise UserError("rows and positions: expected two lists of equal length, not empty")
        self._check(models, rows, positions)
        targets = Targets(
            positives=self._items[self._offsets[rows] + positions],
            users=rows,
            sequences=rows,
            positions=positions,
            history=self._history,
            generator=self._generator,
            epoch=epoch,
        )
        return [View(states, table, targets) for states, table in models]

    def _check(
        self, models: Sequence[tuple[Tensor, Tensor]], rows: Tensor, positions: Tensor
    ) -> None:
        n = len(self._lengths)
        length = self._lengths[rows.clamp(0, n - 1)]
        inside = (rows >= 0) & (rows < n) & (positions >= 1) & (positions < length)
        if not inside.all():
            t = int(inside.int().argmin())
            raise UserError(
                f"prediction {t}: row {int(rows[t])}, position {int(positions[t])} is no item of "
                "the sequences with one before it; rows and positions count from 0, and a position "
                "is at least 1"
            )
        n_rows = self._history.n_items + 1
        for states, table in models:
            if states.dim() != 2 or len(states) != len(rows):
                raise UserError(f"states {list(states.shape)}: expected [T, d] with T={len(rows)}")
            if table.shape != (n_rows, states.shape[1]):
                raise UserError(
                    f"item table {list(table.shape)}: expected [n_items + 1, d] = "
                    f"[{n_rows}, {states.shape[1]}], row 0 for padding"
                )

    def negatives(self, views: list[View]) -> list[Negatives]:
        """What each model is to be trained against: ids ``[T, K]`` or ``[K]``, or vectors, with
        weights, log q and an auxiliary loss where the sampler has them.

        Raises:
            UserError: at the first step, if the sampler gives what it must not.
        """
        self.steps += 1
        self._generator.manual_seed(self._seed + self.steps)
        drawn = self.sampler.sample(views)
        if self.steps == 1:
            check_negatives(self._name, views, drawn, self.objective.needs_negatives)
        return drawn

    def scored(self, views: list[View], negatives: list[Negatives]) -> list[Scored]:
        """For a loss of one's own: each model's scores ``positive [T]`` and ``negative [T, K]``,
        -inf where a negative is not to count; differentiable."""
        return [Scored(view, given) for view, given in zip(views, negatives, strict=True)]

    def loss(self, views: list[View], negatives: list[Negatives]) -> Tensor:
        """Scalar: the objective's loss and the sampler's auxiliary one, summed over the models."""
        return summed_loss(self.objective, self.scored(views, negatives))

    def after_step(self, views: list[View]) -> None:
        """To be called after the optimiser's step: samplers with a memory renew it."""
        self.sampler.after_step(views)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: steps so far, and the sampler's memory."""
        return {"steps": self.steps, "sampler": self.sampler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.steps = int(state["steps"])
        self.sampler.load_state_dict(state["sampler"])


def _checked(exposed: Exposed, lengths: Tensor, n_items: int, device: torch.device) -> Exposed:
    """The exposures on a device.

    Args:
        lengths: ``[n_sequences]`` of the sequences.

    Raises:
        UserError: they are not of these sequences; what is searched in them must be in order.
    """
    items, offsets, positions = (
        torch.as_tensor(each, dtype=torch.int64).cpu()
        for each in (exposed.items, exposed.offsets, exposed.positions)
    )
    shown = offsets.diff()
    if len(shown) != len(lengths) or offsets[0] != 0 or offsets[-1] != len(items):
        raise UserError(
            f"exposed: offsets are to lead from 0 to its {len(items)} items, with a stretch for "
            f"each of the {len(lengths)} sequences"
        )
    if (shown < 0).any() or len(positions) != len(items):
        raise UserError("exposed: offsets must not fall, and each item needs its position")
    if len(items) and not 1 <= int(items.min()) <= int(items.max()) <= n_items:
        raise UserError(f"exposed: expected item ids from 1 to n_items={n_items}")
    row = torch.repeat_interleave(torch.arange(len(shown)), shown)
    falls = (positions.diff() < 0) & (row.diff() == 0)
    if falls.any() or (positions < 0).any() or (positions > lengths[row]).any():
        raise UserError(
            "exposed: positions count the items of the sequence before a showing, the oldest "
            "showing of each sequence first"
        )
    return Exposed(*(each.to(device) for each in (items, offsets, positions)))

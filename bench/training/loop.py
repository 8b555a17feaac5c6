"""The one training loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import backbones
import samplers
from backbones.base import Backbone
from bench import objectives
from bench.cell import Cell
from bench.datasets.base import Exposures
from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.json_shape import LARGEST
from bench.metrics import SELECT_ON
from bench.objectives.base import Objective
from bench.seeding import seed_for
from bench.training.batches import Batch, Batches, one_pass_windows, prefix_windows
from bench.training.checkpoint import Checkpoint
from bench.training.checks import (
    check_backbone,
    check_first_loss,
    check_loss,
    check_negatives,
    check_states,
    some_count,
)
from bench.training.diagnostics import Diagnostics
from bench.training.evaluation import rank_predictions
from bench.training.of_samplers import columns_of, memory_of
from bench.training.optimisers import optimisers
from samplers.base import Catalogue, Exposed, Scored, View

CPU = torch.device("cpu")

TOKENS_AT_ONCE = 4096
"""Prefixes x positions encoded together on a CPU; more would leave its caches."""

Epoch = dict[str, float]


@dataclass(frozen=True)
class Fitted:
    """Trained models, as of the best epoch of the one under test on validation.

    Attributes:
        models: the backbone under test, then its peer if there is one.
        epochs: one row an epoch: loss, diagnostics, validation metrics, seconds.
        best_epoch: from 1.
    """

    models: list[Backbone]
    epochs: list[Epoch]
    best_epoch: int


class Trainer:
    """Models, sampler, objective and optimiser of one cell, ready to train.

    Paired by construction: initial weights, batch order and dropout are drawn from streams named
    after the dataset, the seed and the model's role, and the sampler has a stream of its own, so
    cells that differ in the sampler alone meet the same of everything else.  Streams are reseeded
    every step, so a step's randomness depends on its number and not on what was drawn before.

    Attributes:
        models: the backbone under test, then its peer if there is one.
        sampler: prepared for the training data.
        batches: the training data, cut.
        generator: the sampler's random stream.
        diagnostics: of the epoch in progress.
        device: where training happens.
        step_count: steps so far.
    """

    def __init__(self, cell: Cell, data: TrainingData, device: torch.device) -> None:
        """
        Args:
            cell: what to train; its components must be registered.
            data: what to train on.
            device: where to train.
        """
        train, n_items = data.train, data.n_items
        protocol = cell.protocol
        self.device, self.step_count, self._some_counted = device, 0, False
        self._names = (cell.fingerprint, cell.seed)
        self._negatives_seed = seed_for(*self._names, "negatives")
        self.models = []
        self._dropout_seeds = []
        for role, component in zip(("self", "peer"), cell.models, strict=False):
            _seed_default(seed_for(*self._names, "weights", role, component.name), CPU)
            model = backbones.registry.build(
                component.name, component.hyper, n_items, protocol.dim, protocol.window
            )
            if getattr(model, "causal", None) is None:
                raise UserError(f"backbone {component.name!r} lacks causal; set it in the class")
            self.models.append(model.to(device).train())
            self._dropout_seeds.append(seed_for(*self._names, "dropout", role))
        self.objective = objectives.registry.build(cell.objective.name, cell.objective.hyper)
        self._sampler = cell.sampler.name
        self.sampler = samplers.registry.build(cell.sampler.name, cell.sampler.hyper)
        self.generator = torch.Generator(device).manual_seed(self._negatives_seed)
        self._optimisers = optimisers(self.models, protocol.lr)

        shuffled = protocol.batches == "prefix-shuffled"
        self._one_pass = all(m.causal for m in self.models) and not shuffled
        cut = one_pass_windows if self._one_pass else prefix_windows
        self.batches = Batches(
            train,
            cut(np.diff(train.offsets), protocol.window),
            n_items,
            protocol.batch_targets,
            seed_for(*self._names, "batch order"),
            device,
            alike=not shuffled,
        )
        self.sampler.prepare(
            Catalogue(
                n_items,
                self.batches.items,
                self.batches.offsets,
                self.generator,
                None if data.exposures is None else _exposed(data.exposures, device),
            )
        )
        pool = min(protocol.N, n_items - self.batches.history.longest)
        self.diagnostics = Diagnostics(train, n_items, pool, device, data.truth)

    def epoch(self, epoch: int) -> Epoch:
        """Train on every example once; the mean loss per target, and diagnostics.

        Raises:
            FloatingPointError: the loss, or what is measured of it, is not finite, or so great
                that it is no number to go on from.
            UserError: what the sampler says of itself is not numbers, or no negative counted.
        """
        self.diagnostics.start_epoch(self.batches.n_batches)
        self._some_counted = False
        total = torch.zeros((), device=self.device)
        for batch in self.batches.epoch(epoch, self.generator):
            total += self.step(batch) * len(batch.places)
        mean = float(total) / self.batches.n_targets  # the epoch's one wait for the device
        if mean == 0 and not self._some_counted:
            raise UserError(
                f"sampler {self._sampler!r}: no negative counted in epoch {epoch}, so that nothing "
                "was learnt; where they are of a batch's other sequences, which a small batch of "
                "long ones has not, raise batch_targets"
            )
        row = {"epoch": epoch, "loss": mean} | self.diagnostics.row()
        for name, value in row.items():
            if abs(value) > LARGEST or (name == "loss" and np.isnan(value)):
                raise FloatingPointError(f"{name} of epoch {epoch} is {value}: training diverged")
        return row | columns_of(self._sampler, self.sampler.diagnostics())

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on: tensors and plain values."""
        return {
            "step": self.step_count,
            "models": [model.state_dict() for model in self.models],
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "sampler": memory_of(self._sampler, self.sampler.state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self.step_count = state["step"]
        for model, weights in zip(self.models, state["models"], strict=True):
            model.load_state_dict(weights)
        for optimiser, memory in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(memory)
        self.sampler.load_state_dict(state["sampler"])

    def step(self, batch: Batch) -> Tensor:
        """One optimiser step; the batch's loss, a scalar left on the device.

        Raises:
            UserError: what the sampler gave is not what it is to give, or the states are detached.
        """
        self.step_count += 1
        watch = self.diagnostics
        with watch("backbone"):
            views = [
                self._view(model, seed, batch)
                for model, seed in zip(self.models, self._dropout_seeds, strict=True)
            ]
        if self.step_count == 1:
            check_states([model.name for model in self.models], views)
        with watch("sampling"):
            self.generator.manual_seed(self._negatives_seed + self.step_count)
            drawn = self.sampler.sample(views)
        if watch.looking:  # throughout training, yet seldom enough to cost little
            check_negatives(self._sampler, views, drawn, self.objective.needs_negatives)
            self._some_counted |= some_count(drawn)
        with watch("scoring"):
            scored = [Scored(view, given) for view, given in zip(views, drawn, strict=True)]
            loss = summed_loss(self.objective, scored)
            if self.step_count == 1:
                check_first_loss(self.objective.name, loss)
            watch.before_backward(scored[0])
        with watch("backward"):
            for optimiser in self._optimisers:
                optimiser.zero_grad()
            loss.backward()
        with watch("diagnostics"):
            watch.record(scored)
        with watch("optimiser"):
            for optimiser in self._optimisers:
                optimiser.step()
        with watch("sampling"):
            self.sampler.after_step(views)
        watch.next_batch()
        return loss.detach()

    def _view(self, model: Backbone, dropout_seed: int, batch: Batch) -> View:
        """A model's look at the batch, with its own dropout."""
        _seed_default(dropout_seed + self.step_count, self.device)
        if self._one_pass:
            states = model(batch.items, batch.lengths).flatten(0, 1)[batch.places]
        else:
            at_once = len(batch.items)  # windows; one a target, in order
            if self.device.type == "cpu":
                at_once = max(1, TOKENS_AT_ONCE // batch.items.shape[1])
            parts = zip(batch.items.split(at_once), batch.lengths.split(at_once), strict=True)
            states = torch.cat([model.last(*part) for part in parts])
        return View(states, model.items.weight, batch.targets)


def summed_loss(objective: Objective, scored: Sequence[Scored]) -> Tensor:
    """Scalar: the sum over the models of their losses, auxiliary ones included."""
    loss = torch.zeros((), device=scored[0].view.states.device)
    for one in scored:
        own = objective.loss(one)
        check_loss(objective.name, own)
        loss = loss + own
        if one.negatives.auxiliary is not None:
            loss = loss + one.negatives.auxiliary
    return loss


def fit(
    cell: Cell,
    data: TrainingData,
    valid: Examples,
    device: torch.device,
    report: Callable[[Epoch], None],
    checkpoint: Checkpoint | None = None,
    cut: int = 1,
) -> Fitted:
    """Train a cell, with early stopping on validation; the test split is not among the arguments.

    Args:
        cell: what to train.
        data: what to train on.
        valid: held-out predictions to stop and select by.
        device: where to train.
        report: called after every epoch with its row.
        checkpoint: where to keep the state, and to go on from if there is one.
        cut: see `rank_predictions`.

    Raises:
        FloatingPointError: loss or scores are not finite.
        UserError: sampler or backbone do not keep their contract (see `bench.training.checks`),
            or the checkpoint is of another cell.
    """
    trainer = Trainer(cell, data, device)
    models = trainer.models
    for component, model in zip(cell.models, models, strict=True):
        check_backbone(component.name, model, trainer.batches)
    epochs: list[Epoch] = []
    best_epoch, best_weights = 0, [model.state_dict() for model in models]
    if checkpoint is not None and (saved := checkpoint.load()) is not None:
        epochs, best_epoch, best_weights = _resume(trainer, saved, checkpoint.loaded)
    for epoch in range(len(epochs) + 1, cell.protocol.epochs + 1):
        if epoch - 1 - best_epoch >= cell.protocol.patience:
            break
        started = time.perf_counter()
        row = trainer.epoch(epoch)
        trained = time.perf_counter()
        metrics = rank_predictions(models[:1], valid, device, cut=cut).accuracy
        row |= {f"valid_{name}": value for name, value in metrics.items()}
        row |= {"train_s": trained - started, "valid_s": time.perf_counter() - trained}
        epochs.append(row)
        if best_epoch == 0 or metrics[SELECT_ON] > epochs[best_epoch - 1][f"valid_{SELECT_ON}"]:
            best_epoch = epoch
            best_weights = [copy.deepcopy(model.state_dict()) for model in models]
        report(row)
        if checkpoint is not None and checkpoint.due:
            checkpoint.save(_state(trainer, epochs, best_epoch, best_weights))
    if checkpoint is not None:
        checkpoint.end(_state(trainer, epochs, best_epoch, best_weights))
    for model, weights in zip(models, best_weights, strict=True):
        model.load_state_dict(weights)
    return Fitted(models, epochs, best_epoch)


def _state(
    trainer: Trainer, epochs: list[Epoch], best_epoch: int, best: list[dict[str, Tensor]]
) -> dict[str, Any]:
    """What `_resume` goes on from."""
    state = {"trainer": trainer.state_dict(), "epochs": epochs}
    return state | {"best_epoch": best_epoch, "best": best}


def _resume(
    trainer: Trainer, saved: dict[str, Any], path: Path
) -> tuple[list[Epoch], int, list[dict[str, Tensor]]]:
    """Put the trainer where it was; the epochs so far, the best of them and its weights."""
    try:
        trainer.load_state_dict(saved["trainer"])
        return saved["epochs"], saved["best_epoch"], saved["best"]
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"{path}: not the state of this cell; delete it, to train from the start"
        ) from error


def _seed_default(seed: int, device: torch.device) -> None:
    """Seed the stream that initialisers and dropout draw from; `torch.manual_seed`, which also
    records a stack trace for every kind of device, takes as long as a tenth of a small step."""
    if device.type == "cuda":  # of several the one that is trained on, which need not be current
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def _exposed(exposures: Exposures, device: torch.device) -> Exposed:
    return Exposed(
        *(
            torch.as_tensor(array, dtype=torch.int64, device=device)
            for array in (exposures.items, exposures.offsets, exposures.positions)
        )
    )

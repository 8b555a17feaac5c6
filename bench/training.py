"""The one training loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import backbones
import samplers
from backbones.base import Backbone
from bench import objectives
from bench.batches import Batch, Batches, one_pass_windows, prefix_windows
from bench.cell import Cell
from bench.datasets.splits import Examples, Sequences
from bench.evaluation import accuracy, rank_users
from bench.seeding import seed_for
from samplers.base import Catalogue, View

SELECT_ON = "ndcg@20"
"""The validation metric that early stopping and the choice of the best epoch go by."""

Epoch = dict[str, float]


@dataclass(frozen=True)
class Fitted:
    """A trained model, as of its best epoch on validation.

    Attributes:
        model: the backbone under test; a peer is not needed for inference.
        epochs: one row an epoch: loss, validation metrics, seconds.
        best_epoch: from 1.
    """

    model: Backbone
    epochs: list[Epoch]
    best_epoch: int


class Trainer:
    """Models, sampler, objective and optimiser of one cell, ready to train.

    Paired by construction: initial weights, batch order and dropout are drawn from streams named
    after the dataset, the seed and the model's role, and the sampler has a stream of its own, so
    cells that differ in the sampler alone meet the same of everything else.  Streams are reseeded
    every step, so a step's randomness depends on its number and not on what was drawn before.
    """

    def __init__(self, cell: Cell, train: Sequences, n_items: int, device: torch.device) -> None:
        """
        Args:
            cell: what to train; its components must be registered.
            train: training sequences.
            n_items: catalogue size.
            device: where to train.
        """
        protocol = cell.protocol
        self._protocol, self._device, self.step_count = protocol, device, 0
        self._names = (cell.fingerprint, cell.seed)
        self.models = []
        self._dropout_seeds = []
        for role, component in zip(("self", "peer"), cell.models, strict=False):
            torch.manual_seed(seed_for(*self._names, "weights", role, component.name))
            model = backbones.registry.build(
                component.name, component.hyper, n_items, protocol.dim, protocol.window
            )
            self.models.append(model.to(device).train())
            self._dropout_seeds.append(seed_for(*self._names, "dropout", role))
        self.objective = objectives.registry.build(cell.objective.name, cell.objective.hyper)
        self.sampler = samplers.registry.build(cell.sampler.name, cell.sampler.hyper)
        self._generator = torch.Generator(device)
        counts = np.bincount(train.items, minlength=n_items + 1)
        self.sampler.prepare(
            Catalogue(n_items, torch.as_tensor(counts, device=device), self._generator)
        )
        parameters = [p for model in self.models for p in model.parameters()]
        self._optimiser = torch.optim.Adam(parameters, lr=protocol.lr, fused=True)

        cut = one_pass_windows if all(m.causal for m in self.models) else prefix_windows
        self.batches = Batches(
            train,
            cut(np.diff(train.offsets), protocol.window),
            n_items,
            protocol.batch_targets,
            seed_for(*self._names, "batch order"),
            device,
        )

    def epoch(self, epoch: int) -> float:
        """Train on every example once; the mean loss per target.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        total = torch.zeros((), device=self._device)
        for batch in self.batches.epoch(epoch, self._generator):
            total += self.step(batch) * len(batch.cells)
        mean = float(total) / self.batches.n_targets  # the epoch's one wait for the device
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss of epoch {epoch} is {mean}: training diverged")
        return mean

    def step(self, batch: Batch) -> Tensor:
        """One optimiser step; the batch's loss, a scalar left on the device."""
        self.step_count += 1
        views = []
        for model, seed in zip(self.models, self._dropout_seeds, strict=True):
            torch.manual_seed(seed + self.step_count)
            states = model(batch.items, batch.lengths).flatten(0, 1)[batch.cells]
            views.append(View(states, model.items.weight, batch.targets))
        self._generator.manual_seed(seed_for(*self._names, "negatives") + self.step_count)
        loss = torch.zeros((), device=self._device)
        for view, negatives in zip(views, self.sampler.sample(views), strict=True):
            loss = loss + self.objective.loss(
                view.positive_scores, negatives.scores(view), negatives.weights, negatives.log_q
            )
            if negatives.auxiliary is not None:
                loss = loss + negatives.auxiliary
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        self.sampler.after_step(views)
        return loss.detach()


def fit(
    cell: Cell,
    train: Sequences,
    valid: Examples,
    n_items: int,
    device: torch.device,
    report: Callable[[Epoch], None],
) -> Fitted:
    """Train a cell, with early stopping on validation; the test split is not among the arguments.

    Args:
        cell: what to train.
        train: training sequences.
        valid: held-out predictions to stop and select by.
        n_items: catalogue size.
        device: where to train.
        report: called after every epoch with its row.

    Raises:
        FloatingPointError: loss or scores are not finite.
    """
    trainer = Trainer(cell, train, n_items, device)
    model = trainer.models[0]
    epochs: list[Epoch] = []
    best_epoch, best_weights = 0, {}
    for epoch in range(1, cell.protocol.epochs + 1):
        started = time.perf_counter()
        loss = trainer.epoch(epoch)
        trained = time.perf_counter()
        metrics = accuracy(rank_users(model, valid, device).ranks)
        row: Epoch = {"epoch": epoch, "loss": loss}
        row |= {f"valid_{name}": value for name, value in metrics.items()}
        row |= {"train_s": trained - started, "valid_s": time.perf_counter() - trained}
        epochs.append(row)
        if best_epoch == 0 or metrics[SELECT_ON] > epochs[best_epoch - 1][f"valid_{SELECT_ON}"]:
            best_epoch, best_weights = epoch, copy.deepcopy(model.state_dict())
        report(row)
        if epoch - best_epoch >= cell.protocol.patience:
            break
    model.load_state_dict(best_weights)
    return Fitted(model, epochs, best_epoch)

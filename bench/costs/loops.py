"""What takes turns when costs are measured: systems in training, and two yardsticks.

* floor: the same loop with one uniform negative a target drawn ahead of time, which is what the
  backbone alone costs;
* plain: the loop of most published code, one padded prefix a row, candidates gathered and
  multiplied, with the same backbone and one uniform negative.
"""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

import samplers
from bench.cell import Cell, Component
from bench.datasets.training_data import TrainingData
from bench.pools import Targets
from bench.training.batches import prefix_windows
from bench.training.loop import Trainer
from samplers import Catalogue, Negatives, Sampler, View

PHASES = ("backbone", "sampling", "scoring", "backward", "optimiser", "diagnostics")
PLAIN_ROWS = 1024
"""Prefixes in a batch of the plain loop."""


class Loop:
    """A system in training, a stretch of batches at a time.

    Attributes:
        name: what tables call it.
        system: see `Cell.system`; None for a yardstick.
        rates: what a target took in each turn: seconds by the clock, CPU seconds.
    """

    def __init__(self, name: str, trainer: Trainer, system: str | None = None) -> None:
        self.name, self.system, self._trainer = name, system, trainer
        self.rates: list[npt.NDArray[np.float64]] = []
        self._phases: list[dict[str, float]] = []

    def run(self, round_: int, batches: int) -> None:
        """Train; keep what a target took."""
        trainer = self._trainer
        todo = list(itertools.islice(trainer.batches.epoch(1 + round_, trainer.generator), batches))
        trainer.diagnostics.start_epoch(trainer.batches.n_batches)
        started = clocks()
        for batch in todo:
            trainer.step(batch)
        wait(trainer.device)
        spent = clocks() - started
        self.rates.append(spent / sum(len(batch.places) for batch in todo))
        row = trainer.diagnostics.row()
        self._phases.append({phase: row[f"{phase}_s"] / spent[0] for phase in PHASES})

    @property
    def shares(self) -> dict[str, float]:
        """Median share of each phase."""
        return {p: statistics.median(row[p] for row in self._phases) for p in PHASES}


class DrawnAhead(Sampler):
    """One uniform legal negative for each training target, drawn before training: the floor."""

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        self._negatives: torch.Tensor | None = None

    def draw(self, trainer: Trainer) -> None:
        """Draw for every interaction of the training sequences."""
        batches, device = trainer.batches, self.catalogue.device
        lengths = batches.offsets.diff()
        sequences = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
        positions = torch.arange(len(batches.items), device=device) - batches.offsets[sequences]
        targets = Targets(
            batches.items, sequences, sequences, positions, batches.history,
            self.catalogue.generator,
        )  # fmt: skip
        self._negatives = targets.pool(1)

    def sample(self, views: list[View]) -> list[Negatives]:
        assert self._negatives is not None
        slots = self.catalogue.offsets[views[0].sequences] + views[0].positions
        return [Negatives(ids=self._negatives[slots]) for _ in views]


def floor_trainer(cell: Cell, data: TrainingData, device: torch.device) -> Trainer:
    """A trainer of the cell's backbone alone whose negatives are drawn ahead."""
    alone = replace(
        cell,
        sampler=Component("uniform", samplers.registry.resolve("uniform", {})),
        objective=Component("bce"),
        peer=None,
    )
    trainer = Trainer(alone, data, device)
    floor = DrawnAhead()
    floor.prepare(trainer.sampler.catalogue)
    floor.draw(trainer)
    trainer.sampler = floor
    return trainer


class PlainLoop:
    """One padded prefix a row, ids gathered and multiplied, as in most published code.

    Its attributes are those of `Loop`; it does not tell phases apart.
    """

    shares: dict[str, float] = {}
    system = None

    def __init__(self, name: str, trainer: Trainer, window: int) -> None:
        self.name, self._trainer, self._window = name, trainer, window
        self._model = trainer.models[0]
        self._model.items.sparse = False  # most published code has dense gradients at any size
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=1e-3)
        self._windows = prefix_windows(trainer.batches.offsets.diff().cpu().numpy(), window)
        self.rates: list[npt.NDArray[np.float64]] = []

    def run(self, round_: int, batches: int) -> None:
        """Train on a few random batches, a fifth of what others get; keep what a target took."""
        batches = max(1, batches // 5)
        rng = np.random.default_rng(round_)
        rows = [rng.integers(len(self._windows.length), size=PLAIN_ROWS) for _ in range(batches)]
        started = clocks()
        for chosen in rows:
            self.step(chosen)
        wait(self._trainer.device)
        self.rates.append((clocks() - started) / (batches * PLAIN_ROWS))

    def step(self, rows: np.ndarray) -> torch.Tensor:
        """One optimiser step on these prefixes; the loss."""
        table, data, device = self._windows, self._trainer.batches, self._trainer.device
        length = torch.as_tensor(table.length[rows], device=device)
        begin = data.offsets[torch.as_tensor(table.sequence[rows], device=device)]
        begin = begin + torch.as_tensor(table.start[rows], device=device)
        offset = torch.arange(self._window, device=device)
        index = (begin[:, None] + offset).clamp(max=len(data.items) - 1)
        inputs = data.items[index] * (offset < length[:, None])
        positives = data.items[begin + length]
        negatives = torch.randint(1, data.history.n_items + 1, positives.shape, device=device)
        states = self._model(inputs, length)[torch.arange(len(rows), device=device), length - 1]
        candidates = self._model.items(torch.stack([positives, negatives], dim=1))
        scores = torch.bmm(candidates, states.unsqueeze(2)).squeeze(2)
        loss = (F.softplus(-scores[:, 0]) + F.softplus(scores[:, 1])).mean()
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return loss.detach()


def wait(device: torch.device) -> None:
    """Until the device has done what it was told; clocks are read after it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clocks() -> npt.NDArray[np.float64]:
    """Seconds by the clock, and CPU seconds of this process's threads."""
    return np.array([time.perf_counter(), time.process_time()])

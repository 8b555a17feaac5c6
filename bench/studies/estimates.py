"""What a run will take at most: hours, disk and memory, measured on this machine before it."""

from __future__ import annotations

import copy
import itertools
import math
import os
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.cell import Cell
from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.studies.limits import LARGE_DISK, LARGE_HOURS
from bench.studies.planning import Plan
from bench.studies.processes import peak_memory_mb
from bench.studies.units import duration, size
from bench.terminal import on_terminal, tell
from bench.training.checkpoint import packed
from bench.training.evaluation import rank_predictions
from bench.training.loop import Trainer

STEPS, USERS = 4, 256
"""Training steps and ranked users that are timed."""

SPARE = 1.25
"""Memory of a worker to that of its first steps; on Beauty one came to 1.17 times as much."""

NUMBER = 20
"""Bytes of a number in ``epochs.csv``; most have 17 digits, a point and a comma."""

RECORD = 16384
"""Bytes of ``cell.json`` (about 4,000), and of the blocks of a disk that files leave part empty."""

ARRAYS, TRIAL_ARRAYS, MODEL_ARRAYS = 5, 3, 2
"""Numbers a user in ``ranks.npz``: of a cell, of a trial, more of a cell that trains a peer."""


@dataclass(frozen=True)
class Estimate:
    """What cells take at most, if every one uses all its epochs.

    Attributes:
        workers: how many run at a time.
        threads: of each.
        seconds: from the first to the last.
        disk: bytes, of finished cells and of the checkpoints of those at work.
        memory: bytes, of the workers and the process that hands out the cells.
        worker_memory: bytes, of a worker.
    """

    workers: int
    threads: int
    seconds: float
    disk: float
    memory: float
    worker_memory: float

    def __str__(self) -> str:
        return (
            f"at most {duration(math.ceil(self.seconds))} by the speed measured now, "
            f"{size(self.disk)} of disk and {size(self.memory)} of memory with {self.workers} "
            f"workers of {self.threads} threads"
        )

    def lacking(self, results: Path) -> list[str]:
        """What this machine has too little of, and the option that helps, a sentence each.

        Args:
            results: directory that cells are written to; it need not exist yet.
        """
        found = []
        there = machine_memory()
        if self.memory > there:
            fitting = math.floor(there / self.worker_memory) - 1  # one for what hands out cells
            advice = f"--workers {max(1, fitting)} takes less"
            if self.workers == 1:
                advice = "smaller --set dim, N or batch_targets take less"
            found.append(
                f"{size(self.memory)} of memory may be needed, and this machine has "
                f"{size(there)}: {advice}"
            )
        free = free_disk(results)
        if self.disk > free:
            found.append(
                f"{size(self.disk)} of disk may be needed, and {size(free)} are free at "
                f"{results}: give another directory with --results"
            )
        return found


class Meter:
    """Measures what training takes, once for each combination of models, sampler and objective.

    It is measured where most is to be computed among the cells that are asked about, by the size
    of the catalogue and what counts candidates, layers and the like in their settings: a step
    rarely takes less there.  Cells that cannot be trained count as nothing; they will fail at once.
    """

    def __init__(
        self,
        plan: Plan,
        device: str,
        threads: int,
        *,
        elsewhere: bool = False,
        keep_models: bool = False,
    ) -> None:
        """
        Args:
            plan: holds the data of all cells that will be asked about.
            device: where cells are trained.
            threads: of each cell.
            elsewhere: cells are trained on other machines, so take no memory of this one.
            keep_models: the weights of cells are stored, too.
        """
        self._elsewhere, self._keep_models = elsewhere, keep_models
        self._plan, self._device, self._threads = plan, torch.device(device), threads
        self._measured: dict[tuple[str, ...], _Measured] = {}
        self._targets = {
            key: int((np.diff(split.train.offsets) - 1).sum()) for key, split in plan.splits.items()
        }

    def seconds(self, cells: Iterable[Cell]) -> dict[str, float]:
        """Cell key to the seconds that it takes at most (early stopping can only shorten it)."""
        cells = list(cells)
        self._measure(cells)
        return {cell.key: self._seconds(cell) for cell in cells}

    def epoch_seconds(self, cell: Cell) -> float:
        """What an epoch takes, validation included."""
        return self.seconds([cell])[cell.key] / cell.protocol.epochs

    def test_seconds(self, cell: Cell) -> float:
        """What its rankings of the test split take, about: alone and, beside a peer, both."""
        self._measure([cell])
        rankings = 2 if cell.peer is None else 5
        return rankings * self._plan.test_users[cell.data_key] * self._of(cell).user_s

    def estimate(self, cells: Iterable[Cell], trials: Iterable[Cell], workers: int) -> Estimate:
        """
        Args:
            cells: to be trained and tested.
            trials: to be trained without the test split; the same cell may stand for several.
            workers: cells at a time, if there are as many.
        """
        cells, trials = list(cells), list(trials)
        everything = cells + trials
        self._measure(everything)
        workers = max(1, min(workers, len(everything)))
        checkpoint = max((self._of(cell).checkpoint for cell in everything), default=0)
        # Of this process, which has just done all that a worker does.
        peak = SPARE * peak_memory_mb() * 2**20
        return Estimate(
            workers=workers,
            threads=self._threads,
            seconds=sum(map(self._seconds, everything)) / workers,
            # A checkpoint is written beside the former one.
            disk=sum(self._stored(cell, test=True) for cell in cells)
            + sum(self._stored(cell, test=False) for cell in trials)
            + 2 * workers * checkpoint,
            memory=peak * (1 if workers == 1 or self._elsewhere else workers + 1),
            worker_memory=peak,
        )

    def _seconds(self, cell: Cell) -> float:
        measured, valid = self._of(cell), self._plan.splits[cell.data_key].valid
        targets, users = self._targets[cell.data_key], len(valid.targets)
        epoch = targets * measured.target_s + users * measured.user_s
        return epoch * cell.protocol.epochs

    def _stored(self, cell: Cell, test: bool) -> float:
        if test:
            arrays = ARRAYS + MODEL_ARRAYS * (len(cell.models) - 1)
            users = self._plan.test_users[cell.data_key]
        else:
            arrays = TRIAL_ARRAYS
            users = len(self._plan.splits[cell.data_key].valid.targets)
        epochs = cell.protocol.epochs * self._of(cell).columns * NUMBER
        weights = self._of(cell).weights if test and self._keep_models else 0
        return RECORD + epochs + 8 * arrays * users + weights

    def _of(self, cell: Cell) -> _Measured:
        return self._measured[kind_of(cell)]

    def _measure(self, cells: Iterable[Cell]) -> None:
        largest: dict[tuple[str, ...], tuple[float, Cell]] = {}
        for cell in cells:
            work = _work(cell, self._plan.datasets[cell.fingerprint].n_items)
            if work > largest.get(kind_of(cell), (0.0, cell))[0]:
                largest[kind_of(cell)] = work, cell
        torch.set_num_threads(self._threads)
        for kind, (work, cell) in largest.items():
            if kind in self._measured and self._measured[kind].work >= work:
                continue
            split = self._plan.splits[cell.data_key]
            try:
                data = TrainingData.of(self._plan.datasets[cell.fingerprint], split)
                self._measured[kind] = _measure(cell, data, split.valid, self._device, work)
            except (Exception, SystemExit):  # the cell itself will fail the same way, and say so
                self._measured[kind] = _Measured(work, 0.0, 0.0, 0, 0)
        torch.cuda.empty_cache()  # the cells will need it


@dataclass(frozen=True)
class _Measured:
    """Of a combination of models, sampler and objective.

    Attributes:
        work: `_work` of the cell that it was measured on.
        target_s: seconds per training target.
        user_s: seconds per validation user.
        checkpoint: bytes.
        columns: of ``epochs.csv``.
        weights: bytes of all models' weights.
    """

    work: float
    target_s: float
    user_s: float
    checkpoint: int
    columns: int
    weights: int = 0


def _work(cell: Cell, n_items: int) -> float:
    """By which cells of one kind are compared: the size of the catalogue times all whole numbers
    among the settings, which are numbers of candidates, layers, states and the like."""
    counts = [
        value
        for part in (cell.sampler, cell.objective, *cell.models)
        for value in part.hyper.values()
        if type(value) is int and value > 0
    ]
    return float(n_items) * math.prod(counts)


def _measure(
    cell: Cell, data: TrainingData, valid: Examples, device: torch.device, work: float
) -> _Measured:
    """Train a few steps, rank a few users and pack a checkpoint."""
    trainer = Trainer(cell, data, device)
    rates = []
    for batch in itertools.islice(trainer.batches.epoch(1, torch.Generator(device)), STEPS):
        started = time.perf_counter()
        float(trainer.step(batch))
        rates.append((time.perf_counter() - started) / len(batch.places))
    some = valid.first(USERS)
    rank_predictions(
        trainer.models, some, device
    )  # together, as the test does in the end; warms up
    started = time.perf_counter()
    metrics = rank_predictions(trainer.models[:1], some, device).accuracy
    user_s = (time.perf_counter() - started) / len(some.targets)
    best = [copy.deepcopy(model.state_dict()) for model in trainer.models]
    checkpoint = packed({"trainer": trainer.state_dict(), "best": best}, "", [0.0, 0.0])
    row = {"epoch", "loss", "train_s", "valid_s", *metrics, *trainer.diagnostics.row()}
    return _Measured(
        work=work,
        target_s=float(np.median(rates[1:] or rates)),  # the first one warms up
        user_s=user_s,
        checkpoint=len(checkpoint),
        columns=len(row) + len(trainer.sampler.diagnostics()),
        weights=sum(each.nbytes for weights in best for each in weights.values()),
    )


def kind_of(cell: Cell) -> tuple[str, ...]:
    """Names of its models, sampler and objective."""
    return (*(model.name for model in cell.models), cell.sampler.name, cell.objective.name)


def confirm(estimate: Estimate, results: Path, yes: bool) -> None:
    """Warn of what will not fit, and ask on a terminal whether a large run is meant.

    Args:
        results: directory that cells are written to.
        yes: do not ask.

    Raises:
        UserError: the answer was no.
    """
    lacking = estimate.lacking(results)
    for warning in lacking:
        tell(f"warning: {warning}", error=True)
    large = estimate.seconds > 3600 * LARGE_HOURS or estimate.disk > LARGE_DISK or lacking
    if not large or yes or not on_terminal():
        return
    print(f"This takes {estimate}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError("not started; to go on without being asked, give --yes")


def machine_memory() -> float:
    """Bytes of memory that this machine has, or its container may use."""
    limits = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]
    for path in ("memory.max", "memory/memory.limit_in_bytes"):  # of cgroups 2 and 1
        limit = Path("/sys/fs/cgroup") / path
        if limit.is_file() and (text := limit.read_text(encoding="utf-8").strip()).isdigit():
            limits.append(float(text))
    return min(limits)


def free_disk(folder: Path) -> float:
    """Bytes free in the file system of a directory that may not exist yet."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free

"""Training the cells of a plan: which are left to do, what they take, and handing them out."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import filelock
import torch

from bench.cell import Cell
from bench.datasets import Dataset
from bench.studies import executors
from bench.studies.code import code_digest
from bench.studies.estimates import Meter, kind_of
from bench.studies.listeners import Batch, Job, Listener
from bench.studies.log import Log
from bench.studies.namesakes import labels_of
from bench.studies.planning import Plan
from bench.studies.records import CellResult
from bench.studies.resources import Resources
from bench.studies.run_cell import OUT_OF_TIME, Material, Outcome, Task
from bench.studies.states import States
from bench.studies.store import Status, Store

CELLS = "cells"
"""What those of a study itself are called; trials of tuning keep no models."""

TOLD_OF = {"newer": "written by a newer version; kept", "broken": "damaged; trained again"}
"""What is said of cells that stand otherwise than done, stale or missing."""

BUSY = "another run is at it; run the same command again when it has finished"


@dataclass(frozen=True)
class Failure:
    """A cell that was not trained.

    Attributes:
        label: what people call it.
        error: the reason.
    """

    cell: Cell
    label: str
    error: str

    @property
    def busy(self) -> bool:
        """Whether another run is at it, which may well succeed."""
        return self.error == BUSY

    @property
    def late(self) -> bool:
        """Whether it was stopped as its time was up."""
        return self.error == OUT_OF_TIME

    def __str__(self) -> str:
        return f"{self.label}: {self.error}"


@dataclass(frozen=True)
class Trained:
    """What became of the cells of a batch.

    Attributes:
        done: trained and stored.
        found: finished by another run since they were planned.
        failed: neither.
    """

    done: list[Cell] = field(default_factory=list)
    found: list[Cell] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Stretch:
    """A part of trainings that go on afterwards, with a higher limit of epochs.

    Attributes:
        states: where cells find, and unless they are tested keep, what they go on from.
        seconds: cell key to what it is expected to take.
        until: of the clock: what is not finished then has failed, see `Failure.late`; None for
            no end.
    """

    states: States
    seconds: Mapping[str, float]
    until: float | None = None

    def part(self, task: Task, test: bool) -> Task:
        """The task as a part of its training."""
        keep = None if test else self.states.end(task.cell)
        return replace(task, start=self.states.start(task.cell), keep=keep, until=self.until)


class Runner:
    """Trains cells of one plan, batch after batch; to be used in a ``with`` statement.

    Attributes:
        plan: holds the data of all its cells.
        meter: measures what they take.
        force_stale: train again what was trained by other code.
        keep_models: keep the trained weights of cells (not of trials), and train again those that
            are finished without.
    """

    def __init__(
        self,
        plan: Plan,
        resources: Resources,
        *,
        force_stale: bool = False,
        keep_models: bool = False,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.plan, self.force_stale, self.keep_models = plan, force_stale, keep_models
        self.meter = Meter(
            plan,
            resources.devices[0],
            resources.threads,
            elsewhere=resources.executor != "here",
            keep_models=keep_models,
        )
        self._resources, self._listeners = resources, tuple(listeners)
        self._codes: dict[tuple[str, ...], str] = {}
        self._engine: executors.Engine | None = None

    def __enter__(self) -> Runner:
        # Cells may be trained in this process, which need not be ours alone.
        self._before = torch.get_num_threads(), torch.random.get_rng_state()
        return self

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.close()
        threads, state = self._before
        torch.set_num_threads(threads)
        torch.random.set_rng_state(state)

    @property
    def engine(self) -> executors.Engine:
        """Made when there is something to train, and once, as tuning trains round after round."""
        if self._engine is None:
            self._engine = self._resources.engine()
        return self._engine

    def say(self, text: str) -> None:
        """Tell whoever listens something about the study."""
        for listener in self._listeners:
            listener.said(text)

    def code(self, cell: Cell) -> str:
        """Digest of the code that trains it."""
        kind = kind_of(cell)
        if kind not in self._codes:
            self._codes[kind] = code_digest(cell)
        return self._codes[kind]

    def todo(self, planned: Sequence[Cell], store: Store, noun: str = CELLS) -> list[Cell]:
        """The cells that are to be trained, each once; says how they all stand."""
        statuses = {cell.key: store.status(cell, self.code(cell)) for cell in planned}
        count = Counter(statuses.values())
        shown = ", ".join(f"{count[kind]} {kind}" for kind in get_args(Status) if count[kind])
        self.say(f"{len(statuses)} {noun} in study {store.root}: {shown}")
        if count["stale"] and not self.force_stale:
            self.say(
                f"{count['stale']} finished {noun} were trained by other code of their sampler, "
                "backbone or objective; they are kept (--force-stale redoes them)"
            )
        for kind, told in TOLD_OF.items():
            if its := [key for key, status in statuses.items() if status == kind]:
                names = self.labels(planned)
                self.say(f"{told}: {', '.join(names[key] for key in its)}")
        redo = {"missing", "broken"} | ({"stale"} if self.force_stale else set())
        again = set[str]()
        if self.keep_models and noun == CELLS:
            done = {key for key, status in statuses.items() if status == "done"}
            again = {key for key in done if not store.models.has(key, store.arrays(key))}
            for cell in planned:
                if cell.key in done and cell.key not in again:
                    dataset = self.plan.datasets[cell.fingerprint]
                    store.models.check_items(cell.key, _labels(dataset), dataset.n_items)
        if again:
            self.say(
                f"{len(again)} finished {noun} kept no models: they are trained again for them, "
                "and stay as they are"
            )
        wanted = (cell for cell in planned if statuses[cell.key] in redo or cell.key in again)
        return list({cell.key: cell for cell in wanted}.values())

    def labels(self, cells: Sequence[Cell]) -> dict[str, str]:
        """What people call cells, by key: the plan's as they are told apart in all of it, whatever
        is left to train, others (chosen by tuning, or within a budget) among these."""
        return labels_of(cells) | self._labels

    @functools.cached_property
    def _labels(self) -> dict[str, str]:
        return labels_of(self.plan.cells)

    def announce(self, cells: Sequence[Cell], trials: Sequence[Cell], results: Path) -> None:
        """Tell whoever listens what a run will take; one of them may say no.

        Args:
            cells: to be trained and tested.
            trials: to be trained without the test split; the same cell may stand for several.
            results: directory that studies are written to.
        """
        here = self._resources.executor == "here"
        workers = len(self._resources.devices) if here else self.engine.capacity
        estimate = self.meter.estimate(cells, trials, workers)
        for listener in self._listeners:
            listener.planned(estimate, results)

    def train(
        self,
        todo: Sequence[Cell],
        store: Store,
        *,
        test: bool = True,
        labels: Mapping[str, str] = MappingProxyType({}),
        stretch: Stretch | None = None,
    ) -> Trained:
        """Train cells and store them as they come.

        Args:
            test: whether tasks hold the test split.
            labels: of trials by key, what to call them in place of what cells are called.
            stretch: of trainings that go on with a higher limit of epochs.
        """
        if not todo:
            return Trained()
        folder = store.root / ".progress"
        folder.mkdir(parents=True, exist_ok=True)
        workers = min(self.engine.capacity, len(todo))
        seconds = self.meter.seconds(todo)
        expected = self.meter.estimate(*((todo, []) if test else ([], todo)), workers)
        if stretch is not None:
            seconds = {key: stretch.seconds[key] for key in seconds}
            expected = replace(expected, seconds=sum(seconds.values()) / workers)
        names = self.labels(todo) | dict(labels)
        batch = Batch(
            jobs=tuple(Job(cell, names[cell.key], folder / f"{cell.key}.json") for cell in todo),
            store=store,
            noun=CELLS if test and not labels else "trials",
            where=self.engine.description,
            seconds=seconds,
            expected=expected,
        )
        training = _Training(self, batch, test, [Log(store), *self._listeners], stretch)
        return training.run(self._resources.threads)


class _Training:
    """A batch that is being trained: which cells are claimed, and what became of the others."""

    def __init__(
        self,
        runner: Runner,
        batch: Batch,
        test: bool,
        listeners: Sequence[Listener],
        stretch: Stretch | None,
    ) -> None:
        self._stretch = stretch
        self._runner, self._batch, self._test, self._listeners = runner, batch, test, listeners
        self._jobs = {job.key: job for job in batch.jobs}
        self._claims: dict[str, filelock.FileLock] = {}
        self._materials: dict[str, Material] = {}
        self._became = Trained()
        self._keep_models = runner.keep_models and batch.noun == CELLS
        self._for_models = set[str]()  # finished, and trained again

    def run(self, threads: int) -> Trained:
        with self._announced():
            for outcome in executors.run(self._work(threads), self._runner.engine):
                self._settle(outcome)
        return self._became

    @contextlib.contextmanager
    def _announced(self) -> Iterator[None]:
        """Tell whoever listens that the batch begins and, whatever happens, that it ends."""
        complete = False
        try:
            for listener in self._listeners:
                listener.began(self._batch)
            yield
            complete = True
        finally:
            for listener in self._listeners:
                listener.ended(self._batch, complete)

    def _work(self, threads: int) -> Iterator[executors.Work]:
        """The cells that are ours to train, each claimed just before it is handed out."""
        for job in self._batch.jobs:
            if not self._claim(job):
                continue
            job.progress.unlink(missing_ok=True)  # left by a run that was killed
            for listener in self._listeners:
                listener.started(job)
            sees_files = self._runner.engine.sees_files
            task = Task(
                job.cell,
                self._runner.code(job.cell),
                threads,
                self._runner.plan.plugins,
                progress=job.progress if sees_files else None,
                checkpoint=self._batch.store.checkpoint(job.key) if sees_files else None,
                keep_models=self._keep_models,
                label=job.label,
            )
            if self._stretch is not None:
                task = self._stretch.part(task, self._test)
            yield task, self._material(job.cell)

    def _claim(self, job: Job) -> bool:
        """Whether nobody else is at the cell or, since this was planned, has finished it."""
        store = self._batch.store
        claim = store.claim(job.cell)
        if claim is None:
            self._became.failed.append(Failure(job.cell, job.label, BUSY))
            self._skip(job, "another run is at it")
            return False
        status = store.status(job.cell, self._runner.code(job.cell))
        if (
            status == "done"
            and self._keep_models
            and not store.models.has(job.key, store.arrays(job.key))
        ):
            self._for_models.add(job.key)
        elif status in ("done", "newer"):
            claim.release()
            self._became.found.append(job.cell)
            self._skip(job, "another run has finished it")
            return False
        self._claims[job.key] = claim
        return True

    def _skip(self, job: Job, reason: str) -> None:
        for listener in self._listeners:
            listener.skipped(job, reason)

    def _material(self, cell: Cell) -> Material:
        key = cell.data_key
        if key not in self._materials:
            plan = self._runner.plan
            self._materials[key] = Material.of(
                plan.datasets[cell.fingerprint], plan.splits[key], self._test
            )
        return self._materials[key]

    def _store(self, job: Job, result: CellResult) -> str:
        """Store what was trained; why it is not to be, or nothing."""
        store, labels = self._batch.store, None
        if result.weights:
            labels = _labels(self._runner.plan.datasets[job.cell.fingerprint])
        if job.key not in self._for_models:
            store.save(result, labels)
        elif not store.keep_models(result, labels):
            return (
                "trained again for its models it gives other ranks than are stored (by another "
                "machine, or other versions of packages?); the stored cell is kept, without "
                "models; another --study keeps what this machine gives"
            )
        return ""

    def _settle(self, outcome: Outcome) -> None:
        """Store what came back, tell whoever listens, and let go of the cell."""
        job, store = self._jobs[outcome.cell.key], self._batch.store
        error, traceback = outcome.error, outcome.traceback
        if outcome.result is not None:
            error = traceback = self._store(job, outcome.result)
        if error == OUT_OF_TIME:
            self._became.failed.append(Failure(job.cell, job.label, error))
            self._skip(job, error)
        elif outcome.result is None or error:
            path = store.save_failure(job.cell, traceback, job.label)
            self._became.failed.append(Failure(job.cell, job.label, error))
            for listener in self._listeners:
                listener.failed(job, error, path)
        else:
            self._became.done.append(job.cell)
            for listener in self._listeners:
                listener.finished(job, outcome.result)
        self._claims.pop(job.key).release()
        job.progress.unlink(missing_ok=True)  # its worker may have been killed


def _labels(dataset: Dataset) -> list[str] | None:
    """Of the items; None where they are the numbers."""
    return None if dataset.item_labels is None else dataset.item_labels.tolist()

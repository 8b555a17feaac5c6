"""Training and evaluating one cell, in whatever process it is handed to."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.cell import Cell
from bench.datasets.base import Dataset
from bench.datasets.splits import Examples, Split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.files import replace
from bench.metrics import TOP
from bench.registry import load_plugin
from bench.studies import environment
from bench.studies.by_value import Carried, arrive
from bench.studies.code import code_digest
from bench.studies.compared_with import references_of
from bench.studies.components import components
from bench.studies.found import Found, expected_of, found_by
from bench.studies.model_files import packed
from bench.studies.planning import repeats_of
from bench.studies.processes import peak_memory_mb
from bench.studies.records import Arrays, CellResult
from bench.training.checkpoint import Checkpoint
from bench.training.evaluation import rank_predictions
from bench.training.loop import Epoch, Fitted, fit

OUT_OF_TIME = "the time for it was up"
"""The error of a cell that did not end in time."""

SMALLER = 8
"""How many times smaller the pieces of an evaluation are after a GPU was out of memory."""


@dataclass(frozen=True)
class Task:
    """A cell and how to run it.

    Attributes:
        code: digest of the code that is to train it; a worker with other code refuses.
        device: where; the engine that runs the cell has the last word.
        plugins: to be loaded first; a fresh process has not seen them.
        progress: a file to keep the state of the latest epoch in, or None.
        checkpoint: a file to keep the state of training in, to go on from after a kill, or None.
        carried: components that the process cannot import.
        start: a file with the state of the same training at a lower limit of epochs, or None.
        keep: a file to keep the state in that training ends with, or None.
        until: of the clock, in seconds since 1970: training stops, unfinished, after the first
            epoch that ends later; None for never.
        keep_models: send the trained weights back with the result.
        label: what people call the cell, where that is not its own label; for ``progress``.
    """

    cell: Cell
    code: str
    threads: int
    plugins: tuple[str, ...] = ()
    progress: Path | None = None
    checkpoint: Path | None = None
    device: str = "cpu"
    carried: tuple[Carried, ...] = ()
    keep_models: bool = False
    start: Path | None = None
    keep: Path | None = None
    until: float | None = None
    label: str = ""

    @property
    def late(self) -> bool:
        """Whether its time is up."""
        return self.until is not None and time.time() >= self.until


@dataclass(frozen=True)
class Material:
    """What the cells of one dataset and split have in common, sent to a worker once.

    Attributes:
        key: tells it from other material.
        about: the dataset's sizes, whether it is synthetic, its footnotes.
        data: what to train on.
        valid: held-out predictions to stop and select by.
        test: held-out predictions to test on; None in a trial of tuning, which must not see them.
    """

    key: str
    about: dict[str, Any]
    data: TrainingData
    valid: Examples
    test: Examples | None

    @classmethod
    def of(cls, dataset: Dataset, split: Split, test: bool) -> Material:
        """Of a dataset that is split so, with the test split or without."""
        about = {
            "users": dataset.n_users,
            "items": dataset.n_items,
            "interactions": dataset.n_interactions,
            "synthetic": dataset.synthetic,
            "notes": [*dataset.notes, *(repeats_of(split) if test else [])],
            **({"split_file": split.file} if split.file else {}),
            **_of_own_log(dataset),
        }
        return cls(
            f"{dataset.fingerprint} {split.digest} {'with' if test else 'without'} test",
            about,
            TrainingData.of(dataset, split),
            split.valid,
            split.test if test else None,
        )


def _of_own_log(dataset: Dataset) -> dict[str, Any]:
    """Which file it was read from, and how, where that is a log of one's own."""
    if dataset.reading is None:
        return {}
    return {"log": dataset.file, "reading": dataset.reading.config()}


@dataclass(frozen=True)
class Outcome:
    """What became of a cell: a result, or the reason there is none."""

    cell: Cell
    result: CellResult | None
    error: str = ""
    traceback: str = ""


class _OutOfTimeError(Exception):
    """Ends the training of a cell whose time is up."""


def run_task(task: Task, material: Material) -> Outcome:
    """Run a cell; an exception becomes a failed outcome, so that other cells go on.

    A cell for which the GPU has no memory left is tried once more, with smaller pieces where
    their size does not change the numbers: its neighbours may have finished by then.
    """
    if task.late:
        return Outcome(task.cell, None, OUT_OF_TIME)
    try:
        for plugin in task.plugins:
            load_plugin(plugin)
        arrive(task.carried)
        if code_digest(task.cell) != task.code:
            raise RuntimeError("this worker has other code; install the same version everywhere")
        with contextlib.suppress(torch.OutOfMemoryError):
            return Outcome(task.cell, run_cell(task, material))
        gc.collect()  # only now, as the exception held on to the models
        torch.cuda.empty_cache()
        return Outcome(task.cell, run_cell(task, material, cut=SMALLER))
    except _OutOfTimeError:
        return Outcome(task.cell, None, OUT_OF_TIME)
    except torch.OutOfMemoryError as error:
        reason = f"out of GPU memory, twice; fewer cells at a time (--cells-per-gpu)? {error}"
        return Outcome(task.cell, None, reason, traceback.format_exc())
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}{_place(error, task.cell)}"
        return Outcome(task.cell, None, reason, traceback.format_exc())
    finally:
        if task.progress is not None:
            task.progress.unlink(missing_ok=True)


def _place(error: BaseException, cell: Cell) -> str:
    """The file and line of the project or of a component of the cell, wherever that is installed,
    in which it failed; not of what is explained."""
    if isinstance(error, UserError | FloatingPointError):
        return ""
    classes = (registry.get(part.name) for registry, part in components(cell))
    modules = (sys.modules.get(cls.__module__) for cls in classes)
    own = {str(getattr(module, "__file__", "")) for module in modules}
    others = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
    places = [
        f" ({Path(frame.filename).name}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename in own or not frame.filename.startswith((*others, "<frozen"))
    ]
    return places[-1] if places else ""


def run_cell(task: Task, material: Material, cut: int = 1) -> CellResult:
    """Train a cell, then read the test split once, if the material has it.

    Args:
        task: what to run.
        material: what to run it on.
        cut: into how many the pieces of an evaluation are cut (see `rank_predictions`).
    """
    # Before training, so that a plug-in's mistake costs no trained cell, and no cell their seconds.
    compared_with = {}
    if material.test is not None:  # not in a trial of tuning
        compared_with = references_of(material.key, material.data, material.valid, material.test)
    started, cpu_started = time.perf_counter(), time.process_time()
    torch.set_num_threads(task.threads)
    cell, data, valid, test = task.cell, material.data, material.valid, material.test
    device = torch.device(task.device)
    checkpoint = None
    if task.checkpoint is not None:
        checkpoint = Checkpoint(task.checkpoint, task.code, task.start, task.keep)
    fitted = fit(cell, data, valid, device, _progress_writer(task), checkpoint, cut)
    wall_before, cpu_before = (0.0, 0.0) if checkpoint is None else checkpoint.before
    if test is None:
        found = _validated(valid, fitted, device, cut)
    else:
        found = _tested(data, test, fitted, device, cut)
    train_s = sum(row["train_s"] for row in fitted.epochs)
    n_targets = int((np.diff(data.train.offsets) - 1).sum())
    return CellResult(
        cell=cell,
        code=task.code,
        data={
            **material.about,
            "train_targets": n_targets,
            "valid_users": len(np.unique(valid.users)),
            "valid_targets": len(valid.targets),
            **found.data,
            **compared_with,
        },
        metrics={"valid": selected_on(fitted), **found.metrics},
        buckets=found.buckets,
        best_epoch=fitted.best_epoch,
        timings={
            "epochs": len(fitted.epochs),
            "train_s": train_s,
            "valid_s": sum(row["valid_s"] for row in fitted.epochs),
            "train_s_to_best": sum(row["train_s"] for row in fitted.epochs[: fitted.best_epoch]),
            "targets_per_s": n_targets * len(fitted.epochs) / train_s,
            "wall_s": wall_before + time.perf_counter() - started,
            "cpu_s": cpu_before + time.process_time() - cpu_started,
            "peak_mb": peak_memory_mb(),
        },
        environment=environment.describe(device, task.threads),
        epochs=fitted.epochs,
        arrays=found.arrays,
        weights=tuple(map(packed, fitted.models)) if task.keep_models else (),
    )


@dataclass(frozen=True)
class _ExtraRanking:
    """A ranking of the test split beside that by the model under test.

    Attributes:
        name: its metrics are ``test_NAME``, its ranks ``rank_NAME``.
        models: the trained models whose scores are added up: 0 is under test, 1 its peer.  There
            is no such ranking where there is no such model.
        seen_as: the score of what the user has had.
        ranks_kept: whether the ranks are stored beside the metrics.
    """

    name: str
    models: tuple[int, ...]
    seen_as: float = -math.inf
    ranks_kept: bool = True


EXTRA_RANKINGS = (
    # How the released code of the MDCNS paper's baselines masks what a user has had.
    _ExtraRanking("seen_as_zero", models=(0,), seen_as=0.0, ranks_kept=False),
    _ExtraRanking("peer", models=(1,)),
    _ExtraRanking("ensemble", models=(0, 1)),
)


def _tested(
    data: TrainingData, test: Examples, fitted: Fitted, device: torch.device, cut: int
) -> Found:
    ranking = rank_predictions(fitted.models[:1], test, device, top=TOP, cut=cut)
    extra = {
        each: rank_predictions(
            [fitted.models[i] for i in each.models], test, device, seen_as=each.seen_as, cut=cut
        )
        for each in EXTRA_RANKINGS
        if max(each.models) < len(fitted.models) and (test.masked or each.seen_as == -math.inf)
    }
    found = found_by(ranking, test, data)
    return Found(
        data=found.data,
        metrics={
            "test": found.metrics["test"],
            **{f"test_{each.name}": its.accuracy for each, its in extra.items()},
            **found.metrics,
        },
        buckets=found.buckets,
        arrays={
            "rank": found.arrays["rank"],
            **{f"rank_{each.name}": its.ranks for each, its in extra.items() if each.ranks_kept},
            **found.arrays,
        },
    )


def _validated(valid: Examples, fitted: Fitted, device: torch.device, cut: int) -> Found:
    """A trial of tuning ends with what it was selected on."""
    ranking = rank_predictions(fitted.models[:1], valid, device, cut=cut)
    arrays: Arrays = {"rank": ranking.ranks, "user": valid.users, "target": valid.targets}
    return Found({}, {}, {}, arrays | expected_of(ranking))


def selected_on(fitted: Fitted) -> dict[str, float]:
    """Validation metrics of the best epoch."""
    return {
        name.removeprefix("valid_"): value
        for name, value in fitted.epochs[fitted.best_epoch - 1].items()
        if name.startswith("valid_") and name != "valid_s"
    }


def _progress_writer(task: Task) -> Callable[[Epoch], None]:
    def write(row: Epoch) -> None:
        if task.progress is not None:
            state = {
                "cell": task.label or task.cell.label,
                "epoch": row["epoch"],
                "ndcg": row["valid_ndcg@10"],
            }
            state["epochs"] = task.cell.protocol.epochs
            with contextlib.suppress(OSError):  # a full disk is no reason to stop training
                replace(task.progress, json.dumps(state))
        if task.late and row["epoch"] < task.cell.protocol.epochs:
            raise _OutOfTimeError

    return write

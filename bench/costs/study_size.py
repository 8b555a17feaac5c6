"""How the cost of a cell grows with the number of cells in its study.

A grid of tiny cells is run again and again, each time with more seeds, so that every run plans
and reports all cells and trains a tenth of them.  Called by ``python -m bench.speed --cells N``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench.errors import UserError
from bench.reports.tables import markdown_table
from bench.reports.writing import write
from bench.studies import study
from bench.studies.listeners import Batch, Listener
from bench.studies.planning import Plan, make_plan
from bench.studies.processes import peak_memory_mb
from bench.studies.request import request_of
from bench.studies.resources import Resources
from bench.studies.status import status
from bench.studies.store import Store

STEPS = 10
"""Runs, each with as many new cells."""

SAMPLERS = ("uniform", "popularity", "dns", "dns+", "mixed")
DATASETS, USERS, ITEMS, LENGTH = 2, 30, 40, 6
"""Random datasets, and of each: users, items, items of a user."""

PER_SEED = DATASETS * len(SAMPLERS)
SETTINGS = {"dim": 4, "window": 6, "N": 4, "epochs": 1, "dns+.M": 2}
STUDY = "tiny"
HERE = Resources(workers=1)


@dataclass(frozen=True)
class Step:
    """What a run cost, in milliseconds a cell of the study, but for ``train``.

    Attributes:
        cells: in the study, when the run was over.
        plan: to plan, look up what is finished, and estimate.
        train: to train and store a cell, by new cell.
        report: to write index, tables, plots and page.
        again: a dry run when all is finished.
        status: to say how the study stands.
        peak_mb: peak memory of the process so far.
    """

    cells: int
    plan: float
    train: float
    report: float
    again: float
    status: float
    peak_mb: float


def measure(cells: int) -> Iterator[Step]:
    """Grow a study in a temporary directory; the runs, as they come.

    Args:
        cells: in the last run.

    Raises:
        UserError: too few cells for the runs, or one of them failed.
    """
    seeds = cells // (STEPS * PER_SEED)
    if seeds < 1:
        raise UserError(f"--cells {cells}: must be at least {STEPS * PER_SEED}")
    return _runs(seeds)


def _runs(seeds: int) -> Iterator[Step]:
    with tempfile.TemporaryDirectory() as folder:
        for step in range(1, STEPS + 1):
            yield run(Path(folder), step * seeds, (step - 1) * seeds)


def run(folder: Path, seeds: int, before: int = 0) -> Step:
    """Train what a study of so many seeds lacks, and report it.

    Args:
        folder: where data, results and reports are, or will be.
        seeds: of the study.
        before: seeds that it has already.

    Raises:
        UserError: a cell failed.
    """
    cells, new = seeds * PER_SEED, (seeds - before) * PER_SEED
    store, clock = Store(folder / "results" / STUDY), _Clock()
    started = time.perf_counter()
    result = study.run(_plan(folder, seeds), store, HERE, study.Options(), [clock])
    if not result.ok:
        raise UserError(f"a cell failed: {result.failed[0]}")
    write(store.root, folder / "reports" / STUDY)
    reported = time.perf_counter()
    study.expected(_plan(folder, seeds), store, HERE, study.Options())
    looked = time.perf_counter()
    status(store, datetime.now(UTC))
    seen = time.perf_counter()
    return Step(
        cells=cells,
        plan=1000 * (clock.began_at - started) / cells,
        train=1000 * (clock.ended_at - clock.began_at) / new,
        report=1000 * (reported - clock.ended_at) / cells,
        again=1000 * (looked - reported) / cells,
        status=1000 * (seen - looked) / cells,
        peak_mb=peak_memory_mb(),
    )


class _Clock(Listener):
    """When training began and ended."""

    began_at = ended_at = 0.0

    def began(self, batch: Batch) -> None:
        self.began_at = time.perf_counter()

    def ended(self, batch: Batch, complete: bool) -> None:
        self.ended_at = time.perf_counter()


def lines(steps: Iterable[Step]) -> Iterator[str]:
    """The runs as a Markdown table, a line as soon as it is known."""
    yield from markdown_table(HEADER, [], n_text=0)
    for step in steps:
        costs = (step.plan, step.train, step.report, step.again, step.status)
        row = [f"{step.cells:,}", *(f"{cost:.2f}" for cost in costs), f"{step.peak_mb:,.0f}"]
        yield "| " + " | ".join(row) + " |"


HEADER = [
    "cells",
    "plan ms",
    "train and store ms",
    "report ms",
    "dry run ms",
    "status ms",
    "peak MB",
]


def _plan(folder: Path, seeds: int) -> Plan:
    return make_plan(
        request_of(
            datasets=_data(folder),
            backbones="gru4rec",
            samplers=SAMPLERS,
            settings=SETTINGS,
            seeds=seeds,
        )
    )


def _data(folder: Path) -> list[str]:
    """Files of random sequences without repeats, written where there are none."""
    paths = [folder / f"random{number}.txt" for number in range(DATASETS)]
    for number, path in enumerate(paths):
        rng = np.random.default_rng(number)
        rows = (rng.permutation(ITEMS)[:LENGTH] + 1 for _ in range(USERS))
        if not path.exists():
            path.write_text(
                "".join(f"{u} {' '.join(map(str, row))}\n" for u, row in enumerate(rows, 1)),
                encoding="utf-8",
            )
    return [os.fspath(path) for path in paths]

"""How the cost of a cell grows with the number of cells in its study.

A grid of tiny cells is run again and again, each time with more seeds, so that every run plans
and reports all cells and trains a tenth of them.  Called by ``python -m bench.speed --cells N``.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bench import grid
from bench.errors import UserError
from bench.isolated import peak_memory_mb
from bench.status import Log, status
from bench.store import Store

STEPS = 10
"""Runs, each with as many new cells."""
DATASETS = 2
SAMPLERS = ("uniform", "popularity", "dns", "dns+", "mixed")
PER_SEED = DATASETS * len(SAMPLERS)
USERS, ITEMS, LENGTH = 30, 40, 6
"""Of a random dataset: users, items, items of a user."""
SETTINGS = ("dim=4", "window=6", "N=4", "epochs=1", "dns+.M=2")
STUDY = "tiny"


@dataclass(frozen=True)
class Step:
    """What a run cost, in milliseconds.

    Attributes:
        cells: in the study, when it was finished.
        plan: to plan, look up and estimate, by cell of the study.
        train: to train and store, by new cell.
        report: to write index, tables, plots and page, by cell of the study.
        again: a dry run when all is finished, by cell of the study.
        status: to say how the study stands, by cell of the study.
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for step in range(1, STEPS + 1):
            yield run(folder, step * seeds, (step - 1) * seeds)


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
    store = Store(folder / "results" / STUDY)
    started = time.time()
    _grid(folder, seeds)
    ended = time.time()
    events = list(Log(store).events())[-new - 2 :]
    begin, end = (datetime.fromisoformat(events[i]["time"]).timestamp() for i in (0, -1))
    again = time.time()
    _grid(folder, seeds, "--dry-run")
    looked = time.time()
    status(store, datetime.now(UTC))
    return Step(
        cells,
        1000 * (begin - started) / cells,
        1000 * (end - begin) / new,
        1000 * (ended - end) / cells,
        1000 * (looked - again) / cells,
        1000 * (time.time() - looked) / cells,
        peak_memory_mb(),
    )


def _grid(folder: Path, seeds: int, *more: str) -> None:
    arguments = [
        "--datasets", *_data(folder), "--backbones", "gru4rec", "--samplers", *SAMPLERS,
        "--set", *SETTINGS, "--seeds", str(seeds), "--study", STUDY, "--workers", "1",
        "--results", str(folder / "results"), "--reports", str(folder / "reports"), *more,
    ]  # fmt: skip
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        failed = grid.main(arguments)
    if failed:
        raise UserError(f"the grid failed:\n{said.getvalue()[-2000:]}")


def _data(folder: Path) -> list[str]:
    """Files of random sequences without repeats, written where there are none."""
    paths = [folder / f"random{number}.txt" for number in range(DATASETS)]
    for number, path in enumerate(paths):
        rng = np.random.default_rng(number)
        rows = (rng.permutation(ITEMS)[:LENGTH] + 1 for _ in range(USERS))
        text = "".join(f"{u} {' '.join(map(str, row))}\n" for u, row in enumerate(rows, 1))
        if not path.exists():
            path.write_text(text)
    return [os.fspath(path) for path in paths]

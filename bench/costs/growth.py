"""How the cost of a step grows with the catalogue, the candidate pool and the data.

One axis is varied at a time, around a base point, on random sequences; each point is measured in
a process of its own.  Called by ``python -m bench.speed --growth DIR``.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, NullFormatter

import samplers
from bench.cell import Cell, Component
from bench.datasets.splits import Examples, Sequences
from bench.datasets.training_data import TrainingData
from bench.reports.plots import style
from bench.reports.plots.looks import looks_of
from bench.reports.tables import markdown_table
from bench.studies.processes import in_own_processes, peak_memory_mb
from bench.training.evaluation import rank_predictions
from bench.training.loop import Trainer

AXES = {
    "items": [10**4, 10**5, 10**6, 10**7],
    "N": [10, 30, 100, 300, 1000],
    "interactions": [10**5, 10**6, 10**7],
}
BASE = {"items": 10**5, "N": 100, "interactions": 10**5}
LENGTH = 10
"""Items of a random sequence."""
USERS = 64
"""Users ranked to time evaluation."""
LABELS = {"items": "items in the catalogue", "N": "candidates N", "interactions": "interactions"}


@dataclass(frozen=True)
class Point:
    """What was measured at one size.

    Attributes:
        axis: what is varied: ``items``, ``N`` or ``interactions``.
        value: its size.
        sampler: name.
        prepare_s: from training data to the first step.
        step_ms: median time of a training step.
        evaluate_ms: time to rank one user's item among the catalogue.
        peak_mb: peak memory of the process.
    """

    axis: str
    value: int
    sampler: str
    prepare_s: float
    step_ms: float
    evaluate_ms: float
    peak_mb: float


def measure(cells: Sequence[Cell], steps: int, threads: int) -> pd.DataFrame:
    """A row a point, of every axis for every cell's sampler.

    Args:
        cells: what to train; their datasets are replaced by random sequences.
        steps: timed at each point.
        threads: of each process.
    """
    rows = []
    for axis, values in AXES.items():
        for value, cell in itertools.product(values, cells):
            print(f"\r{axis} = {value:<12,} {cell.sampler.name:<24}", end="", file=sys.stderr)
            sizes = BASE | {axis: value}
            (point,) = in_own_processes(1, _measure_point, axis, sizes, cell, steps, threads)
            rows.append(asdict(point))
    print(file=sys.stderr)
    return pd.DataFrame(rows)


def random_data(n_items: int, n_interactions: int) -> TrainingData:
    """Random sequences of ``LENGTH`` items."""
    n = n_interactions // LENGTH
    items = np.random.default_rng(0).integers(1, n_items + 1, n * LENGTH, dtype=np.int32)
    return TrainingData(
        Sequences(items, np.arange(0, n * LENGTH + 1, LENGTH), np.arange(n)), n_items
    )


def write(points: pd.DataFrame, directory: Path) -> list[Path]:
    """``growth.md``, ``growth.csv``, ``growth.png`` and ``growth.svg``."""
    directory.mkdir(parents=True, exist_ok=True)
    points.to_csv(directory / "growth.csv", index=False, float_format="%.4g")
    (directory / "growth.md").write_text(_markdown(points), encoding="utf-8")
    with matplotlib.rc_context(style.STYLE):
        plots = style.save(_plot(points), directory / "growth")
    return [directory / "growth.md", directory / "growth.csv", *plots]


def _measure_point(axis: str, sizes: dict[str, int], cell: Cell, steps: int, threads: int) -> Point:
    torch.set_num_threads(threads)
    known = samplers.registry.hyper_parameters(cell.sampler.name)
    hyper = cell.sampler.hyper | ({"N": sizes["N"]} if "N" in known else {})
    cell = replace(cell, sampler=Component(cell.sampler.name, hyper))
    data = random_data(sizes["items"], sizes["interactions"])
    started = time.perf_counter()
    trainer = Trainer(cell, data, torch.device("cpu"))
    batches = trainer.batches.epoch(1, trainer.generator)
    first = next(batches)
    prepare_s = time.perf_counter() - started
    seconds = []
    for batch in itertools.islice(itertools.chain([first], batches), steps + 2):
        started = time.perf_counter()
        trainer.step(batch)
        seconds.append(time.perf_counter() - started)
    examples = Examples(
        data.train.items[: USERS * LENGTH],
        np.arange(0, USERS * LENGTH + 1, LENGTH),
        data.train.items[-USERS:],
        np.arange(USERS),
    )
    started = time.perf_counter()
    rank_predictions(trainer.models[:1], examples, torch.device("cpu"))
    evaluate_ms = 1000 * (time.perf_counter() - started) / USERS
    step_ms = 1000 * statistics.median(seconds[2:])  # the first ones allocate
    return Point(
        axis, sizes[axis], cell.sampler.name, prepare_s, step_ms, evaluate_ms, peak_memory_mb()
    )


HEADER = [
    "varied",
    "sampler",
    "prepare s",
    "step ms",
    "× smallest",
    "evaluation ms/user",
    "peak MB",
]


def _markdown(points: pd.DataFrame) -> str:
    base = ", ".join(f"{name} = {value:,}" for name, value in BASE.items())
    rows = []
    for (axis, sampler), group in points.groupby(["axis", "sampler"], sort=False):
        smallest = group["step_ms"].iloc[0]
        for point in group.itertuples():
            rows.append(
                [f"{axis} = {point.value:,}", str(sampler), f"{point.prepare_s:.2f}",
                 f"{point.step_ms:.1f}", f"{point.step_ms / smallest:.2f}",
                 f"{point.evaluate_ms:.2f}", f"{point.peak_mb:,.0f}"]
            )  # fmt: skip
    lines = [f"Random sequences of {LENGTH} items (synthetic); otherwise {base}.", ""]
    return "\n".join([*lines, *markdown_table(HEADER, rows, n_text=2)]) + "\n"


def _plot(points: pd.DataFrame) -> Figure:
    """Time of a step against each size, a panel a size, a line a sampler."""
    figure = Figure(figsize=(style.WIDE, 2.4), layout="constrained")
    axes = figure.subplots(1, len(AXES), sharey=True)
    names = list(dict.fromkeys(points["sampler"]))
    looks = looks_of(names)
    for panel, axis in zip(axes, AXES, strict=True):
        for name in names:
            found = points[(points["axis"] == axis) & (points["sampler"] == name)]
            panel.plot(found["value"], found["step_ms"], **looks[name].line)
        panel.set(xscale="log", yscale="log", xlabel=LABELS[axis])
        for side in (panel.xaxis, panel.yaxis):
            side.set_major_formatter(EngFormatter(sep=""))
            side.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("training step (ms)")
    axes[0].yaxis.set_major_locator(FixedLocator(style.log_ticks(*axes[0].get_ylim())))
    style.add_legend(figure, style.sampler_handles(looks, names, lines=True))
    style.set_title(figure, "Cost of a step by size, random sequences (synthetic)")
    return figure

"""Which sampler for my data?  `bench.compare` asks, and a `Result` answers.

import bench

result = bench.compare(frame, samplers=["uniform", "dns+", "mixed"], budget="30m")
print(result.verdict())
result.frame
result.plot.costs()
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.comparison import Comparison
from bench.analysis.finalists import finalists
from bench.analysis.verdict import verdicts
from bench.api import Folder, Study, plan
from bench.datasets.reading.columns import columns_of
from bench.errors import UserError
from bench.files import check_name, check_writable, replace
from bench.reports.manifest import PAGE
from bench.reports.plots import buckets, costs, curves, dots, style
from bench.reports.plots.looks import looks_of
from bench.studies.limits import BACKBONE, SEEDS
from bench.studies.request import Names
from bench.studies.study import RunResult


class Plots:
    """Figures of a comparison, as matplotlib draws them; a notebook shows what a call returns."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison
        self._looks = looks_of(comparison.cells["sampler"])

    def accuracy(self) -> Figure:
        """Test accuracy by sampler, with intervals over test users."""
        with matplotlib.rc_context(style.STYLE):
            return _shown(dots.figure_of(self._comparison))

    def costs(self) -> Figure:
        """Test accuracy against what training costs."""
        with matplotlib.rc_context(style.STYLE):
            return _shown(next(costs.figures(self._comparison, self._looks))[1])

    def validation(self) -> Figure:
        """Validation accuracy by epoch."""
        history = curves.histories(self._comparison)
        with matplotlib.rc_context(style.STYLE):
            return _shown(next(curves.validation(self._comparison, history, self._looks))[1])

    def buckets(self) -> Figure:
        """Test accuracy by popularity of the item and by length of the sequence."""
        with matplotlib.rc_context(style.STYLE):
            return _shown(next(buckets.figures(self._comparison, self._looks))[1])


def _shown(figure: Figure) -> Figure:
    """The figure, which a notebook shows though no pyplot knows of it."""

    def png() -> bytes:
        with matplotlib.rc_context(style.STYLE):
            return style.rendered(figure)["png"]

    vars(figure)["_repr_png_"] = png
    return figure


class Result:
    """What `compare` found.

    Attributes:
        study: with all that was trained.
        run: what became of the run; its ``failed`` says what could not be trained.
    """

    def __init__(self, study: Study, run: RunResult) -> None:
        self.study, self.run = study, run

    @property
    def frame(self) -> pd.DataFrame:
        """A row a tested cell: dataset, backbone, sampler, seed, test metrics, costs."""
        return self.study.frame()

    @property
    def rounds(self) -> pd.DataFrame:
        """Validation NDCG@20 of every candidate by round, NaN after it was dropped; without a
        budget there are no rounds, and no rows."""
        found = finalists(self.study.store)
        if found is None:
            return pd.DataFrame()
        steps = [step for step in found.account.rounds if step.ended]
        names = [each.name for each in found.account.candidates]
        columns = {
            f"round {i}, epoch {step.epochs}": step.means() for i, step in enumerate(steps, start=1)
        }
        return pd.DataFrame(columns, index=pd.Index(names, name="candidate"), dtype=float)

    def verdict(self) -> str:
        """What was found, and how sure it is: on validation, then on the test users."""
        found = finalists(self.study.store)
        sentences = [] if found is None else found.sentences()
        for comparison in self.study.comparisons():
            sentences += [text for each in verdicts(comparison) for text in each.sentences()]
        return "\n".join(sentences)

    @property
    def plot(self) -> Plots:
        """Figures of the first of the study's comparisons."""
        return Plots(self.study.comparisons()[0])

    def page(self, path: Folder) -> Path:
        """Write the report, tables and figures and a page of all of it, into a folder.

        Returns:
            The page.

        Raises:
            UserError: the folder cannot be written.
        """
        self.study.report(path)
        return Path(path) / PAGE

    def __repr__(self) -> str:
        return f"<bench.Result of {self.study!r}>\n{self.verdict()}"


def compare(
    data: pd.DataFrame | Folder,
    *,
    samplers: Names = None,
    backbone: str = BACKBONE,
    budget: str | float | None = "30m",
    seeds: int | None = None,
    name: str = "frame",
    study: str | None = None,
    results: Folder = "results",
    workers: int | None = None,
    device: str = "cpu",
    progress: bool = True,
    **chosen: Any,
) -> Result:
    """Which sampler is best on some data, found in a given time.

    Called again with the same data and budget it goes on where it was, or answers at once.

    Args:
        data: a frame with columns of users, items and, if there are any, times (``user``, ``item``,
            ``timestamp`` and other usual names; others with ``reading``), the path of a log, or a
            registered dataset.
        samplers: registered names; None for all.
        backbone: a registered name.
        budget: ``30m``, ``1h30m`` or seconds, of the clock (see `bench.studies.halving`); None to
            train all samplers at all seeds.
        seeds: of the finalists at most so many; without a budget, as many.
        name: of a dataset that is given as a frame.
        study: directory under ``results``; without, its name, and ``-budget`` where one is given.
        results: directory of all studies; a frame is written there, too.
        workers: see `bench.Study.run`.
        device: see there.
        progress: print lines, and on a terminal a display, as the command does.
        chosen: other arguments of `bench.plan`, such as
            ``reading=bench.Reading.of(columns="user=customer,item=sku", min_count=5)``.

    Raises:
        UserError: bad input, or too little time for a round of all samplers.
    """
    began = time.monotonic()
    suffix = "" if budget is None else "-budget"
    if isinstance(data, pd.DataFrame):
        check_name("name", name)
        called = study or f"{name}{suffix}"
        check_name("study", called)
        data = _written(data, Path(results) / called, name, whole="reading" in chosen)
    elif not isinstance(data, str | os.PathLike):
        raise UserError(
            f"data is a {type(data).__name__}; give a DataFrame, a path, or a registered name"
        )
    seeds = SEEDS if budget is not None and seeds is None else seeds
    planned = plan(
        datasets=[os.fspath(data)], samplers=samplers, backbones=[backbone], seeds=seeds, **chosen
    )
    kept = Study(study or f"{planned.cells[0].dataset}{suffix}", results=results)
    ran = kept.run(
        planned, workers=workers, device=device, budget=budget, since=began, progress=progress
    )
    return Result(kept, ran)


def _written(frame: pd.DataFrame, folder: Path, name: str, whole: bool) -> Path:
    """A frame as a log in a study's folder, from which it is read as any other.

    Args:
        whole: with all of its columns, as the caller says which of them count.

    Raises:
        UserError: cells are there of another frame of that name, which they may yet be read with.
    """
    path = folder / f"{name}.csv"
    columns: Sequence[Any] = list(frame.columns)
    if not whole:
        found = columns_of(Path(f"the frame {name!r}"), [str(column) for column in columns], {})
        columns = [columns[at] for at in found.places.values()]
    check_writable(folder, "results", make=True)
    log = frame[columns].to_csv(index=False).encode()
    if path.exists() and path.read_bytes() != log and any(folder.rglob("cell.json")):
        raise UserError(
            f"{path}: the study's cells are of another frame of that name; give another name or "
            "study"
        )
    replace(path, log)
    return path

"""Everything that the commands do, from Python: plans, studies, comparisons, reports.

``import bench`` offers it without importing it, `bench.plan` and `bench.Study` first of all.
Arguments are the options of ``python -m bench.grid`` by other means, and errors name those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.cells import cells_of
from bench.analysis.compare_studies import Change, compare
from bench.analysis.comparison import Comparison, comparisons
from bench.datasets import Reading
from bench.files import check_name
from bench.metrics import HEADLINE
from bench.reports.presentation import Presentation
from bench.studies import study, tuning
from bench.studies.budget import Budget
from bench.studies.listeners import Lines, Listener, Question
from bench.studies.planning import Plan, make_plan
from bench.studies.progress import Progress
from bench.studies.records import Record
from bench.studies.request import Names, request_of
from bench.studies.resources import Executor, Resources
from bench.studies.status import status
from bench.studies.store import Store
from bench.studies.study import Expected, RunResult
from bench.studies.units import seconds_of

Folder = str | os.PathLike[str]


def plan(
    *,
    preset: str | None = None,
    table: int | None = None,
    datasets: Names = None,
    backbones: Names = None,
    samplers: Names = None,
    objectives: Names = None,
    seeds: int | None = None,
    splits: int | None = None,
    settings: Mapping[str, Any] | None = None,
    split: str | None = None,
    split_file: Folder | None = None,
    data_dir: Folder | None = None,
    grid: bool = False,
    plugins: Sequence[str] = (),
    reading: Reading | None = None,
) -> Plan:
    """Cross samplers, backbones, objectives and datasets; reads the data, trains nothing.

    Args:
        preset: ``smoke``, ``demo``, ``quick`` (usual), ``standard`` (usual with real data) or
            ``paper``: datasets, protocol, seeds; all samplers and backbones, of demo four and one.
        table: the number of a table of the paper, whose systems take part instead.
        datasets: registered names, or paths of your own logs, in place of the preset's.
        backbones, samplers: registered names.
        objectives: for samplers that go with any; ``bce`` unless said otherwise.
        seeds: how many; they are 0, 1, 2, ...
        splits: in place of ``seeds``: so many, each with users of its own to train and test on.
        settings: ``{"dns.N": 10, "*.dropout": [0.1, 0.2], "epochs": 20}``; lists are crossed.
        split: ``user``, ``authors``, ``user-prefixes``, ``leave-one-out`` or ``temporal``; without
            it and ``split_file`` tables take LastFM by ``user-prefixes``, Beauty by ``authors``.
        split_file: lines ``user train|val|test``, for split ``user``.
        data_dir: where real datasets lie; without, ``$BENCH_DATA``.
        grid: train every setting of each sampler's ``search_space``, at most 40 of each.
        plugins: files or modules that register components; worker processes load them too.
        reading: which columns and rows of your own logs count, ``bench.Reading.of(min_count=5)``.

    Raises:
        UserError: unknown names, impossible values, data that cannot be read.
    """
    return make_plan(
        request_of(
            preset=preset,
            table=table,
            datasets=datasets,
            backbones=backbones,
            samplers=samplers,
            objectives=objectives,
            seeds=seeds,
            splits=splits,
            settings=settings or {},
            split=split,
            split_file=split_file,
            data_dir=data_dir,
            grid=grid,
            plugins=plugins,
            reading=reading,
        )
    )


class Study:
    """A study: finished cells in a directory of their own, and what can be said of them.

    Attributes:
        name: of its directory.
        store: its cells on disk.
    """

    def __init__(self, name: str, *, results: Folder = "results") -> None:
        """
        Args:
            name: a study that is there, or that the first `run` will make.
            results: directory of all studies.
        """
        check_name("--study", name)
        self.store = Store(Path(results) / name)
        self.name = self.store.root.name

    def __repr__(self) -> str:
        return f"Study({self.name!r}, results={os.fspath(self.store.root.parent)!r})"

    def run(
        self,
        plan: Plan,
        *,
        workers: int | None = None,
        threads: int = 1,
        device: str = "cpu",
        gpus: Sequence[int] = (),
        cells_per_gpu: int | None = None,
        executor: Executor = "here",
        address: str | None = None,
        force_stale: bool = False,
        tune: int | None = None,
        test_trials: bool = False,
        budget: str | float | None = None,
        since: float | None = None,
        keep_models: bool = False,
        progress: bool = False,
        listeners: Sequence[Listener] = (),
    ) -> RunResult:
        """Train what the study lacks of a plan; what is finished is not trained again.

        Args:
            plan: what `bench.plan` gave.
            workers: cells at a time; None for as many as there are processors, one on a GPU, or
                as many as a cluster has workers; with 1, cells are trained in this process.
            threads: of each cell.
            device: ``cpu``, ``cuda`` or ``cuda:NUMBER``.
            gpus: numbers of several GPUs, in place of ``device`` and ``workers``.
            cells_per_gpu: at a time; None for one.
            executor: ``here``, or a cluster's: ``dask`` or ``ray``.
            address: of the cluster.
            force_stale: train again what was trained by other code.
            tune: give every system so many trials first, and train its best on validation.
            test_trials: of a study that was tuned so, test every trial.
            budget: in place of training all of the plan, look for its best system in ``30m`` or so
                many seconds; the finalists get at most as many seeds as the plan has.
            since: when these began, if it was before now (`time.monotonic`).
            keep_models: keep the trained weights, for `load_model`; what is finished without is
                trained again for them, and keeps its numbers.
            progress: print lines, warnings and a display, as the command does; asks nothing.
            listeners: told how the run goes, besides.

        Raises:
            UserError: bad input, a directory that cannot be written, a cluster that is gone;
                what was finished is kept.  Cells that fail are no error: see `RunResult.failed`.
        """
        shown: list[Listener] = [Lines(), Question(yes=True), Progress()] if progress else []
        return study.run(
            plan,
            self.store,
            Resources(workers, threads, device, tuple(gpus), cells_per_gpu, executor, address),
            study.Options(
                force_stale, tune, test_trials, keep_models, budget=_budget(budget, since)
            ),
            [*shown, *listeners],
        )

    def expected(
        self,
        plan: Plan,
        *,
        workers: int | None = None,
        threads: int = 1,
        force_stale: bool = False,
        tune: int | None = None,
        keep_models: bool = False,
    ) -> Expected:
        """What `run` would train on this machine, and take at most; measures a few steps.

        Raises:
            UserError: bad input.
        """
        resources = Resources(workers, threads)
        options = study.Options(force_stale, tune, keep_models=keep_models)
        return study.expected(plan, self.store, resources, options)

    def status(self) -> list[str]:
        """Lines for people: what is done, running, failed and waiting.

        Raises:
            UserError: there is no such study.
        """
        return status(self.store, datetime.now(UTC))

    def records(self) -> list[Record]:
        """Every finished cell; of a tuned study those that were chosen, and of one with a budget
        its finalists'."""
        return tuning.reported(self.store)

    def frame(self) -> pd.DataFrame:
        """A row a finished cell: its names, seed, test metrics, costs.

        Samplers that were run with several settings are told apart by name, ``dns+ (M=5)``.

        Raises:
            UserError: no cell is finished.
        """
        return cells_of(tuning.as_compared(self.store))

    def comparisons(self) -> list[Comparison]:
        """The cells sorted into what may stand in one table.

        Raises:
            UserError: no cell is finished.
        """
        return comparisons(self.store)

    def report(
        self, folder: Folder | None = None, *, presentation: Presentation | None = None
    ) -> list[Path]:
        """Write tables, plots and a page; or camera-ready tables and plots, for a paper.

        Args:
            folder: where; without, ``reports/<name>``, or ``reports/<name>-camera``.
            presentation: what a camera-ready report shows, and how.

        Returns:
            The files.

        Raises:
            UserError: no cell is finished, the study has nothing that was chosen, or the folder
                cannot be written.
        """
        from bench.reports.writing import folder_of, write  # matplotlib takes a while to import

        where = folder_of(self.name, presentation) if folder is None else Path(folder)
        return write(self.store.root, where, presentation=presentation)


def _budget(given: str | float | None, since: float | None = None) -> Budget | None:
    if given is None:
        return None
    seconds = seconds_of(given) if isinstance(given, str) else given
    return Budget(seconds) if since is None else Budget(seconds, since)


def run(
    name: str,
    *,
    results: Folder = "results",
    workers: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    tune: int | None = None,
    keep_models: bool = False,
    progress: bool = False,
    listeners: Sequence[Listener] = (),
    **chosen: Any,
) -> RunResult:
    """`plan` and `Study.run` in one: train what a study lacks of what is ``chosen``.

    For a budget, GPUs, clusters and what else `Study.run` may be given, call the two.

    Args:
        name: of the study.
        chosen: arguments of `plan`.

    Raises:
        UserError: as they do.
    """
    return Study(name, results=results).run(
        plan(**chosen),
        workers=workers,
        threads=threads,
        device=device,
        tune=tune,
        keep_models=keep_models,
        progress=progress,
        listeners=listeners,
    )


def compare_studies(before: Study, after: Study, *, metric: str = HEADLINE) -> list[Change]:
    """What changed between two studies, for every system that is in both, user by user.

    Raises:
        UserError: a study is empty, or no system is in both.
    """
    changes, _ = compare(before.store, after.store, metric)
    return changes

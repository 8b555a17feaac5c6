"""What ``python -m bench.grid`` does, once its options are read."""

from __future__ import annotations

import argparse

from bench.api import Study
from bench.cell import PRESETS
from bench.datasets import data_directory
from bench.errors import UserError
from bench.files import check_writable
from bench.grid_options import reading_of
from bench.studies import study, study_file, tuning
from bench.studies.budget import Budget
from bench.studies.limits import BACKBONE, SEEDS
from bench.studies.listeners import Lines, Question
from bench.studies.planning import Plan, make_plan
from bench.studies.progress import Progress
from bench.studies.request import Request, parse_settings, preset_name, request_of
from bench.studies.resources import Resources, parse_gpus
from bench.terminal import tell


def run(options: argparse.Namespace, began: float) -> int:
    """Plan, train what is missing, write the report; returns the exit status.

    Args:
        began: the time since when a budget is spent (`time.monotonic`).
    """
    budget = None if options.budget is None else Budget(options.budget, began)
    resources = _resources(options)
    how = study.Options(
        options.force_stale, options.tune, options.test_trials, options.keep_models, budget
    )
    plan = _plan(options)
    kept = Study(_study_name(options, plan), results=options.results)
    if options.dry_run:
        tell(str(study.expected(plan, kept.store, resources, how, [Lines()])))
        return 0
    check_writable(options.reports / kept.name, "--reports")
    listeners = [Lines(), Question(options.yes), Progress()]
    result = study.run(plan, kept.store, resources, how, listeners)
    if result.ok or tuning.reported(kept.store):
        from bench.reports.writing import write_and_close  # matplotlib takes a while to import

        for line in write_and_close(kept.store.root, options.reports / kept.name):
            tell(line)
    for failure in result.failed:
        tell(f"failed: {failure}", error=True)
    return 0 if result.ok else 1


def _plan(options: argparse.Namespace) -> Plan:
    """The cells that the options ask for.

    Raises:
        UserError: nothing, what there is not, or what does not go together.
    """
    if options.file is None:
        return make_plan(request(options))
    for name in ("backbones", "samplers", "objectives", "seeds", "splits", "preset", "set",
                 "grid", "split", "tune", "columns", "where", "min_count",
                 "repeats", "budget"):  # fmt: skip
        if getattr(options, name):
            raise UserError(
                f"--from {options.file}: its cells are what they are; leave out "
                f"--{name.replace('_', '-')}"
            )
    return study_file.plan_of(
        options.file,
        data_directory(options.data_dir),
        options.datasets or (),
        options.split_file,
        options.plugin,
    )


def _study_name(options: argparse.Namespace, plan: Plan) -> str:
    """The study's folder: ``--study``; else with ``--from`` that of the file; else with
    ``--budget`` the dataset's name and ``-budget``; else the preset's
    name, with ``-tuned`` for a tuned one and ``-splits`` for one whose seeds draw their users.

    Preset ``paper`` goes to ``paper-protocol``; the tables of the paper share it, and with it the
    cells that they have in common.
    """
    if options.file is not None and options.study is None:
        return options.file.resolve().parent.name
    if options.budget is not None and options.study is None:
        return f"{plan.cells[0].dataset}-budget"
    preset = preset_name(options.preset, options.table, options.datasets)
    if options.tune is not None:
        preset = f"{preset}-tuned"
    if options.splits is not None:
        preset = f"{preset}-splits"
    if options.study is not None:
        return str(options.study)
    return "paper-protocol" if preset == "paper" else preset


def _resources(options: argparse.Namespace) -> Resources:
    """What the options let a run use.

    Raises:
        UserError: they are impossible or contradictory.
    """
    return Resources(
        workers=options.workers,
        threads=options.threads,
        device=options.device,
        gpus=() if options.gpus is None else parse_gpus(options.gpus),
        cells_per_gpu=options.cells_per_gpu,
        executor=options.executor,
        address=options.address,
    )


def request(options: argparse.Namespace) -> Request:
    """What the options ask for.

    Raises:
        UserError: nothing, or what there is not.
    """
    chosen = (options.datasets, options.backbones, options.samplers, options.objectives)
    named = options.preset is not None and PRESETS[options.preset].samplers
    whole = options.all or options.table or options.budget
    if not whole and not any(chosen) and not named:
        raise UserError(
            "nothing is chosen: give --all, --table or --preset demo, or some of --datasets "
            "--backbones --samplers --objectives (--list shows the names)"
        )
    return request_of(
        preset=options.preset,
        table=options.table,
        datasets=options.datasets,
        backbones=options.backbones or (options.budget and not options.table and BACKBONE) or None,
        samplers=options.samplers,
        objectives=options.objectives,
        seeds=options.seeds or (SEEDS if options.budget and not options.splits else None),
        splits=options.splits,
        settings=parse_settings(options.set),
        split=options.split,
        split_file=options.split_file,
        data_dir=options.data_dir,
        grid=options.grid,
        plugins=options.plugin,
        reading=reading_of(options),
    )

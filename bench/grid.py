"""python -m bench.grid: cross samplers, backbones and datasets, train what is missing, report.

Exit status: 0 all cells are finished; 1 some are not (they are named at the end, with the reason:
they failed, or another run is at them); 2 bad input, a directory that cannot be written, a cluster
that is gone; 130 stopped by Ctrl-C.  What was finished is kept.

``python -m bench.grid status STUDY`` says how a study stands; see `bench.studies.status`.
"""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.api import Study
from bench.errors import UserError
from bench.grid_options import parser
from bench.registry import load_plugin
from bench.studies import study, tuning
from bench.studies.listeners import Lines, Question
from bench.studies.listing import described, listing
from bench.studies.planning import make_plan
from bench.studies.progress import Progress
from bench.studies.request import Request, parse_settings, preset_name, request_of
from bench.studies.resources import Resources, parse_gpus


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _status(given[1:]) if given[:1] == ["status"] else _run(parser().parse_args(given))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        print(f"error: {error}; make room and run the same command again", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    """Plan, train what is missing, write the report."""
    if options.list is not None:
        for plugin in options.plugin:
            load_plugin(plugin)
        print("\n\n".join(map(described, options.list)) or listing())
        return 0
    resources = _resources(options)
    how = study.Options(options.force_stale, options.tune, options.test_trials)
    plan = make_plan(request(options))
    kept = Study(_study_name(options), results=options.results)
    if options.dry_run:
        print(study.expected(plan, kept.store, resources, how, [Lines()]))
        return 0
    listeners = [Lines(), Question(options.yes), Progress()]
    result = study.run(plan, kept.store, resources, how, listeners)
    if result.ok or tuning.reported(kept.store):
        for path in kept.report(options.reports / kept.name):
            print(path)
    for failure in result.failed:
        print(f"failed: {failure}", file=sys.stderr)
    return 0 if result.ok else 1


def _status(arguments: Sequence[str]) -> int:
    """Say how a study stands."""
    status = argparse.ArgumentParser(
        prog="python -m bench.grid status",
        description="How a study stands: what is done, running, failed and waiting.",
    )
    status.add_argument("study", nargs="?", default="quick", help="default: quick")
    status.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    options = status.parse_args(arguments)
    print("\n".join(Study(options.study, results=options.results).status()))
    return 0


def _study_name(options: argparse.Namespace) -> str:
    """The study's folder: ``--study``, else the preset's name, with ``-tuned`` for a tuned one and
    ``-splits`` for one whose seeds draw their users.

    Preset ``paper`` goes to ``paper-protocol``; the tables of the paper share it, and with it the
    cells that they have in common.
    """
    preset = preset_name(options.preset, options.table)
    if options.tune is not None:
        preset = f"{preset}-tuned"
    if options.splits is not None:
        preset = f"{preset}-splits"
    return str(options.study or ("paper-protocol" if preset == "paper" else preset))


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
    if not options.all and not options.table and not any(chosen):
        raise UserError(
            "nothing is chosen: give --all or --table, or some of --datasets --backbones "
            "--samplers --objectives (--list shows the names)"
        )
    return request_of(
        preset=options.preset,
        table=options.table,
        datasets=options.datasets,
        backbones=options.backbones,
        samplers=options.samplers,
        objectives=options.objectives,
        seeds=options.seeds,
        splits=options.splits,
        settings=parse_settings(options.set),
        split=options.split,
        split_file=options.split_file,
        data_dir=options.data_dir,
        grid=options.grid,
        plugins=options.plugin,
    )


if __name__ == "__main__":
    sys.exit(main())

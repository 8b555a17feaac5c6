"""python -m bench.grid: cross samplers, backbones and datasets, train what is missing, report.

Exit status: 0 all cells are finished; 1 some are not (they are named at the end, with the reason:
they failed, or another run is at them); 2 bad input, a directory that cannot be written, a cluster
that is gone; 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.  What was finished is kept.

``python -m bench.grid status STUDY`` says how a study stands; see `bench.studies.status`.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.api import Study
from bench.errors import UserError
from bench.files import check_writable
from bench.grid_options import parser
from bench.registry import load_plugin
from bench.studies import study, tuning
from bench.studies.listeners import Lines, Question, tell
from bench.studies.listing import described, listing
from bench.studies.planning import make_plan
from bench.studies.progress import Progress
from bench.studies.request import Request, parse_settings, preset_name, request_of
from bench.studies.resources import Resources, parse_gpus


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _stopped_by(signal.SIGTERM, signal.SIGHUP):
            return (
                _status(given[1:]) if given[:1] == ["status"] else _run(parser().parse_args(given))
            )
    except UserError as error:
        tell(f"error: {error}", error=True)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        tell(f"error: {error}; make room and run the same command again", error=True)
        return 2
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args else signal.SIGINT
        tell("stopped; run the same command again to continue", error=True)
        return 128 + number


@contextlib.contextmanager
def _stopped_by(*numbers: signal.Signals) -> Iterator[None]:
    """These signals, which schedulers and lost terminals send, stop like Ctrl-C.

    What is ignored (by ``nohup``) stays ignored.
    """

    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.getsignal(number) for number in numbers}
    if threading.current_thread() is not threading.main_thread():
        before.clear()  # signals are not for other threads
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(options: argparse.Namespace) -> int:
    """Plan, train what is missing, write the report."""
    if options.list is not None:
        for plugin in options.plugin:
            load_plugin(plugin)
        tell("\n\n".join(map(described, options.list)) or listing())
        return 0
    resources = _resources(options)
    how = study.Options(options.force_stale, options.tune, options.test_trials)
    plan = make_plan(request(options))
    kept = Study(_study_name(options), results=options.results)
    if options.dry_run:
        tell(str(study.expected(plan, kept.store, resources, how, [Lines()])))
        return 0
    check_writable(options.reports / kept.name, "--reports")
    listeners = [Lines(), Question(options.yes), Progress()]
    result = study.run(plan, kept.store, resources, how, listeners)
    if result.ok or tuning.reported(kept.store):
        for path in kept.report(options.reports / kept.name):
            tell(str(path))
    for failure in result.failed:
        tell(f"failed: {failure}", error=True)
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
    tell("\n".join(Study(options.study, results=options.results).status()))
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

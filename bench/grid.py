"""python -m bench.grid: cross samplers, backbones and datasets, train what is missing, report.

Exit status: 0 all cells are finished; 1 some are not (they are named at the end, with the reason:
they failed, or another run is at them); 2 bad input, a directory that cannot be written, a cluster
that is gone; 130 stopped by Ctrl-C.  What was finished is kept.

``python -m bench.grid status STUDY`` says how a study stands; see `bench.studies.status`.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import filelock
import torch

import backbones
import samplers
from bench import datasets, objectives
from bench.cell import PRESETS, Cell, Protocol
from bench.errors import UserError
from bench.metrics import SELECT_ON
from bench.registry import Registry, load_plugin
from bench.reports.writing import write
from bench.studies import executors, paper_grids, status, tuning
from bench.studies.code import code_digest
from bench.studies.estimates import LARGE_DISK, LARGE_HOURS, Meter, confirm, kind_of
from bench.studies.log import Log
from bench.studies.planning import Plan, Request, make_plan, parse_settings, preset_request
from bench.studies.progress import Progress, duration
from bench.studies.run_cell import Material, Outcome, Task
from bench.studies.store import Status, Store

REGISTRIES: dict[str, Registry[Any]] = {
    "samplers": samplers.registry,
    "backbones": backbones.registry,
    "objectives": objectives.registry,
    "datasets": datasets.registry,
}
HEADLINE = "ndcg@10"
BUSY = "another run is at it; run the same command again when it has finished"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["status"]:
        return status.main(given[1:])
    options = _parser().parse_args(given)
    options.preset = options.preset or ("paper" if options.table else "quick")
    try:
        for plugin in options.plugin:
            load_plugin(plugin)
        if options.list:
            print(listing())
            return 0
        return run(options)
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


def run(options: argparse.Namespace) -> int:
    """Plan, train what is missing, write the index and the report; returns the exit status."""
    options.devices = _devices(options)
    with contextlib.ExitStack() as stack:
        # Made when there is something to train, and once, as tuning trains round after round.
        options.engine = cache(lambda: stack.enter_context(contextlib.closing(_engine(options))))
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    study = study_name(options)
    request = _request(options)
    plan = make_plan(request)
    for reason in plan.skipped:
        print(f"skipped: {reason}")
    tuned = options.tune is not None
    store = Store(options.results / study)
    tuning.check_study(store, tuned)
    meter = Meter(plan, options.devices[0], options.threads, elsewhere=options.executor != "here")
    if tuned and options.dry_run:
        print(_expected_trials(plan, store, options, meter))
        return 0
    cells, failures = plan.cells, list[str]()
    if options.test_trials:
        cells, failures = _test_trials(plan, store, options, meter)
    elif tuned:
        cells, failures = _tune(request, plan, store, options, meter)
    todo = _todo(cells, store, options.force_stale)
    if options.dry_run:
        print(_expected(todo, options, meter))
        return 0
    if todo and not tuned:
        _confirm(todo, [], options, meter)
    store.check_writable()
    failed = _train(plan, todo, store, options, meter)
    store.write_index()
    failures += [f"{outcome.cell.label}: {outcome.error}" for outcome in failed]
    if not failures or tuning.reported(store):
        for path in write(store.root, options.reports / store.root.name):
            print(path)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _tune(
    request: Request, plan: Plan, store: Store, options: argparse.Namespace, meter: Meter
) -> tuple[list[Cell], list[str]]:
    """Tune every system and keep the account; returns the chosen cells, and what failed."""
    trials, failures = Store(store.root / tuning.TRIALS), dict[str, str]()

    def train(proposals: Sequence[tuning.Proposal]) -> set[str]:
        labels = {proposal.cell.key: proposal.label for proposal in proposals}
        cells = [proposal.cell for proposal in proposals]
        todo = _todo(cells, trials, options.force_stale, "trials")
        failed = _train(plan, todo, trials, options, meter, test=False, labels=labels)
        failures.update({o.cell.key: f"{labels[o.cell.key]}: {o.error}" for o in failed})
        return {outcome.cell.key for outcome in failed if outcome.error != BUSY}

    fixed = parse_settings(options.set)
    left = tuning.left(plan, options.tune, fixed, store, options.force_stale)
    _confirm(*left, options, meter)
    tuned, cells = tuning.tune(request, plan, options.tune, fixed, trials, train)
    tuning.save(store.root, tuned)
    for one in tuned:
        print(tuning.summary(one))
    return cells, list(failures.values())


def _test_trials(
    plan: Plan, store: Store, options: argparse.Namespace, meter: Meter
) -> tuple[list[Cell], list[str]]:
    """Test the trials of a finished study; returns its final cells, and what failed."""
    tuned = tuning.finished(plan, options.tune, store)
    trials, tests = (Store(store.root / name) for name in (tuning.TRIALS, tuning.TESTS))
    done = [trial for one in tuned for trial in one.trials if trial.status == "done"]
    planned = [trials.load(trial.key).cell for trial in done]
    labels = {
        trial.key: f"{cell.label} ({tuning.shown(trial.values)})"
        for cell, trial in zip(planned, done, strict=True)
    }
    todo = _todo(planned, tests, options.force_stale, "trials")
    _confirm(todo, [], options, meter)
    failed = _train(plan, todo, tests, options, meter, labels=labels)
    cells = [store.load(key).cell for one in tuned for key in one.cells]
    return cells, [f"{labels[outcome.cell.key]}: {outcome.error}" for outcome in failed]


def study_name(options: argparse.Namespace) -> str:
    """The study's folder: ``--study``, else the preset's name, with ``-tuned`` for a tuned one.

    Preset ``paper`` goes to ``paper-protocol``; the tables of the paper share it, and with it the
    cells that they have in common.
    """
    default = "paper-protocol" if options.preset == "paper" else options.preset
    if options.tune is not None:
        default = f"{options.preset}-tuned"
    return str(options.study or default)


def listing() -> str:
    """Everything registered: name, one line, hyper-parameters with their defaults."""
    lines = []
    for title, registry in REGISTRIES.items():
        lines.append(f"{title}:")
        for name in registry.names():
            lines.append(f"  {name:<14} {registry.description(name)}")
            hyper = registry.hyper_parameters(name).values()
            if hyper:
                lines.append(" " * 17 + " ".join(f"{h.name}={_shown(h.default)}" for h in hyper))
            for variant in registry.variants(name):
                own = registry.hyper_parameters(variant)
                changed = [h for h in own.values() if h not in hyper]
                lines.append(f"    {variant:<20} {registry.description(variant)}")
                lines.append(" " * 25 + " ".join(f"{h.name}={_shown(h.default)}" for h in changed))
    lines.append("presets:")
    lines += [f"  {name:<14} {preset.description}" for name, preset in PRESETS.items()]
    lines.append("protocol:")
    protocol = Protocol.parameters().values()
    lines.append(" " * 17 + " ".join(f"{h.name}={h.default}" for h in protocol))
    return "\n".join(lines)


def _shown(default: object) -> str:
    return "none" if default is None else str(default)


def _devices(options: argparse.Namespace) -> list[str]:
    """The device of each cell that runs at a time on this machine.

    Raises:
        UserError: impossible or contradictory options.
    """
    if options.executor == "here" and options.address is not None:
        raise UserError("--address: goes with --executor dask or ray")
    if options.gpus is None:
        if options.cells_per_gpu is not None:
            raise UserError("--cells-per-gpu: of which GPUs? give --gpus too, such as --gpus 0,1")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", options.device):
            raise UserError(f"--device {options.device}: expected cpu, cuda or cuda:NUMBER")
        if options.executor != "here":  # a cluster may have GPUs where this machine has none
            device = options.device if torch.cuda.is_available() else "cpu"
            return [device] * (options.workers or 1)
        if options.device != "cpu":
            _check_gpu(f"--device {options.device}", int(options.device[5:] or 0))
        cells = 1 if options.device != "cpu" else os.cpu_count() or 1
        return [options.device] * (options.workers or cells)
    if options.executor != "here" or options.device != "cpu" or options.workers is not None:
        raise UserError(
            "--gpus: goes with none of --device, --workers (see --cells-per-gpu) and --executor"
        )
    if not re.fullmatch(r"\d+(,\d+)*", options.gpus):
        raise UserError(f"--gpus {options.gpus}: expected numbers, such as 0,1")
    gpus = sorted({int(number) for number in options.gpus.split(",")})
    for gpu in gpus:
        _check_gpu(f"--gpus {options.gpus}", gpu)
    return [f"cuda:{gpu}" for _ in range(options.cells_per_gpu or 1) for gpu in gpus]


def _confirm(
    cells: Sequence[Cell], trials: Sequence[Cell], options: argparse.Namespace, meter: Meter
) -> None:
    """Warn of what will not fit, and ask before a large run: `studies.estimates.confirm`."""
    here = options.executor == "here"
    workers = len(options.devices) if here else int(options.engine().capacity)
    confirm(meter.estimate(cells, trials, workers), options.results, options.yes)


def _check_gpu(option: str, gpu: int) -> None:
    if not torch.cuda.is_available():
        raise UserError(f"{option}: this torch sees no GPU; leave it out to train on the CPU")
    if gpu >= torch.cuda.device_count():
        raise UserError(f"{option}: GPU {gpu} is not among the {torch.cuda.device_count()} here")


def _engine(options: argparse.Namespace) -> executors.Engine:
    """Where cells run.

    Raises:
        UserError: the cluster is not there.
    """
    if options.executor == "dask":
        return executors.Dask(options.address, options.workers, options.device)
    if options.executor == "ray":
        return executors.Ray(options.address, options.workers, options.threads, options.device)
    if options.devices == ["cpu"]:
        return executors.Here(options.devices[0])
    return executors.Processes(options.devices, options.threads)


def _request(options: argparse.Namespace) -> Request:
    chosen = {name: getattr(options, name) for name in REGISTRIES}
    if not options.all and not options.table and not any(chosen.values()):
        raise UserError(
            "nothing is chosen: give --all or --table, or some of --datasets --backbones "
            "--samplers --objectives (--list shows the names)"
        )
    if options.split_file is not None and not options.split_file.is_file():
        raise UserError(f"--split-file {options.split_file}: no such file")
    if options.test_trials and options.tune is None:
        raise UserError("--test-trials: of which study? give its --tune COUNT too")
    settings = parse_settings(options.set)
    if options.split is not None:
        settings.append(("split", options.split))
    if options.table is not None:
        chosen = paper_grids.TABLES[options.table].grid(chosen)
        settings = chosen.pop("settings") + settings  # in order of precedence: the user's last
    return preset_request(
        PRESETS[options.preset],
        **chosen,
        seeds=options.seeds,
        settings=settings,
        data_dir=datasets.data_directory(options.data_dir),
        split_file=options.split_file,
    )


def _todo(
    planned: Sequence[Cell], store: Store, force_stale: bool, noun: str = "cells"
) -> list[Cell]:
    """The cells to be trained; prints how they stand."""
    codes = _codes(planned)
    statuses = {cell.key: store.status(cell, codes[kind_of(cell)]) for cell in planned}
    count = Counter(statuses.values())
    shown = ", ".join(f"{count[s]} {s}" for s in get_args(Status) if count[s])
    print(f"{len(statuses)} {noun} in study {store.root}: {shown}", flush=True)
    if count["stale"] and not force_stale:
        print(
            f"{count['stale']} finished {noun} were trained by other code of their sampler, "
            "backbone or objective; they are kept (--force-stale redoes them)"
        )
    if count["newer"]:
        newer = [cell.label for cell in planned if statuses[cell.key] == "newer"]
        print(f"written by a newer version; kept: {', '.join(newer)}")
    redo = {"missing", "broken"} | ({"stale"} if force_stale else set())
    cells = {cell.key: cell for cell in planned if statuses[cell.key] in redo}
    return list(cells.values())


def _codes(cells: Sequence[Cell]) -> dict[tuple[str, ...], str]:
    """Digests of the code that trains them, by kind."""
    return {kind: code_digest(cell) for kind, cell in {kind_of(c): c for c in cells}.items()}


def _expected(todo: list[Cell], options: argparse.Namespace, meter: Meter) -> str:
    seconds = meter.seconds(todo)
    estimate = meter.estimate(todo, [], len(options.devices))
    lines = [f"  {duration(seconds[cell.key]):>16}  {cell.label}" for cell in todo]
    lines.append(f"to train: {len(todo)} cells, {estimate}, if every cell used all its epochs")
    return "\n".join(lines + [f"warning: {text}" for text in estimate.lacking(options.results)])


def _expected_trials(plan: Plan, store: Store, options: argparse.Namespace, meter: Meter) -> str:
    systems = tuning.systems(plan)
    fixed = parse_settings(options.set)
    sizes = [tuning.size_of(tuning.space_of(cell, fixed)) for cell in systems]
    lines = [
        f"  {min(options.tune, size):>3} of {size} configurations  {cell.label.rpartition('/')[0]}"
        for size, cell in zip(sizes, systems, strict=True)
    ]
    cells, trials = tuning.left(plan, options.tune, fixed, store, options.force_stale)
    estimate = meter.estimate(cells, trials, len(options.devices))
    lines.append(
        f"to train: at most {len(trials)} trials and {len(cells)} cells, {estimate}, "
        "if every one used all its epochs"
    )
    return "\n".join(lines + [f"warning: {text}" for text in estimate.lacking(options.results)])


def _train(
    plan: Plan,
    todo: list[Cell],
    store: Store,
    options: argparse.Namespace,
    meter: Meter,
    *,
    test: bool = True,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> list[Outcome]:
    """Train cells and store them as they come; returns the failures.

    Args:
        meter: measures what cells take.
        test: whether tasks hold the test split.
        labels: by key, what to call a cell in place of its own label.
    """
    if not todo:
        return []
    estimates = meter.seconds(todo)
    engine = options.engine()
    workers = min(engine.capacity, len(todo))
    expected = meter.estimate(*((todo, []) if test else ([], todo)), workers)
    part, metric = ("test", HEADLINE) if test else ("valid", SELECT_ON)
    noun = "cells" if test and not labels else "trials"
    failures = []
    log = Log(store)
    claims: dict[str, filelock.FileLock] = {}
    codes = _codes(todo)
    with (
        log.run(workers=workers, threads=options.threads, estimates=estimates),
        Progress(estimates, workers, store.root / ".progress") as progress,
    ):
        progress.say(f"training {len(todo)} {noun} {engine.description}: {expected}")

        @cache
        def material(fingerprint: str) -> Material:
            return Material.of(plan.datasets[fingerprint], plan.splits[fingerprint], test)

        def work() -> Iterator[executors.Work]:
            for cell in todo:
                claim, label = store.claim(cell), labels.get(cell.key, cell.label)
                if claim is None:
                    progress.finished(cell.key, f"skipped {label}: another run is at it")
                    failures.append(Outcome(cell, None, BUSY))
                    continue
                if store.status(cell, codes[kind_of(cell)]) in ("done", "newer"):  # by now
                    claim.release()
                    progress.finished(cell.key, f"skipped {label}: another run has finished it")
                    continue
                claims[cell.key] = claim
                files = (progress.start(cell.key), store.checkpoint(cell.key))
                yield (
                    Task(
                        cell,
                        codes[kind_of(cell)],
                        options.threads,
                        tuple(options.plugin),
                        *(files if engine.sees_files else ()),
                    ),
                    material(cell.fingerprint),
                )

        for outcome in executors.run(work(), engine):
            label = labels.get(outcome.cell.key, outcome.cell.label)
            if outcome.result is None:
                path = store.save_failure(outcome.cell, outcome.traceback)
                failures.append(outcome)
                log.event("failed", key=outcome.cell.key, cell=label, error=outcome.error)
                text = f"failed {label}: {outcome.error} (traceback: {path})"
            else:
                store.save(outcome.result)
                found, seconds = outcome.result.metrics[part], outcome.result.timings["wall_s"]
                log.event("done", key=outcome.cell.key, cell=label, metrics=found, seconds=seconds)
                text = (
                    f"done {label}: {part} {metric} "
                    f"{found[metric]:.4f}, best epoch {outcome.result.best_epoch}, {seconds:.1f} s"
                )
            claims.pop(outcome.cell.key).release()
            progress.finished(outcome.cell.key, text)
    return failures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.grid",
        description="Train and compare negative samplers. What is finished is skipped; a run "
        "that was stopped or killed goes on where it was.",
    )
    add = parser.add_argument
    what = parser.add_mutually_exclusive_group().add_argument
    what("--all", action="store_true", help="every sampler and backbone on the preset's datasets")
    what(
        "--table",
        type=int,
        choices=paper_grids.TABLES,
        help="the cells of a table of the paper, in place of what is not chosen otherwise",
    )
    add("--list", action="store_true", help="print what is registered, with defaults, and stop")
    add("--datasets", nargs="+", metavar="NAME", help="registered names, or paths of your own logs")
    add("--backbones", nargs="+", metavar="NAME")
    add("--samplers", nargs="+", metavar="NAME")
    add("--objectives", nargs="+", metavar="NAME", help="default: bce")
    add("--seeds", type=_positive, metavar="COUNT", help="how many seeds, 0 .. COUNT-1")
    add("--preset", choices=PRESETS, help="default: quick; with --table: paper")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="OPTION=VALUE",
        help="a hyper-parameter (mdcns.gamma=1.5, sasrec.dropout=0.2, '*.dropout=0.2' wherever it "
        "exists) or a setting of the protocol (epochs=20)",
    )
    add(
        "--split",
        metavar="NAME",
        help="user (default), authors, user-prefixes, leave-one-out or temporal",
    )
    add("--split-file", type=Path, metavar="FILE", help="lines 'user train|val|test'")
    add("--data-dir", metavar="DIR", help="where real datasets lie (default: $BENCH_DATA)")
    add("--results", type=Path, default=Path("results"), metavar="DIR")
    add("--reports", type=Path, default=Path("reports"), metavar="DIR")
    add(
        "--study",
        metavar="NAME",
        help="folder under results and reports (default: the preset, paper-protocol for paper; "
        "PRESET-tuned with --tune)",
    )
    add(
        "--workers",
        type=_positive,
        help="cells at a time (default: as many as there are processors, or workers of a cluster)",
    )
    add("--threads", type=_positive, default=1, help="of each cell")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--gpus", metavar="NUMBERS", help="several GPUs of this machine, such as 0,1")
    add("--cells-per-gpu", type=_positive, metavar="COUNT", help="at a time (default: 1)")
    add(
        "--executor",
        choices=("here", "dask", "ray"),
        default="here",
        help="this machine (default), or a cluster",
    )
    add("--address", metavar="URL", help="of the cluster; without, ray starts one here")
    add("--plugin", action="append", default=[], metavar="FILE|MODULE", help="your own components")
    add(
        "--tune",
        type=_positive,
        metavar="COUNT",
        help="first give every sampler, with its backbone and objective, so many trials, and go on "
        "with the best on validation",
    )
    add(
        "--test-trials",
        action="store_true",
        help="of a study that --tune has finished: test every trial, for the report alone",
    )
    add("--force-stale", action="store_true", help="redo cells trained by other code")
    add("--dry-run", action="store_true", help="show the plan and its estimate, train nothing")
    add(
        "--yes",
        action="store_true",
        help=f"do not ask before a large run (over {LARGE_HOURS} hours or {LARGE_DISK / 1e9:.0f} "
        "GB of disk, or more memory or disk than there is); asked on a terminal only",
    )
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())

"""python -m bench.grid: cross samplers, backbones and datasets, train what is missing, report.

Exit status: 0 all cells are finished; 1 some failed (named at the end, with the reason);
2 bad input, nothing was written; 130 stopped by Ctrl-C (what was finished is kept).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import filelock
import torch

import backbones
import samplers
from bench import datasets, executors, objectives, paper, report
from bench.cell import PRESETS, Cell, Protocol
from bench.errors import UserError
from bench.planning import (
    Plan,
    estimate_seconds,
    make_plan,
    parse_settings,
    preset_request,
)
from bench.progress import Progress, duration
from bench.registry import Registry, load_plugin
from bench.store import Store
from bench.worker import Outcome, Task, code_digest

REGISTRIES: dict[str, Registry[Any]] = {
    "samplers": samplers.registry,
    "backbones": backbones.registry,
    "objectives": objectives.registry,
    "datasets": datasets.registry,
}
HEADLINE = "ndcg@10"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
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
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue", file=sys.stderr)
        return 130


def run(options: argparse.Namespace) -> int:
    """Plan, train what is missing, write the index and the report; returns the exit status."""
    study = study_name(options)
    plan = _plan(options)
    for reason in plan.skipped:
        print(f"skipped: {reason}")
    store = Store(options.results / study)
    todo = _todo(plan, store, options.force_stale)
    if options.dry_run:
        print(_expected(plan, todo, options))
        return 0
    store.check_writable()
    failures = _train(plan, todo, store, options) if todo else []
    store.write_index()
    for path in report.write(store.root, options.reports / store.root.name):
        print(path)
    for outcome in failures:
        print(f"failed: {outcome.cell.label}: {outcome.error}", file=sys.stderr)
    return 1 if failures else 0


def study_name(options: argparse.Namespace) -> str:
    """The study's folder: ``--study``, else the preset's name.

    Preset ``paper`` goes to ``paper-protocol``, because ``results/paper`` holds the published
    figures; the tables of the paper share it, and with it the cells that they have in common.

    Raises:
        UserError: the folder of the published figures was asked for.
    """
    if options.study == paper.FOLDER.name:
        raise UserError(
            f"--study {options.study}: results/{options.study} holds the paper's published "
            "figures; choose another name"
        )
    default = "paper-protocol" if options.preset == "paper" else options.preset
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


def _plan(options: argparse.Namespace) -> Plan:
    chosen = {name: getattr(options, name) for name in REGISTRIES}
    if not options.all and not options.table and not any(chosen.values()):
        raise UserError(
            "nothing is chosen: give --all or --table, or some of --datasets --backbones "
            "--samplers --objectives (--list shows the names)"
        )
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {options.device}: this torch sees no GPU; use --device cpu")
    if options.split_file is not None and not options.split_file.is_file():
        raise UserError(f"--split-file {options.split_file}: no such file")
    settings = parse_settings(options.set)
    if options.split is not None:
        settings.append(("split", options.split))
    if options.table is not None:
        chosen = paper.TABLES[options.table].grid(chosen)
        settings = chosen.pop("settings") + settings  # in order of precedence: the user's last
    request = preset_request(
        PRESETS[options.preset],
        **chosen,
        seeds=options.seeds,
        settings=settings,
        data_dir=datasets.data_directory(options.data_dir),
        split_file=options.split_file,
    )
    return make_plan(request)


def _todo(plan: Plan, store: Store, force_stale: bool) -> list[Cell]:
    """The cells to be trained; prints how the plan stands."""
    statuses = {cell.key: store.status(cell, code_digest(cell)) for cell in plan.cells}
    count = Counter(statuses.values())
    shown = ", ".join(f"{count[s]} {s}" for s in ("done", "stale", "broken", "missing") if count[s])
    print(f"{len(statuses)} cells in study {store.root}: {shown}", flush=True)
    if count["stale"] and not force_stale:
        print(
            f"{count['stale']} finished cells were trained by other code of their sampler, "
            "backbone or objective; they are kept (--force-stale redoes them)"
        )
    redo = {"missing", "broken"} | ({"stale"} if force_stale else set())
    cells = {cell.key: cell for cell in plan.cells if statuses[cell.key] in redo}
    return list(cells.values())


def _expected(plan: Plan, todo: list[Cell], options: argparse.Namespace) -> str:
    seconds = estimate_seconds(plan, todo, options.device, options.threads)
    total = sum(seconds.values()) / max(1, min(options.workers, len(todo)))
    lines = [f"  {duration(seconds[cell.key]):>16}  {cell.label}" for cell in todo]
    lines.append(
        f"to train: {len(todo)} cells, at most {duration(total)} with {options.workers} workers "
        f"of {options.threads} threads, if every cell used all its epochs"
    )
    return "\n".join(lines)


def _train(
    plan: Plan, todo: list[Cell], store: Store, options: argparse.Namespace
) -> list[Outcome]:
    """Train cells and store them as they come; returns the failures."""
    estimates = estimate_seconds(plan, todo, options.device, options.threads)
    workers = min(options.workers, len(todo))
    failures = []
    claims: dict[str, filelock.FileLock] = {}
    with Progress(estimates, workers, store.root / ".progress") as progress:
        progress.say(
            f"training {len(todo)} cells with {workers} workers of {options.threads} threads: "
            f"at most {duration(sum(estimates.values()) / workers)}"
        )

        def tasks() -> Iterator[Task]:
            for cell in todo:
                claim = store.claim(cell)
                if claim is None:
                    progress.finished(cell.key, f"skipped {cell.label}: another run is at it")
                    continue
                claims[cell.key] = claim
                yield Task(
                    cell,
                    plan.datasets[cell.fingerprint],
                    plan.splits[cell.fingerprint],
                    options.device,
                    options.threads,
                    tuple(options.plugin),
                    progress.file(cell.key),
                )

        for outcome in executors.run(tasks(), workers, options.threads):
            if outcome.result is None:
                path = store.save_failure(outcome.cell, outcome.traceback)
                failures.append(outcome)
                text = f"failed {outcome.cell.label}: {outcome.error} (traceback: {path})"
            else:
                store.save(outcome.result)
                text = (
                    f"done {outcome.cell.label}: test {HEADLINE} "
                    f"{outcome.result.metrics['test'][HEADLINE]:.4f}, best epoch "
                    f"{outcome.result.best_epoch}, {outcome.result.timings['wall_s']:.1f} s"
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
        choices=paper.TABLES,
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
    add("--split", metavar="NAME", help="user (default), leave-one-out or temporal")
    add("--split-file", type=Path, metavar="FILE", help="lines 'user train|val|test'")
    add("--data-dir", metavar="DIR", help="where real datasets lie (default: $BENCH_DATA)")
    add("--results", type=Path, default=Path("results"), metavar="DIR")
    add("--reports", type=Path, default=Path("reports"), metavar="DIR")
    add(
        "--study",
        metavar="NAME",
        help="folder under results and reports (default: the preset; paper-protocol for paper)",
    )
    add("--workers", type=_positive, default=os.cpu_count() or 1, help="cells at a time")
    add("--threads", type=_positive, default=1, help="of each cell")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--plugin", action="append", default=[], metavar="FILE|MODULE", help="your own components")
    add("--force-stale", action="store_true", help="redo cells trained by other code")
    add("--dry-run", action="store_true", help="show the plan and its estimate, train nothing")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())

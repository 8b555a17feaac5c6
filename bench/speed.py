"""python -m bench.speed: what each sampler costs, as ratios within one run on one machine.

All systems take turns, round by round, so that whatever else the machine does hits them alike;
a figure is the median over rounds.  Three yardsticks stand beside the systems:

* floor: the same loop with one uniform negative a target drawn ahead of time, which is what the
  backbone alone costs;
* plain: the loop of most published code, one padded prefix a row, candidates gathered and
  multiplied, with the same backbone and one uniform negative;
* for evaluation: the bare product of states and item table with its top 20.

With ``--growth DIR`` it shows instead how the cost of a step grows (see `bench.costs.growth`), with
``--cells COUNT`` how the cost of a cell grows with the study (see `bench.costs.study_size`), with
``--parallel`` whether cells are best trained one by one or side by side.  With ``--study DIR ...``
the systems are those of stored studies, whose reports then go by what is measured: the seconds
that a cell took say something of its machine, too, and of that hour.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from bench import datasets
from bench.cell import PRESETS
from bench.costs import growth, study_size, throughput
from bench.errors import UserError
from bench.studies import environment
from bench.studies.planning import Plan, make_plan
from bench.studies.request import parse_settings, preset_request
from bench.studies.store import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        if options.cells is not None:
            for line in study_size.lines(study_size.measure(options.cells)):
                print(line, flush=True)
            return 0
        plan = _plan(options)
        if options.growth is not None:
            points = growth.measure(plan.cells, options.batches, options.threads)
            for path in growth.write(points, options.growth):
                print(path)
        elif options.parallel:
            for cell in plan.cells:
                data = throughput.training_data(plan, cell)
                print("\n".join(throughput.measure_parallel(cell, data, options.batches)))
        else:
            _measure(plan, options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    """The systems of ``--study``, else those that the other options choose."""
    data_dir = datasets.data_directory(options.data_dir)
    if options.study is not None:
        if options.device != "cpu":
            raise UserError("--study measures CPU seconds; leave out --device")
        for name in ("datasets", "backbones", "samplers", "set"):
            if getattr(options, name):
                raise UserError(f"--study says what to measure; leave out --{name}")
        return throughput.plan_of([*map(Store, options.study)], data_dir)
    return make_plan(
        preset_request(
            PRESETS[options.preset],
            datasets=options.datasets,
            backbones=options.backbones or ["sasrec"],
            samplers=options.samplers,
            seeds=1,
            settings=parse_settings(options.set),
            data_dir=data_dir,
        )
    )


def _measure(plan: Plan, options: argparse.Namespace) -> None:
    """Print what systems and evaluation cost, and keep it where the options say."""
    device = torch.device(options.device)
    costs = throughput.measure(plan, options.rounds, options.batches, device, options.memory)
    print(throughput.table(costs))
    ratios = {}
    for cell in {(c.dataset, c.backbone.name): c for c in plan.cells}.values():
        valid = plan.splits[cell.data_key].valid
        data = throughput.training_data(plan, cell)
        ratio = throughput.measure_evaluation(cell, data, valid, options.rounds, device)
        ratios[f"{cell.dataset}/{cell.backbone.name}"] = ratio
        print(
            f"evaluation of {len(valid.targets)} users, {cell.dataset}/"
            f"{cell.backbone.name}: {ratio:.2f} × the bare product with its top 20"
        )
    ran_on = {"environment": environment.describe(device, options.threads)}
    if options.json is not None:
        record = ran_on | {"costs": [*map(asdict, costs)], "evaluation_ratio": ratios}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for store in map(Store, options.study or []):
        own = throughput.systems_of(store)
        store.save_costs(ran_on | {"costs": [asdict(c) for c in costs if c.key in own]})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__)
    add = parser.add_argument
    add("--datasets", nargs="+", metavar="NAME", help="default: those of the preset")
    add("--backbones", nargs="+", metavar="NAME", help="default: sasrec")
    add("--samplers", nargs="+", metavar="NAME", help="default: all")
    add("--preset", choices=PRESETS, default="paper", help="default: paper")
    add("--set", nargs="+", action="extend", default=[], metavar="OPTION=VALUE")
    add(
        "--study",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="in place of these: every system that results/STUDY has cells of; reports of these "
        "studies then have the costs that are measured here (costs.json)",
    )
    add("--data-dir", metavar="DIR", help="where real datasets lie (default: $BENCH_DATA)")
    add("--rounds", type=int, default=5, help="turns of each system (default: 5)")
    add("--batches", type=int, default=20, help="of each turn (default: 20)")
    add("--threads", type=int, default=1)
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--memory", action="store_true", help="peak memory too: an epoch each, in its own process")
    add(
        "--growth",
        type=Path,
        metavar="DIR",
        help="instead: how a step's cost grows with items, N and interactions; table and plot",
    )
    add(
        "--cells",
        type=int,
        metavar="COUNT",
        help="instead: what a cell costs to plan, train, store and report in a study of so many",
    )
    add(
        "--parallel",
        action="store_true",
        help="instead: one worker on all cores against a worker on each",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())

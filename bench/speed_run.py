"""What ``python -m bench.speed`` does, once its options are read."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict

import torch

from bench import datasets
from bench.cell import PRESETS
from bench.costs import growth, long_histories, study_size, throughput
from bench.errors import UserError
from bench.studies import environment
from bench.studies.planning import Plan, make_plan
from bench.studies.request import parse_settings, preset_request
from bench.studies.store import Store
from bench.terminal import tell


def run(options: argparse.Namespace) -> None:
    """Measure what the options ask for, and print it.

    Raises:
        UserError: bad input.
    """
    torch.set_num_threads(options.threads)
    if options.cells is not None:
        for line in study_size.lines(study_size.measure(options.cells)):
            tell(line)
        return
    plan = _plan(options)
    if options.growth is not None:
        points = growth.measure(plan.cells, options.batches, options.threads)
        for path in growth.write(points, options.growth):
            tell(str(path))
    elif options.parallel:
        for cell in plan.cells:
            data = throughput.training_data(plan, cell)
            tell("\n".join(throughput.measure_parallel(cell, data, options.batches)))
    else:
        _measure(plan, options)


def _warn_of_others(threads: int) -> None:
    """Say so where the machine has other things to do."""
    cores, busy = os.cpu_count() or 1, os.getloadavg()[0]
    if busy + threads > cores + 0.5:
        tell(
            f"warning: {busy:.1f} other processes are busy on {cores} cores: seconds are too long, "
            "threads wait for one another, and ratios are unsure although all take turns",
            error=True,
        )


def _plan(options: argparse.Namespace) -> Plan:
    """The systems of ``--study``, else those that the other options choose."""
    data_dir = datasets.data_directory(options.data_dir)
    if options.study is not None:
        if options.device != "cpu":
            raise UserError("--study measures CPU seconds; leave out --device")
        for name in ("datasets", "backbones", "samplers", "set", "long-histories"):
            if getattr(options, name.replace("-", "_")):
                raise UserError(f"--study says what to measure; leave out --{name}")
        return throughput.plan_of([*map(Store, options.study)], data_dir)
    if options.long_histories and options.datasets:
        raise UserError("--long-histories is measured on a log of its own; leave out --datasets")
    plan = make_plan(
        preset_request(
            PRESETS[options.preset],
            datasets=["beauty-twin"] if options.long_histories else options.datasets,
            backbones=options.backbones or ["sasrec"],
            samplers=options.samplers,
            seeds=1,
            settings=(given := parse_settings(options.set)),
            fixed=frozenset(name for name, _ in given),
            data_dir=data_dir,
        )
    )
    return long_histories.on_made_log(plan) if options.long_histories else plan


def _measure(plan: Plan, options: argparse.Namespace) -> None:
    """Print what systems and evaluation cost, and keep it where the options say."""
    _warn_of_others(options.threads)
    device = torch.device(options.device)
    costs = throughput.measure(plan, options.rounds, options.batches, device, options.memory)
    tell(throughput.table(costs))
    ratios, encoding, pools = {}, {}, {}
    for cell in {(c.dataset, c.backbone.name): c for c in plan.cells}.values():
        name = f"{cell.dataset}/{cell.backbone.name}"
        valid = plan.splits[cell.data_key].valid
        data = throughput.training_data(plan, cell)
        cost = throughput.measure_evaluation(cell, data, valid, options.rounds, device)
        pool = throughput.measure_pools(cell, data, options.rounds, options.batches, device)
        ratios[name], encoding[name], pools[name] = cost.whole, cost.encoding, pool
        tell(
            f"evaluation of {len(valid.targets)} users, {name}: {cost.whole:.2f} × the bare "
            f"product with its top 20, of which encoding {cost.encoding:.2f}"
        )
        tell(f"candidate pools of {cell.protocol.N}, {name}: {pool:.2f} µs a target")
    ran_on = {"environment": environment.describe(device, options.threads)}
    if options.json is not None:
        record = ran_on | {
            "costs": [*map(asdict, costs)],
            "evaluation_ratio": ratios,
            "encoding_ratio": encoding,
            "pool_us": pools,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for store in map(Store, options.study or []):
        own = throughput.systems_of(store)
        store.save_costs(ran_on | {"costs": [asdict(c) for c in costs if c.key in own]})

"""What ``python -m bench.speed`` does, once its options are read."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict

import torch

from bench import datasets
from bench.cell import PRESETS
from bench.costs import growth, study_size, throughput
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
            f"warning: {busy:.1f} other processes are busy on {cores} cores; ratios hold, as all "
            "take turns, but seconds are too long and threads wait for one another",
            error=True,
        )


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
            settings=(given := parse_settings(options.set)),
            fixed=frozenset(name for name, _ in given),
            data_dir=data_dir,
        )
    )


def _measure(plan: Plan, options: argparse.Namespace) -> None:
    """Print what systems and evaluation cost, and keep it where the options say."""
    _warn_of_others(options.threads)
    device = torch.device(options.device)
    costs = throughput.measure(plan, options.rounds, options.batches, device, options.memory)
    tell(throughput.table(costs))
    ratios = {}
    for cell in {(c.dataset, c.backbone.name): c for c in plan.cells}.values():
        valid = plan.splits[cell.data_key].valid
        data = throughput.training_data(plan, cell)
        ratio = throughput.measure_evaluation(cell, data, valid, options.rounds, device)
        ratios[f"{cell.dataset}/{cell.backbone.name}"] = ratio
        tell(
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

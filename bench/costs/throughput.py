"""What each system costs, as ratios within one run on one machine.

All systems take turns with the yardsticks of `bench.costs.loops`, round by round, so that whatever
else the machine does hits them alike; a figure is the median over rounds.  Evaluation is held
against the bare product of states and item table with its top 20.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.cell import Cell
from bench.costs.loops import PHASES, Loop, PlainLoop, clocks, floor_trainer, wait
from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.reports.tables import markdown_table
from bench.studies.namesakes import settings_of, told_apart
from bench.studies.planning import Plan, data_of
from bench.studies.processes import in_own_processes, peak_memory_mb
from bench.studies.store import Store
from bench.training.evaluation import encode, rank_predictions
from bench.training.loop import Trainer


@dataclass(frozen=True)
class Cost:
    """What a system costs.

    Attributes:
        system: dataset/backbone/sampler/objective and what tells it from its namesakes, or a
            yardstick's name in the sampler's place.
        key: see `Cell.system`; None for a yardstick.
        epoch_s: seconds an epoch of training takes.
        epoch_cpu_s: CPU seconds of all threads in an epoch; others on the machine hardly change it.
        targets_per_s: (prefix -> next item) pairs trained per second.
        shares: of an epoch's time, by phase; empty for the plain loop.
        to_floor: ratio to the floor's epoch.
        to_plain: how many times faster than the plain loop.
        peak_mb: peak memory of a process that does nothing else; None where not measured.
    """

    system: str
    key: str | None
    epoch_s: float
    epoch_cpu_s: float
    targets_per_s: float
    shares: dict[str, float]
    to_floor: float
    to_plain: float
    peak_mb: float | None


def systems_of(store: Store) -> dict[str, Cell]:
    """A cell of every system of a study, that of its lowest seed, by `Cell.system`.

    Raises:
        UserError: there is none.
    """
    cells = [record.cell for record in store.records()]
    if not cells:
        raise UserError(f"--study {store.root}: no cells there")
    return {cell.system: cell for cell in sorted(cells, key=lambda cell: -cell.seed)}


def plan_of(studies: Sequence[Store], data_dir: Path | None) -> Plan:
    """Every system that the studies have cells of, each once.

    Args:
        studies: in which they are.
        data_dir: where real datasets lie.

    Raises:
        UserError: a study without cells; data that is missing, or not what a study was trained on.
    """
    cells: dict[str, Cell] = {}
    for store in studies:
        cells |= systems_of(store)
    plan = Plan([*cells.values()], {}, {}, {}, [])
    for cell in plan.cells:
        if cell.data_key not in plan.splits:
            plan.datasets[cell.fingerprint], plan.splits[cell.data_key] = data_of(cell, data_dir)
    return plan


def measure(
    plan: Plan, rounds: int, batches: int, device: torch.device, memory: bool
) -> list[Cost]:
    """The costs of a plan's systems and of the yardsticks, in turns.

    Args:
        plan: what to measure; its cells' seeds are of no account.
        rounds: turns that each system gets; the first warms up and does not count.
        batches: of each turn.
        device: where.
        memory: whether to measure peak memory too, in a process for each system.
    """
    names = _names(plan.cells)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        groups.setdefault((cell.dataset, cell.backbone.name), []).append(cell)
    costs: list[Cost] = []
    for cells in groups.values():
        data = training_data(plan, cells[0])
        reference = Trainer(cells[0], data, device)
        loops = _loops(cells, names, data, reference)
        _take_turns(loops, rounds, batches)
        peaks: dict[str | None, float] = {}
        if memory:
            peaks = {cell.system: _peak_mb(cell, data, device) for cell in cells}
        costs += _costs(loops, reference.batches.n_targets, peaks)
    return costs


def _loops(
    cells: Sequence[Cell], names: dict[str, str], data: TrainingData, reference: Trainer
) -> list[Loop | PlainLoop]:
    """The floor, the plain loop, and cells of one dataset and backbone."""
    first, device = cells[0], reference.device
    group = f"{first.dataset}/{first.backbone.name}"
    floor = Loop(f"{group}/floor", floor_trainer(first, data, device))
    plain = PlainLoop(f"{group}/plain", reference, first.protocol.window)
    systems = [Loop(names[c.system], Trainer(c, data, device), c.system) for c in cells]
    return [floor, plain, *systems]


def _take_turns(loops: Sequence[Loop | PlainLoop], rounds: int, batches: int) -> None:
    for round_ in range(rounds + 1):
        for loop in loops:
            loop.run(round_, batches)
            print(f"\rround {round_}/{rounds} {loop.name:<60}", end="", file=sys.stderr)
    print(file=sys.stderr)


def _costs(
    loops: Sequence[Loop | PlainLoop], n_targets: int, peaks: dict[str | None, float]
) -> list[Cost]:
    """What turns have shown; the floor comes first, the plain loop second."""
    rates = np.median([loop.rates[1:] for loop in loops], axis=1).tolist()
    (floor_s, _), (plain_s, _) = rates[:2]
    return [
        Cost(
            system=loop.name,
            key=loop.system,
            epoch_s=seconds * n_targets,
            epoch_cpu_s=cpu_seconds * n_targets,
            targets_per_s=1 / seconds,
            shares=loop.shares,
            to_floor=seconds / floor_s,
            to_plain=plain_s / seconds,
            peak_mb=peaks.get(loop.system),
        )
        for loop, (seconds, cpu_seconds) in zip(loops, rates, strict=True)
    ]


@dataclass(frozen=True)
class EvaluationCost:
    """Times that the bare product of states and item table with its top 20 takes.

    Attributes:
        whole: from inputs to ranks.
        encoding: the part of it from inputs to states.
    """

    whole: float
    encoding: float


def measure_evaluation(
    cell: Cell, data: TrainingData, examples: Examples, rounds: int, device: torch.device
) -> EvaluationCost:
    """What ranking all examples takes."""
    model = Trainer(cell, data, device).models[0].eval()
    table = model.items.weight.detach()
    items = torch.as_tensor(examples.items, dtype=torch.int64, device=device)
    offsets = torch.as_tensor(examples.offsets, device=device)
    seconds = []
    for _ in range(rounds + 1):
        started = [time.perf_counter()]
        rank_predictions([model], examples, device)
        started.append(time.perf_counter())
        states = encode(model, items, offsets)
        wait(device)
        started.append(time.perf_counter())
        for part in states.split(512):
            (part @ table.t()).topk(min(20, len(table)), dim=1)
        wait(device)
        started.append(time.perf_counter())
        seconds.append(np.diff(started))
    whole, encoding, bare = np.array(seconds[1:]).T
    return EvaluationCost(float(np.median(whole / bare)), float(np.median(encoding / bare)))


def measure_pools(
    cell: Cell, data: TrainingData, rounds: int, batches: int, device: torch.device
) -> float:
    """Microseconds a target of drawing candidate pools of the protocol's size, or of all that is
    legal: of CPU time, or on a GPU by the clock."""
    trainer = Trainer(cell, data, device)
    history = trainer.batches.history
    size = min(cell.protocol.N, history.n_items - history.longest)
    rates = []
    for round_ in range(rounds + 1):
        todo = list(itertools.islice(trainer.batches.epoch(1 + round_, trainer.generator), batches))
        started = clocks()
        for batch in todo:
            batch.targets.pool(size)
        wait(device)
        elapsed, cpu = clocks() - started
        rates.append((cpu if device.type == "cpu" else elapsed) / sum(len(b.places) for b in todo))
    return 1e6 * statistics.median(rates[1:])


def measure_parallel(cell: Cell, data: TrainingData, batches: int) -> list[str]:
    """Targets trained per second by one worker on all cores, and by a worker on each."""
    cores = os.cpu_count() or 1
    lines = []
    for workers, threads in sorted({(1, cores), (cores, 1)}):
        rates = in_own_processes(workers, _rate, cell, data, batches, threads)
        lines.append(
            f"{workers} workers × {threads} threads: {sum(rates):,.0f} targets/s, {_system(cell)}"
        )
    return lines


def table(costs: Sequence[Cost]) -> str:
    """The costs as a Markdown table."""
    header = ["system", "s/epoch", "CPU s/epoch", "targets/s", "× floor", "faster than plain"]
    rows = [
        [
            cost.system,
            f"{cost.epoch_s:.2f}",
            f"{cost.epoch_cpu_s:.2f}",
            f"{cost.targets_per_s:,.0f}",
            f"{cost.to_floor:.2f}",
            f"{cost.to_plain:.1f}",
            *(f"{100 * cost.shares[p]:.0f} %" if cost.shares else "" for p in PHASES),
            "" if cost.peak_mb is None else f"{cost.peak_mb:.0f}",
        ]
        for cost in costs
    ]
    return "\n".join(markdown_table([*header, *PHASES, "peak MB"], rows, n_text=1))


def training_data(plan: Plan, cell: Cell) -> TrainingData:
    """What a cell of the plan is trained on."""
    return TrainingData.of(plan.datasets[cell.fingerprint], plan.splits[cell.data_key])


def _names(cells: Sequence[Cell]) -> dict[str, str]:
    """What each is called, by `Cell.system`."""
    names = told_apart([_system(c) for c in cells], [settings_of(c) for c in cells])
    return {cell.system: name for cell, name in zip(cells, names, strict=True)}


def _system(cell: Cell) -> str:
    return cell.label.rpartition("/")[0]


def _rate(cell: Cell, data: TrainingData, batches: int, threads: int) -> float:
    """Targets per second of a worker, once it is warm."""
    torch.set_num_threads(threads)
    loop = Loop("", Trainer(cell, data, torch.device("cpu")))
    for round_ in range(4):
        loop.run(round_, batches)
    return float(1 / np.median(loop.rates[1:], axis=0)[0])


def _peak_mb(cell: Cell, data: TrainingData, device: torch.device) -> float:
    return in_own_processes(1, _peak_of_one_epoch, cell, data, device)[0]


def _peak_of_one_epoch(cell: Cell, data: TrainingData, device: torch.device) -> float:
    torch.set_num_threads(1)
    Trainer(cell, data, device).epoch(1)
    return peak_memory_mb()

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
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

import samplers
from bench import datasets
from bench.analysis.cells import settings_of, told_apart
from bench.cell import PRESETS, Cell, Component
from bench.costs import growth, study_size
from bench.datasets.splits import Examples, make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.pools import Targets
from bench.studies import environment
from bench.studies.planning import Plan, make_plan, parse_settings, preset_request
from bench.studies.processes import in_own_processes, peak_memory_mb
from bench.studies.store import Store
from bench.training.batches import prefix_windows
from bench.training.evaluation import rank_predictions
from bench.training.loop import Trainer
from samplers import Catalogue, Negatives, Sampler, View

PHASES = ("backbone", "sampling", "scoring", "backward", "optimiser", "diagnostics")
PLAIN_ROWS = 1024
"""Prefixes in a batch of the plain loop."""


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


class DrawnAhead(Sampler):
    """One uniform legal negative for each training target, drawn before training: the floor."""

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        self._negatives: torch.Tensor | None = None

    def draw(self, trainer: Trainer) -> None:
        """Draw for every interaction of the training sequences."""
        batches, device = trainer.batches, self.catalogue.device
        lengths = batches.offsets.diff()
        sequences = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
        positions = torch.arange(len(batches.items), device=device) - batches.offsets[sequences]
        targets = Targets(
            batches.items, sequences, sequences, positions, batches.history,
            self.catalogue.generator,
        )  # fmt: skip
        self._negatives = targets.pool(1)

    def sample(self, views: list[View]) -> list[Negatives]:
        assert self._negatives is not None
        slots = self.catalogue.offsets[views[0].sequences] + views[0].positions
        return [Negatives(ids=self._negatives[slots]) for _ in views]


class Loop:
    """A system in training, a stretch of batches at a time."""

    def __init__(self, name: str, trainer: Trainer, system: str | None = None) -> None:
        self.name, self.system, self._trainer = name, system, trainer
        self.rates: list[npt.NDArray[np.float64]] = []
        self._phases: list[dict[str, float]] = []

    def run(self, round_: int, batches: int) -> None:
        """Train; keep what a target took."""
        trainer = self._trainer
        todo = list(itertools.islice(trainer.batches.epoch(1 + round_, trainer.generator), batches))
        trainer.diagnostics.start_epoch(trainer.batches.n_batches)
        started = _clocks()
        for batch in todo:
            trainer.step(batch)
        _wait(trainer.device)
        spent = _clocks() - started
        self.rates.append(spent / sum(len(batch.places) for batch in todo))
        row = trainer.diagnostics.row()
        self._phases.append({phase: row[f"{phase}_s"] / spent[0] for phase in PHASES})

    @property
    def shares(self) -> dict[str, float]:
        """Median share of each phase."""
        return {p: statistics.median(row[p] for row in self._phases) for p in PHASES}


class PlainLoop:
    """One padded prefix a row, ids gathered and multiplied, as in most published code."""

    shares: dict[str, float] = {}
    system = None

    def __init__(self, name: str, trainer: Trainer, window: int) -> None:
        self.name, self._trainer, self._window = name, trainer, window
        self._model = trainer.models[0]
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=1e-3)
        self._windows = prefix_windows(trainer.batches.offsets.diff().cpu().numpy(), window)
        self.rates: list[npt.NDArray[np.float64]] = []

    def run(self, round_: int, batches: int) -> None:
        """Train on a few random batches; keep what a target took."""
        rng = np.random.default_rng(round_)
        rows = [rng.integers(len(self._windows.length), size=PLAIN_ROWS) for _ in range(batches)]
        started = _clocks()
        for chosen in rows:
            self.step(chosen)
        _wait(self._trainer.device)
        self.rates.append((_clocks() - started) / (batches * PLAIN_ROWS))

    def step(self, rows: np.ndarray) -> torch.Tensor:
        """One optimiser step on these prefixes; the loss."""
        table, data, device = self._windows, self._trainer.batches, self._trainer.device
        length = torch.as_tensor(table.length[rows], device=device)
        begin = data.offsets[torch.as_tensor(table.sequence[rows], device=device)]
        begin = begin + torch.as_tensor(table.start[rows], device=device)
        offset = torch.arange(self._window, device=device)
        index = (begin[:, None] + offset).clamp(max=len(data.items) - 1)
        inputs = data.items[index] * (offset < length[:, None])
        positives = data.items[begin + length]
        negatives = torch.randint(1, data.history.n_items + 1, positives.shape, device=device)
        states = self._model(inputs, length)[torch.arange(len(rows), device=device), length - 1]
        candidates = self._model.items(torch.stack([positives, negatives], dim=1))
        scores = torch.bmm(candidates, states.unsqueeze(2)).squeeze(2)
        loss = (F.softplus(-scores[:, 0]) + F.softplus(scores[:, 1])).mean()
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return loss.detach()


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
    costs: list[Cost] = []
    names = _names(plan.cells)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        groups.setdefault((cell.dataset, cell.backbone.name), []).append(cell)
    for (dataset, backbone), cells in groups.items():
        data = _data(plan, cells[0])
        reference = Trainer(cells[0], data, device)
        floor_loop = Loop(f"{dataset}/{backbone}/floor", _with_floor(cells[0], data, device))
        plain = PlainLoop(f"{dataset}/{backbone}/plain", reference, cells[0].protocol.window)
        loops: list[Loop | PlainLoop] = [floor_loop, plain]  # rates[0] and rates[1], below
        for cell in cells:
            loops.append(Loop(names[cell.system], Trainer(cell, data, device), cell.system))
        for round_ in range(rounds + 1):
            for loop in loops:
                loop.run(round_, max(1, batches // 5) if loop is plain else batches)
                print(f"\rround {round_}/{rounds} {loop.name:<60}", end="", file=sys.stderr)
        print(file=sys.stderr)
        n_targets = reference.batches.n_targets
        rates = np.median([loop.rates[1:] for loop in loops], axis=1).tolist()
        peaks: dict[str | None, float] = {}
        if memory:
            peaks = {cell.system: _peak_mb(cell, data, device) for cell in cells}
        costs += [
            Cost(
                system=loop.name,
                key=loop.system,
                epoch_s=seconds * n_targets,
                epoch_cpu_s=cpu_seconds * n_targets,
                targets_per_s=1 / seconds,
                shares=loop.shares,
                to_floor=seconds / rates[0][0],
                to_plain=rates[1][0] / seconds,
                peak_mb=peaks.get(loop.system),
            )
            for loop, (seconds, cpu_seconds) in zip(loops, rates, strict=True)
        ]
    return costs


def measure_evaluation(
    cell: Cell, data: TrainingData, examples: Examples, rounds: int, device: torch.device
) -> float:
    """Seconds of ranking all examples over those of the bare product with its top 20."""
    model = Trainer(cell, data, device).models[0].eval()
    table = model.items.weight.detach()
    states = torch.randn((len(examples.targets), model.dim), device=device)
    ratios = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        rank_predictions([model], examples, device)
        ranked = time.perf_counter()
        for part in states.split(512):
            (part @ table.t()).topk(min(20, len(table)), dim=1)
        _wait(device)
        ratios.append((ranked - started) / (time.perf_counter() - ranked))
    return statistics.median(ratios[1:])


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
    lines = [
        "| system | s/epoch | CPU s/epoch | targets/s | × floor | faster than plain | "
        + " | ".join(PHASES)
        + " | peak MB |",
        "|---|" + "--:|" * (6 + len(PHASES)),
    ]
    for cost in costs:
        shares = [f"{100 * cost.shares[p]:.0f} %" if cost.shares else "" for p in PHASES]
        peak = "" if cost.peak_mb is None else f"{cost.peak_mb:.0f}"
        lines.append(
            f"| {cost.system} | {cost.epoch_s:.2f} | {cost.epoch_cpu_s:.2f} | "
            f"{cost.targets_per_s:,.0f} | {cost.to_floor:.2f} | {cost.to_plain:.1f} | "
            f"{' | '.join(shares)} | {peak} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    options = _parser().parse_args(arguments)
    try:
        device = torch.device(options.device)
        torch.set_num_threads(options.threads)
        if options.cells is not None:
            for line in study_size.lines(study_size.measure(options.cells)):
                print(line, flush=True)
            return 0
        plan = _plan(options)
        if options.growth is not None:
            points = growth.measure(plan.cells, options.batches, options.threads)
            for path in growth.write(points, options.growth):
                print(path)
            return 0
        if options.parallel:
            for cell in plan.cells:
                print("\n".join(measure_parallel(cell, _data(plan, cell), options.batches)))
            return 0
        costs = measure(plan, options.rounds, options.batches, device, options.memory)
        print(table(costs))
        ratios = {}
        for cell in {(c.dataset, c.backbone.name): c for c in plan.cells}.values():
            split = plan.splits[cell.fingerprint]
            ratio = measure_evaluation(cell, _data(plan, cell), split.valid, options.rounds, device)
            ratios[f"{cell.dataset}/{cell.backbone.name}"] = ratio
            print(
                f"evaluation of {len(split.valid.targets)} users, {cell.dataset}/"
                f"{cell.backbone.name}: {ratio:.2f} × the bare product with its top 20"
            )
        ran_on = {"environment": environment.describe(device, options.threads)}
        if options.json is not None:
            record = ran_on | {"costs": [*map(asdict, costs)], "evaluation_ratio": ratios}
            options.json.write_text(json.dumps(record, indent=1) + "\n")
        for store in map(Store, options.study or []):
            own = systems_of(store)
            store.save_costs(ran_on | {"costs": [asdict(c) for c in costs if c.key in own]})
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


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
        if cell.fingerprint not in plan.datasets:
            dataset = datasets.resolve_dataset(cell.dataset, data_dir)
            split = make_split(dataset, cell.protocol.split, cell.protocol.split_seed)
            plan.datasets[dataset.fingerprint] = dataset
            plan.splits[dataset.fingerprint] = split
        here = plan.splits.get(cell.fingerprint)
        if here is None or here.digest != cell.split_digest:
            raise UserError(
                f"--study: {cell.label} was trained on other data, or with another split, than "
                f"{cell.dataset!r} here; use the study's data, and studies of one split a dataset"
            )
    return plan


def _plan(options: argparse.Namespace) -> Plan:
    """The systems of ``--study``, else those that the other options choose."""
    data_dir = datasets.data_directory(options.data_dir)
    if options.study is not None:
        if options.device != "cpu":
            raise UserError("--study measures CPU seconds; leave out --device")
        for name in ("datasets", "backbones", "samplers", "set"):
            if getattr(options, name):
                raise UserError(f"--study says what to measure; leave out --{name}")
        return plan_of([*map(Store, options.study)], data_dir)
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


def _names(cells: Sequence[Cell]) -> dict[str, str]:
    """What each is called, by `Cell.system`."""
    names = told_apart([_system(c) for c in cells], [settings_of(c) for c in cells])
    return {cell.system: name for cell, name in zip(cells, names, strict=True)}


def _with_floor(cell: Cell, data: TrainingData, device: torch.device) -> Trainer:
    """A trainer of the cell's backbone alone whose negatives are drawn ahead."""
    alone = replace(
        cell,
        sampler=Component("uniform", samplers.registry.resolve("uniform", {})),
        objective=Component("bce"),
        peer=None,
    )
    trainer = Trainer(alone, data, device)
    floor = DrawnAhead()
    floor.prepare(trainer.sampler.catalogue)
    floor.draw(trainer)
    trainer.sampler = floor
    return trainer


def _data(plan: Plan, cell: Cell) -> TrainingData:
    return TrainingData.of(plan.datasets[cell.fingerprint], plan.splits[cell.fingerprint])


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


def _clocks() -> npt.NDArray[np.float64]:
    """Seconds by the clock, and CPU seconds of this process's threads."""
    return np.array([time.perf_counter(), time.process_time()])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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

"""Tuning on equal terms: the same number of trials for every system, chosen on validation alone.

A system is what a plan crosses: a dataset, a backbone, a sampler and an objective.  Its search
space is what the three components declare as ``search_space``, less what the user fixed by
``--set``.  Optuna's TPE proposes configurations; each trial trains one of them at seed 0 by a task
that holds no test example, and the best on validation is trained anew, and tested, at all seeds.

Trials are asked for in rounds of fixed size and told in the order asked, so that what is proposed
depends on the dataset, the system's names and what the trials gave: neither on how many workers
there are, nor on whether a trial was trained just now or found in ``results/<study>/trials``.  A
larger budget goes on where a smaller one ended.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import backbones
import samplers
from bench import json_shape, objectives
from bench.cell import Cell
from bench.errors import UserError
from bench.json_shape import as_text
from bench.metrics import SELECT_ON
from bench.registry import Registry
from bench.seeding import seed_for
from bench.studies.cell_files import PROTOCOL, read_limited
from bench.studies.planning import ANY, Plan, Request, with_values
from bench.studies.records import Record
from bench.studies.store import Store

if TYPE_CHECKING:
    import optuna

ROUND = 4
"""Trials of a system that run side by side, none knowing how the others end."""

MAX_FILE = 2**26
"""Bytes of ``tuning.json``."""

REPEATS = 20
"""Proposals of what was tried before until the first untried configuration is taken instead."""

FILE, TRIALS, TESTS = "tuning.json", "trials", "trials-test"
"""In a study's folder: what was tried and chosen; trials; the same trials, tested."""

Values = dict[str, Any]
Space = dict[str, list[Any]]
"""Hyper-parameters by the name that ``--set`` knows them by: ``dns+.M``, ``sasrec.dropout``."""


@dataclass(frozen=True)
class Trial:
    """A configuration that was trained.

    Attributes:
        key: of its cell, in ``trials`` and, once tested, in ``trials-test``.
        values: what was varied.
        status: a failed trial counts against the budget and cannot be chosen.
        valid: validation metrics at the best epoch; empty when it failed.
    """

    key: str
    values: Values
    status: Literal["done", "failed"]
    valid: dict[str, float]


@dataclass(frozen=True)
class Tuned:
    """How a system was tuned, as ``tuning.json`` keeps it.

    Attributes:
        fingerprint: of the dataset's content.
        protocol: of trials and final cells.
        synthetic: whether the dataset is.
        budget: trials that it was given.
        exhausted: the space holds fewer possible configurations than the budget.
        trials: in the order in which they were proposed.
        chosen: values of the best trial; None when no trial succeeded.
        cells: keys of the final cells, one a seed.
        optuna: the version that proposed the trials.
    """

    dataset: str
    fingerprint: str
    split_digest: str
    backbone: str
    sampler: str
    objective: str
    protocol: dict[str, Any]
    synthetic: bool
    budget: int
    space: Space
    exhausted: bool
    trials: list[Trial]
    chosen: Values | None
    cells: list[str]
    optuna: str

    @property
    def system(self) -> tuple[str, ...]:
        """What tells it from other systems, whatever was fixed or chosen for it."""
        names = (self.backbone, self.sampler, self.objective)
        return (self.fingerprint, self.split_digest, *names, as_text(self.protocol))

    @property
    def label(self) -> str:
        """For people: dataset/backbone/sampler/objective."""
        return "/".join([self.dataset, self.backbone, self.sampler, self.objective])


@dataclass(frozen=True)
class Proposal:
    """A configuration to be trained."""

    values: Values
    cell: Cell
    asked: optuna.trial.Trial

    @property
    def label(self) -> str:
        """For people: the cell, and what sets it apart from the system's other trials."""
        return f"{self.cell.label} ({shown(self.values)})"


TRIAL = {
    "key": json_shape.name,
    "values": json_shape.hyper,
    "status": json_shape.one_of("done"),
    "valid": json_shape.having([SELECT_ON], json_shape.number),
}
CONTENT = {
    "systems": [
        {
            **dict.fromkeys(["dataset", "fingerprint", "split_digest", "optuna"], json_shape.name),
            **dict.fromkeys(["backbone", "sampler", "objective"], json_shape.component),
            **dict.fromkeys(["synthetic", "exhausted"], json_shape.boolean),
            "protocol": PROTOCOL,
            "budget": json_shape.whole,
            "space": {str: [json_shape.scalar]},
            "trials": [(TRIAL, TRIAL | {"status": json_shape.one_of("failed"), "valid": {}})],
            "chosen": (None, json_shape.hyper),
            "cells": [json_shape.name],
        }
    ]
}
"""The shape of ``tuning.json``."""

Train = Callable[[Sequence[Proposal]], set[str]]
"""Trains, without the test split, what is not yet in the store; returns the keys that failed."""


def tune(
    request: Request,
    plan: Plan,
    budget: int,
    fixed: Sequence[tuple[str, str]],
    store: Store,
    train: Train,
) -> tuple[list[Tuned], list[Cell]]:
    """Give every system of a plan its trials, and choose.

    Args:
        request: what the plan was made from.
        budget: trials for each system.
        fixed: settings of the user's, which are not varied.
        store: where trials are kept.
        train: how trials are run.

    Returns:
        How each system was tuned, and the chosen cells at all seeds of the plan.

    Raises:
        UserError: no Optuna, a bad ``search_space``, or another run is at a trial.
    """
    searches = [_Search(request, plan, cell, fixed) for cell in systems(plan)]
    store.check_writable()
    for start in range(0, budget, ROUND):
        asked = [(search, search.ask(min(ROUND, budget - start))) for search in searches]
        proposals = [proposal for _, its in asked for proposal in its]
        if not proposals:
            break
        failed = train(proposals)
        for search, its in asked:
            search.tell([_trial(proposal, failed, store) for proposal in its])
    tuned, cells = [], []
    for search in searches:
        finals = search.chosen(range(request.seeds))
        tuned.append(search.result(budget, finals))
        cells += finals
    return tuned, cells


def systems(plan: Plan) -> list[Cell]:
    """The plan's systems, each by its cell of seed 0."""
    return list({_system(cell): cell for cell in plan.cells if cell.seed == 0}.values())


def left(
    plan: Plan, budget: int, fixed: Sequence[tuple[str, str]], store: Store, redo: bool
) -> tuple[list[Cell], list[Cell]]:
    """Final cells and trials that are still to be trained, at most; which is not known yet.

    Args:
        budget: trials for each system.
        fixed: settings of the user's, which are not varied.
        store: of the study.
        redo: what is stored may have to be trained again.

    Returns:
        The plan's cells, and a cell for each trial, in place of those that tuning will choose.
    """
    stores = () if redo else (store, Store(store.root / TRIALS))
    finals, tried = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for counter, each in zip((finals, tried), stores, strict=False):
        counter.update(_system(record.cell) for record in each.records())
    trials: list[Cell] = []
    unfinished = set[tuple[str, ...]]()
    for cell in systems(plan):
        count = min(budget, size_of(space_of(cell, fixed))) - tried[_system(cell)]
        if count > 0:
            trials += [cell] * count
            unfinished.add(_system(cell))
    cells = [
        cell
        for cell in plan.cells
        if _system(cell) in unfinished or cell.seed >= finals[_system(cell)]
    ]
    return cells, trials


def space_of(cell: Cell, fixed: Sequence[tuple[str, str]]) -> Space:
    """The search space of a cell's sampler, objective and backbone, less what is fixed.

    Raises:
        UserError: a component's ``search_space`` names an option that it has not.
    """
    parts: list[tuple[Registry[Any], str]] = [
        (samplers.registry, cell.sampler.name),
        (objectives.registry, cell.objective.name),
        (backbones.registry, cell.backbone.name),
    ]
    settled = {name for name, _ in fixed}
    return {
        f"{name}.{option}": [v for i, v in enumerate(values) if v not in values[:i]]
        for registry, name in parts
        for option, values in registry.search_space(name).items()
        if not settled & {f"{name}.{option}", f"{ANY}.{option}"}
    }


def size_of(space: Space) -> int:
    """How many configurations there are, the impossible ones too."""
    return math.prod(len(values) for values in space.values())


def shown(values: Values) -> str:
    """Values as they are given to ``--set``."""
    return " ".join(f"{name}={value}" for name, value in values.items()) or "nothing to vary"


def summary(tuned: Tuned) -> str:
    """One line: what was chosen for a system, of how many."""
    count = f"{len(tuned.trials)} of {tuned.budget} trials"
    if tuned.exhausted:
        count = f"space exhausted: {count}"
    failed = sum(trial.status == "failed" for trial in tuned.trials)
    if failed:
        count += f", {failed} failed"
    chosen = "no trial succeeded" if tuned.chosen is None else shown(tuned.chosen)
    return f"{tuned.label}: {chosen} ({count})"


def best(trials: Sequence[Trial]) -> int | None:
    """Which trial is chosen: the best on validation, the earliest of equals; None has none."""
    done = [i for i, trial in enumerate(trials) if trial.status == "done"]
    return max(done, key=lambda i: trials[i].valid[SELECT_ON], default=None)


class _Search:
    """One system: what was tried, and where to look next."""

    def __init__(
        self, request: Request, plan: Plan, cell: Cell, fixed: Sequence[tuple[str, str]]
    ) -> None:
        self.cell, self._request, self._plan = cell, request, plan
        self._space = space_of(cell, fixed)
        self._size = size_of(self._space)
        self._study = _study(
            seed_for(
                cell.fingerprint,
                "tuning",
                *(part.name for part in (cell.backbone, cell.sampler, cell.objective)),
            )
        )
        self._seen: set[str] = set()
        self._proposals: list[Proposal] = []
        self._trials: list[Trial] = []

    def ask(self, count: int) -> list[Proposal]:
        """The next proposals, all new and possible; fewer than ``count`` when there are no more.

        What is not a trial is told to Optuna as failed, which keeps it from learning of it.
        """
        proposals: list[Proposal] = []
        repeats = 0
        while len(proposals) < count and len(self._seen) < self._size:
            asked = self._study.ask(_distributions(self._space))
            values = {name: asked.params[name] for name in self._space}
            cell = None
            if as_text(values) not in self._seen:
                self._seen.add(as_text(values))
                repeats = 0
                cell = self._possible(values)
            elif (repeats := repeats + 1) == REPEATS:
                self._study.enqueue_trial(next(self._untried()))
            if cell is None:
                _tell_failed(self._study, asked)
            else:
                proposals.append(Proposal(values, cell, asked))
        self._proposals += proposals
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        """How the proposals of the last round ended, in their order."""
        for proposal, trial in zip(self._proposals[len(self._trials) :], trials, strict=True):
            if trial.status == "done":
                self._study.tell(proposal.asked, trial.valid[SELECT_ON])
            else:
                _tell_failed(self._study, proposal.asked)
        self._trials += trials

    def chosen(self, seeds: Iterable[int]) -> list[Cell]:
        """The cell of the best trial, at all seeds; none when no trial succeeded."""
        winner = best(self._trials)
        if winner is None:
            return []
        return [replace(self._proposals[winner].cell, seed=seed) for seed in seeds]

    def result(self, budget: int, finals: Sequence[Cell]) -> Tuned:
        """What is stored about it."""
        cell, winner = self.cell, best(self._trials)
        return Tuned(
            dataset=cell.dataset,
            fingerprint=cell.fingerprint,
            split_digest=cell.split_digest,
            backbone=cell.backbone.name,
            sampler=cell.sampler.name,
            objective=cell.objective.name,
            protocol=asdict(cell.protocol),
            synthetic=self._plan.datasets[cell.fingerprint].synthetic,
            budget=budget,
            space=self._space,
            exhausted=len(self._trials) < budget,
            trials=self._trials,
            chosen=None if winner is None else self._trials[winner].values,
            cells=[final.key for final in finals],
            optuna=importlib.metadata.version("optuna"),
        )

    def _possible(self, values: Values) -> Cell | None:
        """The cell of these values; None when there is none, or it was tried by other names."""
        try:
            cell = with_values(self._request, self._plan, self.cell, values)
        except UserError:
            return None
        tried = {proposal.cell.key for proposal in self._proposals}
        return None if cell.key in tried else cell

    def _untried(self) -> Iterator[Values]:
        for combination in itertools.product(*self._space.values()):
            values = dict(zip(self._space, combination, strict=True))
            if as_text(values) not in self._seen:
                yield values


def _trial(proposal: Proposal, failed: set[str], store: Store) -> Trial:
    key = proposal.cell.key
    if key in failed:
        return Trial(key, proposal.values, "failed", {})
    try:
        record = store.load(key)
    except UserError as error:
        raise UserError(
            f"{proposal.label}: another run is at this trial; when it has finished, run the same "
            "command again"
        ) from error
    return Trial(key, proposal.values, "done", dict(record.valid))


def _study(seed: int) -> optuna.Study:
    """A maximising study; the same seed and history propose the same.

    Raises:
        UserError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "--tune needs Optuna: pip install 'optuna>=4' (or this project with its extra, "
            "pip install -e '.[tune]')"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():  # constant_liar is marked as experimental in some versions
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True)
    return optuna.create_study(direction="maximize", sampler=sampler)


def _distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    import optuna

    return {name: optuna.distributions.CategoricalDistribution(v) for name, v in space.items()}


def _tell_failed(study: optuna.Study, asked: optuna.trial.Trial) -> None:
    import optuna

    study.tell(asked, state=optuna.trial.TrialState.FAIL)


def save(root: Path, tuned: Sequence[Tuned]) -> None:
    """Put systems into a study's ``tuning.json``, in place of what it said of them."""
    kept = {one.system: one for one in [*(read(root) or []), *tuned]}
    content = {"select_on": SELECT_ON, "systems": [asdict(one) for one in kept.values()]}
    temporary = root / f".tuning-{os.getpid()}.json"
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(root / FILE)


def read(root: Path) -> list[Tuned] | None:
    """The systems of a study's ``tuning.json``; None where it has none.

    Raises:
        UserError: it cannot be read.
    """
    path = root / FILE
    if not path.exists():
        return None
    try:
        content = json.loads(read_limited(path, MAX_FILE))
        json_shape.check(content, CONTENT, FILE)
        return [
            Tuned(**{**one, "trials": [Trial(**trial) for trial in one["trials"]]})
            for one in content["systems"]
        ]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it and tune again") from error


def reported(store: Store) -> list[Record]:
    """The records that a study's reports are about: all, or of a tuned one what was chosen."""
    tuned = read(store.root)
    if tuned is None:
        return [record for record in store.records() if record.tested]
    chosen = {key for one in tuned for key in one.cells}
    return [record for record in store.records() if record.key in chosen and record.tested]


def as_compared(store: Store) -> list[Record]:
    """The same, those of a tuned study under the plain names of their components.

    There the same sampler has other hyper-parameters on each dataset and backbone: comparisons
    are about the tuned sampler, and what was chosen for it stands in ``tuning.json``.

    Raises:
        UserError: the study has no finished cell.
    """
    records = reported(store)
    if not records:
        raise UserError(f"{store.root}: no finished cell; run python -m bench.grid first")
    if not (store.root / FILE).exists():
        return records
    return [record.without_settings() for record in records]


def check_study(store: Store, tuned: bool) -> None:
    """Keep tuned and untuned cells apart: they are not compared on equal terms.

    Raises:
        UserError: the study holds cells of the other kind.
    """
    if tuned and not (store.root / FILE).exists() and any(store.records()):
        raise UserError(
            f"{store.root} holds cells that were not tuned, which do not share a table with tuned "
            "ones; give another --study"
        )
    if not tuned and (store.root / FILE).exists():
        raise UserError(
            f"{store.root} is a tuned study, and untuned cells do not share a table with its; "
            "give --tune, or another --study"
        )


def _system(cell: Cell) -> tuple[str, ...]:
    """The cell's :attr:`Tuned.system`."""
    names = (cell.backbone.name, cell.sampler.name, cell.objective.name)
    return (cell.fingerprint, cell.split_digest, *names, as_text(asdict(cell.protocol)))


def finished(plan: Plan, budget: int, store: Store) -> list[Tuned]:
    """The systems of a plan, as tuned with this budget, when all their final cells are there.

    Raises:
        UserError: they are not; nothing may be tested before what is reported is settled.
    """
    known = {one.system: one for one in read(store.root) or []}
    done = {record.key for record in store.records()}
    wanted = [_system(cell) for cell in systems(plan)]
    for cell, system in zip(systems(plan), wanted, strict=True):
        one = known.get(system)
        if one is None or one.budget != budget or not done.issuperset(one.cells):
            raise UserError(
                f"--test-trials: {cell.label} is not finished with {budget} trials; trials are "
                "tested when nothing is left to choose: run the same command without it first"
            )
    return [known[system] for system in wanted]

"""Tuning on equal terms: the same number of trials for every system, chosen on validation alone.

A system is what a plan crosses: a dataset, a backbone, a sampler and an objective.  Its search
space is what the three components declare as ``search_space``, less what the user fixed by
``--set``.  The first trial is the system as it stands without tuning, so that what is chosen is
never worse on validation; Optuna's TPE proposes the others.  Each trial trains at seed 0 by a task
that holds no test example, and the best on validation is trained anew, and tested, at all seeds.

Trials are asked for in rounds of fixed size and told in the order asked, so that what is proposed
depends on the dataset, the system's names and what the trials gave: neither on how many workers
there are, nor on whether a trial was trained just now or found in ``results/<study>/trials``.  A
larger budget goes on where a smaller one ended.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.cell import Cell
from bench.errors import UserError, lacking
from bench.json_shape import as_text
from bench.metrics import SELECT_ON
from bench.seeding import seed_for
from bench.studies.components import components, free_options
from bench.studies.planning import Plan, with_values
from bench.studies.store import Store
from bench.studies.tuning import (
    TRIALS,
    Space,
    System,
    Trial,
    Tuned,
    Values,
    best,
    read,
    shown,
    size_of,
    systems,
)

if TYPE_CHECKING:
    import optuna

ROUND = 4
"""Trials of a system that run side by side, none knowing how the others end."""

REPEATS = 20
"""Proposals of what was tried before until the first untried configuration is taken instead."""


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


Train = Callable[[Sequence[Proposal]], set[str]]
"""Trains, without the test split, what is not yet in the store; returns the keys that failed."""


def tune(plan: Plan, budget: int, store: Store, train: Train) -> tuple[list[Tuned], list[Cell]]:
    """Give every system of a plan its trials, and choose.

    Args:
        plan: what its request fixes is not varied.
        budget: trials for each system.
        store: where trials are kept.
        train: how trials are run.

    Returns:
        How each system was tuned, and the chosen cells at all seeds of the plan.

    Raises:
        UserError: no Optuna, a bad ``search_space``, or another run is at a trial.
    """
    assert plan.request is not None
    searches = [_Search(plan, cell) for cell in systems(plan)]
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
        finals = search.chosen(range(plan.request.seeds))
        tuned.append(search.result(budget, finals))
        cells += finals
    return tuned, cells


def left(
    plan: Plan, budget: int, store: Store, *, redo: bool = False, models: bool = False
) -> tuple[list[Cell], list[Cell]]:
    """Final cells and trials that are still to be trained, at most; which is not known yet.

    Args:
        budget: trials for each system.
        store: of the study.
        redo: what is stored may have to be trained again.
        models: so has what is finished without its models.

    Returns:
        The plan's cells, and a cell for each trial, in place of those that tuning will choose.
    """
    finals, tried, known = Counter[System](), Counter[System](), set[str]()
    wanted = {System.of(cell): cell for cell in systems(plan)}
    spaces = {one.system: one.space for one in read(store.root) or []}

    def counts(cell: Cell) -> bool:
        """Whether it is of a system of the plan with the same options fixed, and at the same."""
        own = wanted.get(System.of(cell))
        if own is None or _unvaried(own, plan.fixed) != _unvaried(cell, plan.fixed):
            return False
        return spaces.get(System.of(cell), space := space_of(own, plan.fixed)) == space

    if not redo:
        for record in store.records():
            lacks = models and not store.models.has(record.key, store.arrays(record.key))
            finals[System.of(record.cell)] += counts(record.cell) and not lacks
        for record in Store(store.root / TRIALS).records():
            tried[System.of(record.cell)] += counts(record.cell)
            known.add(record.key)
    trials: list[Cell] = []
    unfinished = set[System]()
    for cell in systems(plan):
        count = min(budget, size_of(space_of(cell, plan.fixed))) - tried[System.of(cell)]
        # Of a study that was tuned before defaults were trials theirs is missing.
        count = max(count, int(cell.key not in known))
        if count > 0:
            trials += [cell] * count
            unfinished.add(System.of(cell))
    cells = [
        cell
        for cell in plan.cells
        if System.of(cell) in unfinished or cell.seed >= finals[System.of(cell)]
    ]
    return cells, trials


def _unvaried(cell: Cell, fixed: Collection[str]) -> str:
    """A cell's components less the options that tuning varies, as text."""
    return as_text(
        [
            {o: v for o, v in part.hyper.items() if o not in free_options(its, part.name, fixed)}
            for its, part in components(cell)
        ]
    )


def budgets(plan: Plan, budget: int) -> list[str]:
    """For people, a line a system: how many of how many configurations it will be given."""
    lines = []
    for cell in systems(plan):
        size = size_of(space_of(cell, plan.fixed))
        label = cell.label.rpartition("/")[0]
        lines.append(f"  {min(budget, size):>3} of {size} configurations  {label}")
    return lines


def space_of(cell: Cell, fixed: Collection[str]) -> Space:
    """The search space of a cell's sampler, objective and backbone, less what is fixed.

    Args:
        cell: of the system as it stands without tuning; its values are possible ones, too.
        fixed: names of settings, ``dns+.M`` or ``*.dropout``.

    Raises:
        UserError: a component's ``search_space`` names an option that it has not.
    """
    return {
        name: values if untuned in values else [untuned, *values]
        for name, untuned, values in _varied(cell, fixed)
    }


def _varied(cell: Cell, fixed: Collection[str]) -> Iterator[tuple[str, Any, list[Any]]]:
    """What tuning varies: its name in ``--set``, the cell's value, and what components declare."""
    for registry, part in components(replace(cell, peer=None)):
        for option, values in free_options(registry, part.name, fixed).items():
            yield f"{part.name}.{option}", part.hyper[option], values


class _Search:
    """One system: what was tried, and where to look next."""

    def __init__(self, plan: Plan, cell: Cell) -> None:
        self.cell, self._plan = cell, plan
        self._space = space_of(cell, plan.fixed)
        self._size = size_of(self._space)
        self._study = _study(
            seed_for(
                cell.fingerprint,
                "tuning",
                *(part.name for part in (cell.backbone, cell.sampler, cell.objective)),
            )
        )
        self._study.enqueue_trial({name: own for name, own, _ in _varied(cell, plan.fixed)})
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
            protocol=cell.protocol.config(),
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
            cell = with_values(self._plan, self.cell, values)
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
        raise lacking("--tune", "tune") from error
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

"""A study: what is missing of a plan is tuned, trained and stored, or said to be to come.

One way for all callers, `python -m bench.grid` and `bench.Study`: a plan, what may be used, what is
to be done, and who is told of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench import json_shape
from bench.cell import Cell
from bench.errors import UserError
from bench.files import check_writable
from bench.studies import budgeted, model_files, search, tuning
from bench.studies.budget import Budget
from bench.studies.estimates import Estimate
from bench.studies.listeners import Listener
from bench.studies.planning import Plan
from bench.studies.resources import Resources
from bench.studies.running import Failure, Runner
from bench.studies.store import Store
from bench.studies.sweeps import swept
from bench.studies.units import duration


@dataclass(frozen=True)
class Options:
    """What is to be done with a plan.

    Attributes:
        force_stale: train again what was trained by other code.
        tune: give every system so many trials first, and train its best on validation.
        test_trials: of a study that was tuned so, test every trial.
        budget: in place of training all of it, look for the best system in so much time (see
            `bench.studies.halving`).
        keep_models: keep the trained weights of the plan's cells, not of trials; what is finished
            without is trained again for them, and keeps its numbers.
    """

    force_stale: bool = False
    tune: int | None = None
    test_trials: bool = False
    keep_models: bool = False
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if self.keep_models:
            model_files.check_installed()
        if self.tune is not None and not (json_shape.whole(self.tune) and self.tune):
            raise UserError(f"tune={self.tune!r}: must be a whole number from 1")
        if self.test_trials and self.tune is None:
            raise UserError("--test-trials: of which study? give its --tune COUNT too")
        if self.test_trials and self.keep_models:
            raise UserError("--test-trials: trials keep no models; give --keep-models without it")
        if self.budget is not None and self.tune is not None:
            raise UserError("--budget chooses settings by itself, --tune by trials: give one")

    def check(self, store: Store) -> None:
        """That a study holds nothing of another kind.

        Raises:
            UserError: it does.
        """
        tuned, with_budget = self.tune is not None, self.budget is not None
        tuning.check_study(store, tuned=tuned, with_budget=with_budget)


@dataclass(frozen=True)
class RunResult:
    """What became of a run.

    Attributes:
        cells: the plan's; of a tuned study those that were chosen; of a budget the finalists'.
        trained: which of them were trained just now.
        finished_before: which of them needed no training.
        failed: which of them, and which trials of tuning, could not be trained, and why.
    """

    cells: list[Cell]
    trained: list[Cell]
    finished_before: list[Cell]
    failed: list[Failure]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed


def run(
    plan: Plan,
    store: Store,
    resources: Resources,
    options: Options,
    listeners: Sequence[Listener] = (),
) -> RunResult:
    """Train what a study lacks of a plan, store it as it comes, and write the study's index.

    Raises:
        UserError: bad input, a directory that cannot be written, a cluster that is gone, or a
            listener's no; what was finished is kept.
    """
    check_writable(store.root, "--results")  # before minutes may go into measuring
    plan = _named_as_stored(plan, store)
    with _runner(plan, resources, options, listeners) as runner:
        options.check(store)
        if options.budget is not None:
            cells, trained, failed = budgeted.search(runner, store, options.budget)
            done = {cell.key for cell in trained} | {each.cell.key for each in failed}
            return RunResult(cells, trained, [c for c in cells if c.key not in done], failed)
        cells, failed = plan.cells, list[Failure]()
        if options.tune is not None and options.test_trials:
            cells, failed = _test_trials(runner, store, options.tune)
        elif options.tune is not None:
            cells, failed = _tune(runner, store, options.tune)
        todo = runner.todo(cells, store)
        if todo and options.tune is None:
            runner.announce(todo, [], store.root.parent)
        store.check_writable()
        ran = runner.train(todo, store)
        store.write_index()
    wanted = {cell.key for cell in todo}
    before = {cell.key: cell for cell in cells if cell.key not in wanted}
    return RunResult(cells, ran.done, [*before.values(), *ran.found], failed + ran.failed)


@dataclass(frozen=True)
class Expected:
    """What a run would train.

    Attributes:
        cells: to be trained and tested; of a study to be tuned, at most so many.
        trials: to be trained for tuning, at most; a cell stands for each.
        estimate: what all of it takes at most.
        lines: for people.
    """

    cells: list[Cell]
    trials: list[Cell]
    estimate: Estimate
    lines: list[str] = field(repr=False)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def expected(
    plan: Plan,
    store: Store,
    resources: Resources,
    options: Options,
    listeners: Sequence[Listener] = (),
) -> Expected:
    """What `run` would do, with the same arguments; nothing is trained or written.

    Raises:
        UserError: bad input.
    """
    plan = _named_as_stored(plan, store)
    with _runner(plan, resources, options, listeners) as runner:
        options.check(store)
        if options.budget is not None:
            line = budgeted.preview(runner, store, options.budget)
            return Expected([], [], runner.meter.estimate([], [], 1), [line])
        if options.tune is not None and options.test_trials:
            _, _, cells, names = _untested(runner, store, options.tune)
            trials, lines = list[Cell](), [f"  {names[cell.key]}" for cell in cells]
            what, each = f"{len(cells)} trials, to be tested", "one"
        elif options.tune is None:
            cells, trials = runner.todo(plan.cells, store), list[Cell]()
            seconds = runner.meter.seconds(cells)
            labels = runner.labels(cells)
            lines = [f"  {duration(seconds[cell.key]):>16}  {labels[cell.key]}" for cell in cells]
            what, each = f"{len(cells)} cells", "cell"
        else:
            cells, trials = search.left(
                plan, options.tune, store, redo=options.force_stale, models=options.keep_models
            )
            lines = search.budgets(plan, options.tune)
            what, each = f"at most {len(trials)} trials and {len(cells)} cells", "one"
        estimate = runner.meter.estimate(cells, trials, len(resources.devices))
    lines.append(f"to train: {what}, {estimate}, if every {each} used all its epochs")
    lines += [f"warning: {text}" for text in estimate.lacking(store.root.parent)]
    return Expected(cells, trials, estimate, lines)


def _named_as_stored(plan: Plan, store: Store) -> Plan:
    """The plan with logs of one's own called as the study has them already: a log is what it
    holds, and of two names of one log there would be two datasets in every table."""
    own = {key for key, each in plan.datasets.items() if each.reading is not None}
    if not own:
        return plan
    known = {r.cell.fingerprint: r.cell.dataset for r in store.records()}
    cells = [
        replace(cell, dataset=known[cell.fingerprint])
        if cell.fingerprint in known and cell.fingerprint in own
        else cell
        for cell in plan.cells
    ]
    renamed = {(a.dataset, b.dataset) for a, b in zip(plan.cells, cells, strict=True)}
    said = [
        f"{a}: its interactions are those of {b}, as which it goes on"
        for a, b in sorted(renamed)
        if a != b
    ]
    return replace(plan, cells=cells, renamed=said)


def _runner(
    plan: Plan, resources: Resources, options: Options, listeners: Sequence[Listener]
) -> Runner:
    """Says what of the plan was left out.

    Raises:
        UserError: two ways to search at once, tuning on users that another split tests on, or
            resources that cannot be.
    """
    if options.tune is not None and plan.request is not None and plan.request.grid:
        raise UserError(
            "--grid trains every setting, --tune looks for a good one: give one of them"
        )
    several = swept(plan.request.settings) if plan.request is not None else {}
    if options.tune is not None and several:
        raise UserError(
            f"--set {next(iter(several))}: several values are all trained, --tune looks for a good "
            "one: give one value, or leave it to --tune"
        )
    if options.tune is not None and plan.request is not None and plan.request.draws:
        raise UserError(
            "--splits: --tune chooses by validation users, whom another split may test on; tune "
            "with --seeds"
        )
    runner = Runner(
        plan,
        resources,
        force_stale=options.force_stale,
        keep_models=options.keep_models,
        listeners=listeners,
    )
    for line in plan.renamed:
        runner.say(line)
    for reason in plan.skipped:
        runner.say(f"skipped: {reason}")
    if several:
        count = math.prod(map(len, several.values()))
        named = " × ".join(f"{name}={','.join(map(str, its))}" for name, its in several.items())
        runner.say(f"{named}: {count} combinations, {len(plan.cells)} cells in all")
    for text in dict.fromkeys(
        f"{cell.dataset}: {text}"
        for cell in {cell.data_key: cell for cell in plan.cells}.values()
        for text in (*_own_notes(plan, cell), *plan.repeats.get(cell.data_key, []))
    ):
        runner.say(text)
    return runner


def _own_notes(plan: Plan, cell: Cell) -> tuple[str, ...]:
    """What has to be known of how a log of one's own was read."""
    dataset = plan.datasets[cell.fingerprint]
    return () if dataset.reading is None else dataset.notes


def _tune(runner: Runner, store: Store, budget: int) -> tuple[list[Cell], list[Failure]]:
    """Tune every system and keep the account; returns the chosen cells, and what failed."""
    cells, trials = search.left(
        runner.plan, budget, store, redo=runner.force_stale, models=runner.keep_models
    )
    runner.announce(cells, trials, store.root.parent)
    train = _Trials(runner, Store(store.root / tuning.TRIALS))
    tuned, chosen = search.tune(runner.plan, budget, train.store, train)
    tuning.save(store.root, tuned)
    for one in tuned:
        runner.say(tuning.summary(one))
    return chosen, list(train.failed.values())


class _Trials:
    """Trains the trials of tuning, round after round.

    Attributes:
        store: where they are kept.
        failed: key to why.
    """

    def __init__(self, runner: Runner, store: Store) -> None:
        self.store, self.failed, self._runner = store, dict[str, Failure](), runner

    def __call__(self, proposals: Sequence[search.Proposal]) -> set[str]:
        """Train those that are not stored; returns the keys of what failed.

        A trial that another run is at has not failed: there is no telling what it will give.
        """
        labels = {proposal.cell.key: proposal.label for proposal in proposals}
        todo = self._runner.todo([p.cell for p in proposals], self.store, "trials")
        failed = self._runner.train(todo, self.store, test=False, labels=labels).failed
        self.failed.update({failure.cell.key: failure for failure in failed})
        return {failure.cell.key for failure in failed if not failure.busy}


def _test_trials(runner: Runner, store: Store, budget: int) -> tuple[list[Cell], list[Failure]]:
    """Test the trials of a finished study; returns its final cells, and what failed."""
    tuned, tests, todo, labels = _untested(runner, store, budget)
    runner.announce(todo, [], store.root.parent)
    failed = runner.train(todo, tests, labels=labels).failed
    return [store.load(key).cell for one in tuned for key in one.cells], failed


def _untested(
    runner: Runner, store: Store, budget: int
) -> tuple[list[tuning.Tuned], Store, list[Cell], dict[str, str]]:
    """The systems of a finished study, the store of tested trials, those that it lacks, and what
    to call trials."""
    tuned = tuning.finished(runner.plan, budget, store)
    trials, tests = (Store(store.root / name) for name in (tuning.TRIALS, tuning.TESTS))
    done = [trial for one in tuned for trial in one.trials if trial.status == "done"]
    planned = [trials.load(trial.key).cell for trial in done]
    labels = {
        trial.key: f"{cell.label} ({tuning.shown(trial.values)})"
        for cell, trial in zip(planned, done, strict=True)
    }
    return tuned, tests, runner.todo(planned, tests, "trials"), labels

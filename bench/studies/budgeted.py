"""A study that is given a wall-clock budget: what it may be asked, and going on with it."""

from __future__ import annotations

from bench.cell import Cell
from bench.errors import UserError
from bench.studies import budget as accounts
from bench.studies import tuning
from bench.studies.budget import Account, Budget, Clock, courses
from bench.studies.halving import Halving
from bench.studies.planning import Plan
from bench.studies.running import Failure, Runner
from bench.studies.store import Store
from bench.studies.sweeps import swept
from bench.studies.tuning import System
from bench.studies.units import shortly


def search(
    runner: Runner, store: Store, budget: Budget
) -> tuple[list[Cell], list[Cell], list[Failure]]:
    """Find the best systems of a plan in a given time.

    Returns:
        The finalists' cells, which of them were tested just now, and what failed.

    Raises:
        UserError: more than one dataset, too little time for one round, another run is at the
            study, or it holds the answer to another question.
    """
    check(runner.plan)
    assert runner.plan.request is not None
    known = accounts.read(store.root)
    account, spent = _account(runner, store, budget, known)
    settled = account.cells and account.closed >= runner.plan.request.seeds
    if settled and not runner.todo(account.finals, store):
        runner.say(f"budget {shortly(account.seconds)}: spent, and all is finished")
        return account.finals, [], []
    clock = Clock(budget, store, spent)
    halving = Halving(runner, store, account, clock)
    runner.say(halving.choose())  # or there is too little time, and nothing is written
    store.check_writable()
    with accounts.alone(store), clock:
        if accounts.read(store.root) != known:
            raise UserError(
                f"{store.root}: another run with --budget has just been at it; run the same "
                "command again"
            )
        halving.rounds()
        cells, tested = halving.test()
    return cells, tested, list(halving.failed.values())


def preview(runner: Runner, store: Store, budget: Budget) -> str:
    """A line on what `search` would begin with; nothing is trained or written.

    Raises:
        UserError: as there.
    """
    check(runner.plan)
    account, spent = _account(runner, store, budget, accounts.read(store.root))
    return Halving(runner, store, account, Clock(budget, store, spent)).choose()


def check(plan: Plan) -> None:
    """That a plan is a question that a budget can be given for.

    Raises:
        UserError: it is not.
    """
    if plan.request is None:
        raise UserError("--budget: needs names to choose among, not --from a file of cells")
    if plan.request.grid:
        raise UserError("--budget: chooses settings by itself; leave out --grid")
    if several := swept(plan.request.settings):
        raise UserError(
            f"--set {next(iter(several))}: several values are all trained, --budget chooses by "
            "itself: give one value, or none"
        )
    if plan.request.draws:
        raise UserError(
            "--splits: --budget chooses by validation users, whom another split may test on; give "
            "--seeds"
        )
    count = len({cell.data_key for cell in plan.cells})
    if count != 1:
        raise UserError(
            f"--budget: looks for the best system on one dataset, not on {count}; give --datasets "
            "one name"
        )


def _account(
    runner: Runner, store: Store, budget: Budget, known: Account | None
) -> tuple[Account, float | None]:
    """The study's account, or a new one; and what is spent of it, None of one that begins.

    Args:
        known: what the study has.

    Raises:
        UserError: it is of other systems, data or protocol.
    """
    plan = runner.plan
    systems = tuning.systems(plan)
    synthetic = plan.datasets[systems[0].fingerprint].synthetic
    if known is None:
        return Account(budget.seconds, synthetic), None
    stored = [candidate.cell for candidate in known.candidates]
    same = {System.of(cell) for cell in stored} == {System.of(cell) for cell in systems}
    if stored and not (same and courses(systems) <= courses(stored)):
        raise UserError(
            f"{store.root}: was given its budget for other systems, settings or data; give another "
            "--study"
        )
    rounds = Store(store.root / accounts.ROUNDS)
    statuses = [rounds.status(cell, runner.code(cell)) for cell in known.decided]
    stale, there = statuses.count("stale"), len(statuses) - statuses.count("missing")
    if stale and runner.force_stale:
        runner.say("what was decided was so by other code: the budget begins anew")
        return Account(budget.seconds, synthetic, cells=known.cells), None
    if stale:
        runner.say(
            f"{stale} of {there} trainings that decided were by other code of their "
            "sampler, backbone or objective; they are kept (--force-stale begins anew)"
        )
    if known.seconds != budget.seconds:  # what is trained is used, and what is spent counts
        return Account(budget.seconds, synthetic, known.spent_s, cells=known.cells), known.spent_s
    return known, known.spent_s

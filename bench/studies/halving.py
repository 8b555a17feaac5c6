"""The best system in a given time: successive halving on validation, then seeds for the finalists.

All candidates are trained for a few epochs, the best third goes on from where it is, and so on
until at most three are left (Jamieson and Talwalkar, AISTATS 2016).  The finalists are trained
further, and at as many seeds as there is time for, the same for each; they alone are tested.

Rounds of halving share three fifths of the time that there is, the first of them twice as much as
another, for nothing can be told after an epoch or two; how many epochs that is for everybody
follows from what an epoch costs (`bench.studies.pace`).  Optuna's
pruners decide trial by trial as trials report, so that who is dropped depends on who came first,
and know no clock; here a round ends before anything is decided.  Every decision is written to the
account before it is carried out: a run that was killed takes it up as it stands.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace

from bench.cell import Cell
from bench.errors import UserError
from bench.metrics import SELECT_ON
from bench.studies import budget as accounts
from bench.studies.budget import Account, Candidate, Clock, Round
from bench.studies.candidates import MOST, Settings
from bench.studies.estimates import kind_of
from bench.studies.pace import Pace, Run
from bench.studies.records import Record
from bench.studies.references_cost import seconds_of_references
from bench.studies.running import Failure, Runner, Stretch
from bench.studies.states import States
from bench.studies.store import Store
from bench.studies.units import shortly

FACTOR, FINALISTS = 3, 3
"""One in so many goes on, until there are no more than so many."""

SAFETY = 0.9
"""Of the time there is, what is planned to be used."""

HALVINGS, MOST_FIRST = 0.6, 0.5
"""Of the time there is, what rounds of halving are to take, and the first may if it must."""

FIRST = 27
"""The first round is to have one in so many of the protocol's epochs before settings are added."""

FEWEST_FIRST = 3
"""Epochs of the first round before settings are added, at least."""

TRAINED = 0.2
"""Of the protocol's epochs, what finalists are to have before there are seeds beside the first."""

FURTHER = 0.25
"""Of their epochs so far, what finalists are trained further by, at least, if at all."""

MOST_BEYOND_S = 2.0
"""Seconds that a training is thought to take beyond its epochs, at most, until one shows it."""

START_S, CLOSING_S = 5.0, 10.0
"""Seconds until worker processes are there, and of writing the report."""


def sizes(count: int) -> list[int]:
    """How many go on after each round of halving."""
    found = []
    while count > FINALISTS:
        count = max(2, count // FACTOR)
        found.append(count)
    return found


def share(halvings: int, before: int) -> float:
    """The part of the time left that is the next round's.

    Args:
        halvings: how many rounds of halving are to come, with it.
        before: how many were before it.
    """
    if not halvings:
        return 1.0
    weights = [2.0] + [1.0] * (before + halvings - 1)
    return weights[before] / (sum(weights[before:]) + sum(weights) * (1 / HALVINGS - 1))


class Halving:
    """One run of a study with a budget.

    Attributes:
        account: as it is kept.
        failed: what could not be trained, by key.
    """

    def __init__(self, runner: Runner, store: Store, account: Account, clock: Clock) -> None:
        assert runner.plan.request is not None
        self.account, self.failed = account, dict[str, Failure]()
        self._runner, self._store, self._clock = runner, store, clock
        self._rounds = Store(store.root / accounts.ROUNDS)
        self._states = States(accounts.states_of(store))
        self._seeds = runner.plan.request.seeds
        self._known_rounds = len(account.rounds)
        self._settings = Settings(runner.plan)
        self._systems = self._settings.first(1)
        self._pace, self._test_s, self._once_s = self._measured()

    def _measured(self) -> tuple[Pace, float, float]:
        """The pace by measured steps; the seconds of a test at most, and those of references."""
        meter, workers = self._runner.meter, self._runner.engine.capacity
        started = time.monotonic()
        epochs = {kind_of(e.cell): meter.epoch_seconds(e.cell) for e in self._systems}
        beyond = (time.monotonic() - started) / len(self._systems)
        cell, plan = self._systems[0].cell, self._runner.plan
        dataset, split = plan.datasets[cell.fingerprint], plan.splits[cell.data_key]
        once = seconds_of_references(dataset, split, plan.test_users[cell.data_key])
        start = START_S if workers > 1 else 0.0
        test = max(meter.test_seconds(each.cell) for each in self._systems)
        return Pace(epochs, min(beyond, MOST_BEYOND_S), start, workers), test, once

    def choose(self) -> str:
        """Choose the candidates, where the account has none; a line on what is planned.

        Raises:
            UserError: there is not even time for one round.
        """
        if not self.account.candidates:
            self.account.candidates = self._settings.first(self._afforded())
        # Measured now, as it would be when they are trained, and count as training then.
        self._runner.meter.seconds([each.cell for each in self.account.candidates])
        systems, count = len(self._systems), len(self.account.candidates)
        more = f", {self._settings.told(self.account.candidates)}" * (count > systems)
        if not self.account.rounds and (first := self._next()):
            more += f"; the first of {len(sizes(count)) + 1} rounds is to epoch {first.epochs}"
        if sizes(count):
            more += f", after which {', '.join(map(str, sizes(count)))} go on"
        return (
            f"budget {shortly(self.account.seconds)}, {shortly(self._clock.spent)} of it spent, "
            f"{self._pace.workers} workers: {systems} systems{more}"
        )

    @property
    def _closed(self) -> bool:
        """Whether the finalists are settled, for as many seeds as are asked for."""
        return self.account.closed >= self._seeds

    def _afforded(self) -> int:
        """How many settings of each system the budget affords.

        Raises:
            UserError: it does not even afford a round of one.
        """
        most = self._systems[0].cell.protocol.epochs
        wanted = min(most, max(FEWEST_FIRST, math.ceil(most / FIRST)))
        tried = list[Candidate]()
        for count in range(1, MOST + 1):
            before, tried = len(tried), self._settings.first(count)
            runs = [Run(each.name, kind_of(each.cell)) for each in tried]
            part = self._part(len(runs), 0)
            limit = self._pace.limit(runs, SAFETY * part, most)
            if count == 1 and limit < 1:
                self._check_least(self._pace.round(runs, 1))
            if limit < wanted or len(tried) == before:
                return max(1, count - 1)
        return MOST

    def _part(self, entrants: int, before: int) -> float:
        """Seconds of the next round, halving or not.

        Args:
            entrants: how many it has.
            before: rounds of halving before it.
        """
        return share(len(sizes(entrants)), before) * self._left(self._finalists(entrants), 1)

    def _finalists(self, entrants: int) -> int:
        return [entrants, *sizes(entrants)][-1]

    def _check_least(self, needed: float) -> None:
        """That there is time for a first round of one epoch.

        Args:
            needed: its seconds.

        Raises:
            UserError: it would leave too little for what comes after it; says what is the least.
        """
        systems = len(self._systems)
        part = MOST_FIRST if sizes(systems) else SAFETY
        lacking = needed / part - self._left(self._finalists(systems), 1)
        if lacking <= 0:
            return
        least = self.account.seconds + 1.05 * lacking  # measured seconds are not the same twice
        raise UserError(
            f"--budget {shortly(self.account.seconds)}: too little for a round of one epoch of "
            f"{systems} systems, and what comes after it, by the speed measured here; give "
            f"--budget {shortly(10 * math.ceil(least / 10))} or more, or fewer --samplers"
        )

    def _left(self, finalists: int, seeds: int) -> float:
        """Seconds left for training, when so many are to be tested after it."""
        tests = self._pace.tests(finalists * seeds, self._test_s, self._once_s)
        return self._clock.left - tests - CLOSING_S

    def rounds(self) -> None:
        """Train round after round until there is no time for another.

        Raises:
            UserError: time was up before the first round had ended, or all of it failed.
        """
        self._rounds.check_writable()
        while not self._closed and (step := self._next()) is not None:
            if self.account.rounds[-1:] != [step]:
                self.account.rounds.append(step)
                self._save()
            made = self._trained(step)
            its = self.account.cells_of(step)
            if self.account.last is None and all(cell.key in self.failed for cell in its):
                # None was late.  It stays open: what is mended since is trained by the next run.
                raise UserError(
                    "--budget: nothing of the first round could be trained: "
                    f"{next(iter(self.failed.values()))}; mend it and run the same command again"
                )
            self.account.rounds[-1] = made
            self._save()
            self._runner.say(self.account.described(made))
        if self.account.last is None:
            raise UserError(
                f"--budget {shortly(self.account.seconds)}: time was up before the first round had "
                "ended, as the machine was slower than measured; give more"
            )
        self.account.closed = max(self.account.closed, self._seeds)
        self._save()

    def _next(self) -> Round | None:
        rounds = self.account.rounds
        if rounds and not rounds[-1].ended:
            return rounds[-1]  # of a run that was killed
        most = self.account.candidates[0].cell.protocol.epochs
        last, opened = self.account.last, self.account.closed > 0
        if rounds and not rounds[-1].kept and (not opened or len(rounds) > self._known_rounds):
            return None  # time was up
        if opened and last is not None:
            return self._finals(last.kept, most)
        names = rounds[-1].kept if rounds else [each.name for each in self.account.candidates]
        if len(names) > FINALISTS and not (rounds and rounds[-1].final):
            done = rounds[-1].epochs if rounds else 0
            runs = [self._run(name, 0, done) for name in names]
            limit = self._pace.limit(runs, SAFETY * self._part(len(names), len(rounds)), most)
            return Round(min(most, max(limit, done + 1)), 1, names, final=False)
        return self._finals(names, most)

    def _finals(self, names: list[str], most: int) -> Round | None:
        """The finalists' next round: seeds first, then epochs; None where there is no time."""
        last = self.account.last
        done, seeds = (last.epochs, last.seeds) if last else (0, 1)

        def runs(count: int) -> list[Run]:
            before = [self._run(name, seed, done) for name in names for seed in range(seeds)]
            first = {run.name: replace(run, done=0) for run in reversed(before)}  # of seed 0
            return before + [first[name] for name in names for _ in range(count - seeds)]

        def seconds(count: int) -> float:
            return SAFETY * self._left(len(names), count)

        def fits(count: int, limit: int) -> bool:
            return self._pace.round(runs(count), limit) <= seconds(count)

        stopped = done > 0 and all(run.stops is not None for run in runs(seeds))
        if not self.account.closed and not stopped and (last is None or not last.final):
            goal = min(most, max(FACTOR * done, math.ceil(most * TRAINED))) if done else most
            counts = [count for count in range(1, self._seeds + 1) if fits(count, goal)]
            if counts:
                return Round(goal, counts[-1], names, final=True)
        elif seeds < self._seeds and fits(seeds + 1, done):
            return Round(done, seeds + 1, names, final=True)
        if self.account.closed:
            return None  # what trainings would go on from is gone
        limit = self._pace.limit(runs(seeds), seconds(seeds), most)
        least = done + max(1, math.ceil(FURTHER * done)) if done else 1
        enough = not stopped and done < most and limit >= min(most, least)
        return Round(limit, seeds, names, final=True) if enough else None

    def _run(self, name: str, seed: int, limit: int) -> Run:
        """A training as it stands after a round with this limit."""
        candidate = self.account.candidate(name)
        record = self._record(candidate.at(limit, seed)) if limit else None
        if record is None:
            return Run(name, kind_of(candidate.cell))
        epochs = int(record.timings["epochs"])
        return Run(name, kind_of(candidate.cell), epochs, epochs if epochs < limit else None)

    def _record(self, cell: Cell) -> Record | None:
        try:
            return self._rounds.load(cell.key)
        except UserError:
            return None

    def _trained(self, step: Round) -> Round:
        """The round with what came of it."""
        before = self.account.last
        done, seeds = (before.epochs, before.seeds) if before else (0, 0)
        runs = {
            (name, seed): self._run(name, seed, done if seed < seeds else 0)
            for name in step.entrants
            for seed in range(step.seeds)
        }
        asked = {each.name for each in self._systems}

        def turn(key: tuple[str, int]) -> tuple[bool, float]:
            """The slowest first; before them, in the first round, what was asked about, which may
            make it longer than was planned, at the cost of settings that were added."""
            late = before is None and not step.final and key[0] not in asked
            return late, -self._pace.seconds(runs[key], step.epochs)

        at = step.epochs
        cells = {
            key: self.account.candidate(key[0]).at(at, key[1]) for key in sorted(runs, key=turn)
        }
        records = self._train(step, cells, runs)
        valid = {
            name: [records[name, seed].valid[SELECT_ON] for seed in range(step.seeds)]
            for name in step.entrants
            if all((name, seed) in records for seed in range(step.seeds))
        }
        step = replace(step, valid=valid, spent_s=self._clock.spent)
        failed = {name for (name, _), cell in cells.items() if cell.key in self.failed}
        if step.final and len(valid.keys() | failed) < len(step.entrants):
            return step  # without some seeds it would be no comparison of equals
        count = len(valid) if step.final else sizes(len(step.entrants))[0]
        step = replace(step, kept=list(step.means())[:count])
        kept = {(name, seed) for name in step.kept for seed in range(step.seeds)}
        self._states.keep_only([cell for key, cell in cells.items() if key in kept])
        return step

    def _train(
        self,
        step: Round,
        cells: Mapping[tuple[str, int], Cell],
        runs: Mapping[tuple[str, int], Run],
    ) -> dict[tuple[str, int], Record]:
        """Train what is not stored; the records of all that is then."""
        labels = {
            cell.key: f"{name}, seed {seed}, to epoch {step.epochs}"
            for (name, seed), cell in cells.items()
        }
        seconds = {
            cell.key: self._pace.seconds(runs[key], step.epochs) for key, cell in cells.items()
        }
        missing = self._runner.todo(list(cells.values()), self._rounds, "trainings")
        until = time.time() + self._left(len(step.entrants), step.seeds)
        if not step.final:
            until = time.time() + self._left(self._finalists(len(step.entrants)), 1)
        started = time.monotonic()
        ran = self._runner.train(
            missing, self._rounds, test=False, labels=labels,
            stretch=Stretch(self._states, seconds, until),
        )  # fmt: skip
        wall = time.monotonic() - started
        self.failed |= {each.cell.key: each for each in ran.failed if not each.late}
        records = {key: r for key, cell in cells.items() if (r := self._record(cell)) is not None}
        new = {cell.key for cell in ran.done}
        trained = {key: record for key, record in records.items() if record.key in new}
        if trained:
            self._learn(runs, trained, wall)
        return records

    def _learn(
        self,
        runs: Mapping[tuple[str, int], Run],
        trained: Mapping[tuple[str, int], Record],
        wall: float,
    ) -> None:
        times = {key: r.timings["train_s"] + r.timings["valid_s"] for key, r in trained.items()}
        epochs = {key: int(record.timings["epochs"]) for key, record in trained.items()}
        each = {name: times[name, seed] / epochs[name, seed] for name, seed in reversed([*trained])}
        self._pace.learn([(runs[key], epochs[key]) for key in trained], each, wall)

    def test(self) -> tuple[list[Cell], list[Cell]]:
        """Test the finalists; their cells, and which of them were tested just now."""
        cells = self.account.finals
        todo = self._runner.todo(cells, self._store)
        names = {c.key: c for c in cells}
        seconds = dict.fromkeys(names, self._test_s + self._once_s)
        stretch = Stretch(self._states, seconds)
        ran = self._runner.train(todo, self._store, stretch=stretch)
        self.failed |= {failure.cell.key: failure for failure in ran.failed}
        self._store.write_index()
        failed = {failure.cell.key for failure in ran.failed}
        self.account.cells = [cell.key for cell in cells if cell.key not in failed]
        if not failed:
            self._states.keep_only([])
            for cell in self.account.decided:  # what was not finished in time
                self._rounds.checkpoint(cell.key).unlink(missing_ok=True)
        self._save()
        return cells, ran.done

    def _save(self) -> None:
        self.account.spent_s = self._clock.spent
        accounts.save(self._store.root, self.account)

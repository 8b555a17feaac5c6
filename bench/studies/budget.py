"""A study that was given a wall-clock budget: the account of it, ``budget.json``.

    budget.json         candidates, rounds, who was dropped when and by which numbers
    rounds/             a store of the trainings of all rounds; they hold no test
    rounds/states/      what trainings go on from in the next round; gone when all is done

`bench.studies.halving` decides and trains.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from bench import files, json_shape
from bench.cell import Cell
from bench.errors import UserError
from bench.files import read_json
from bench.metrics import SELECT_ON
from bench.studies.cell_files import RECORD
from bench.studies.limits import SEEDS
from bench.studies.states import course
from bench.studies.store import Store
from bench.studies.units import duration

FILE, ROUNDS, STATES = "budget.json", "rounds", "states"
MAX_FILE = 2**24
BEAT_S = 2.0
"""Seconds between two notes of how much is spent: what a kill may hide."""


@dataclass(frozen=True)
class Budget:
    """Seconds of the clock, and when they began (`time.monotonic`)."""

    seconds: float
    since: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if not 0 < self.seconds < 1e9:
            raise UserError(f"budget={self.seconds}: must be positive seconds")


@dataclass(frozen=True)
class Candidate:
    """A system with settings.

    Attributes:
        name: the sampler's, with what sets it apart from the others.
        cell: its cell of seed 0, with the protocol's own limit of epochs.
    """

    name: str
    cell: Cell

    def at(self, epochs: int, seed: int = 0) -> Cell:
        """The cell with a limit of epochs."""
        return replace(self.cell, protocol=replace(self.cell.protocol, epochs=epochs), seed=seed)


@dataclass(frozen=True)
class Round:
    """Candidates that were trained side by side.

    Attributes:
        epochs: the limit up to which they were.
        seeds: how many, 0, 1, ...
        entrants: their names.
        final: whether it is one of the finalists', who are dropped no more.
        valid: by name `SELECT_ON` on validation of each seed, at the best epoch so far; of those
            that finished the round.
        kept: who goes on, the best first; empty as long as the round has not ended, and of finals
            that did not end in time.
        spent_s: seconds of the budget at its end; 0 before.
    """

    epochs: int
    seeds: int
    entrants: list[str]
    final: bool
    valid: dict[str, list[float]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    spent_s: float = 0.0

    @property
    def ended(self) -> bool:
        return self.spent_s > 0

    def means(self) -> dict[str, float]:
        """By name the mean over the seeds, the best first, in the order of entrants if equal."""
        found = {
            n: sum(self.valid[n]) / len(self.valid[n]) for n in self.entrants if n in self.valid
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def dropped(self) -> list[str]:
        """Who did not go on, the best first, those that did not finish the round last."""
        names = [*self.means(), *self.unfinished]
        return [name for name in names if name not in self.kept]

    @property
    def unfinished(self) -> list[str]:
        """Who has no figure of the round: time was up, or the training failed."""
        return [name for name in self.entrants if name not in self.valid]


@dataclass
class Account:
    """What is kept.

    Attributes:
        seconds: the budget.
        spent_s: of it.
        synthetic: whether the dataset is.
        candidates: all that were tried.
        rounds: in their order.
        closed: seeds that were asked for when no further round was to come, from when on the
            finalists are settled; 0 before.
        cells: keys of the finalists' tested cells; before they are, those of an earlier budget.
    """

    seconds: float
    synthetic: bool
    spent_s: float = 0.0
    candidates: list[Candidate] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    closed: int = 0
    cells: list[str] = field(default_factory=list)

    def candidate(self, name: str) -> Candidate:
        return next(each for each in self.candidates if each.name == name)

    @property
    def last(self) -> Round | None:
        """The last round that ended with somebody going on."""
        return next((each for each in reversed(self.rounds) if each.kept), None)

    @property
    def unfinished(self) -> list[str]:
        """Who was left behind without a figure of a round that others went on from."""
        return [name for step in self.rounds if step.kept for name in step.unfinished]

    def cells_of(self, step: Round) -> list[Cell]:
        """The cells that a round trains."""
        return [
            self.candidate(name).at(step.epochs, seed)
            for name in step.entrants
            for seed in range(step.seeds)
        ]

    @property
    def decided(self) -> list[Cell]:
        """The cells of all rounds that have ended, each once."""
        ended = (cell for step in self.rounds if step.ended for cell in self.cells_of(step))
        return list({cell.key: cell for cell in ended}.values())

    @property
    def finals(self) -> list[Cell]:
        """The cells of the finalists at all seeds, as they stand; none before any round."""
        if self.last is None:
            return []
        return [
            self.candidate(name).at(self.last.epochs, seed)
            for name in self.last.kept
            for seed in range(self.last.seeds)
        ]

    def described(self, step: Round) -> str:
        """A line on a round that has ended: who goes on, who not, and by which numbers."""
        means = step.means()
        shown = {n: f"{n} (not finished)" for n in step.entrants}
        shown |= {n: f"{n} {mean:.4f}" for n, mean in means.items()}
        by = f"{SELECT_ON.upper()} on validation; {duration(step.spent_s)} spent"
        seeds = f"{step.seeds} seed{'s' if step.seeds > 1 else ''}"
        if step.final and not step.kept:
            return f"finalists to epoch {step.epochs}, {seeds}: not in time, left out ({by})"
        kept, dropped = (", ".join(shown[n] for n in names) for names in (step.kept, step.dropped))
        if step.final:
            without = f"; without {dropped}" if dropped else ""
            return f"finalists to epoch {step.epochs}, {seeds}: {kept}{without} ({by})"
        count = f"{len(step.kept)} of {len(step.entrants)} go on"
        place = self.rounds.index(step) + 1
        return f"round {place}, to epoch {step.epochs}: {count}: {kept}; dropped: {dropped} ({by})"


CONTENT = {
    "seconds": json_shape.positive,
    "spent_s": json_shape.number,
    "select_on": json_shape.one_of(SELECT_ON),
    "synthetic": json_shape.boolean,
    "candidates": [{"name": json_shape.text, "config": RECORD["config"]}],
    "rounds": [
        {
            "epochs": json_shape.whole,
            "seeds": json_shape.whole,
            "entrants": [json_shape.text],
            "final": json_shape.boolean,
            "valid": {str: [json_shape.number]},
            "kept": [json_shape.text],
            "spent_s": json_shape.number,
        }
    ],
    "closed": (..., json_shape.whole),
    "cells": [json_shape.name],
}
"""The shape of ``budget.json``."""


def save(root: Path, account: Account) -> None:
    """Write a study's account."""
    content = asdict(account) | {"select_on": SELECT_ON}
    content["candidates"] = [
        {"name": each.name, "config": each.cell.config()} for each in account.candidates
    ]
    files.replace(root / FILE, json.dumps(content, indent=1) + "\n")


def read(root: Path) -> Account | None:
    """A study's account; None where it has none.

    Raises:
        UserError: it cannot be read.
    """
    path = root / FILE
    if not path.exists():
        return None
    try:
        content = read_json(path, CONTENT, MAX_FILE)
        del content["select_on"]
        candidates = [
            Candidate(each["name"], Cell.from_config(each["config"]))
            for each in content.pop("candidates")
        ]
        rounds = [Round(**each) for each in content.pop("rounds")]
        names = {each.name for each in candidates}
        if any({*r.entrants, *r.valid, *r.kept} - names for r in rounds):
            raise ValueError("a round has an entrant that is no candidate")
        if content["cells"]:  # of what was finished before that was noted nothing is decided anew
            content.setdefault("closed", SEEDS)
        return Account(**content, candidates=candidates, rounds=rounds)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it and start again") from error


def states_of(store: Store) -> Path:
    """Where a study keeps what trainings go on from."""
    return store.root / ROUNDS / STATES


def courses(cells: list[Cell]) -> set[str]:
    """What tells one question from another: cells, whatever their limits of epochs."""
    return {course(cell) for cell in cells}


class Clock:
    """Seconds of a budget, those of runs that were killed included; in a ``with`` statement."""

    def __init__(self, budget: Budget, store: Store, before: float | None) -> None:
        """
        Args:
            budget: its seconds, and since when this run spends them.
            store: of the study, where what is spent is noted every few seconds.
            before: seconds that the study's account has; None where it begins, whatever is noted.
        """
        self._budget, self._file = budget, store.root / ".progress" / "spent"
        self._before = 0.0 if before is None else max(before, self._noted())
        self._end = threading.Event()

    @property
    def spent(self) -> float:
        return self._before + time.monotonic() - self._budget.since

    @property
    def left(self) -> float:
        return self._budget.seconds - self.spent

    def __enter__(self) -> Clock:
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._note()

    def _beat(self) -> None:
        while not self._end.wait(BEAT_S):
            self._note()

    def _note(self) -> None:
        with contextlib.suppress(OSError):  # a full disk
            self._file.parent.mkdir(parents=True, exist_ok=True)
            files.replace(self._file, f"{self.spent:.1f}\n")

    def _noted(self) -> float:
        try:
            spent = float(files.read_limited(self._file, 100))
        except (OSError, ValueError):
            return 0.0
        return spent if 0 <= spent < 1e9 else 0.0


@contextlib.contextmanager
def alone(store: Store) -> Iterator[None]:
    """Keep other runs with a budget off a study, whose decisions are of one run.

    Raises:
        UserError: another one is at it.
    """
    lock = store.lock("budget")
    if lock is None:
        raise UserError(f"{store.root}: another run with --budget is at it; wait for it")
    try:
        yield
    finally:
        lock.release()

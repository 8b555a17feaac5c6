"""What a tuned study keeps beside its cells, ``tuning.json``: how every system was tuned.

`bench.studies.search` gives the systems their trials and chooses.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import filelock

from bench import json_shape
from bench.cell import Cell
from bench.errors import UserError
from bench.files import read_json, replace
from bench.json_shape import as_text
from bench.metrics import SELECT_ON
from bench.studies import budget as accounts
from bench.studies.cell_files import PROTOCOL
from bench.studies.planning import Plan
from bench.studies.records import Record
from bench.studies.store import Store

MAX_FILE = 2**26
"""Bytes of ``tuning.json``."""

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
class System:
    """What is tuned: components on one dataset and split, under one protocol.

    Their settings are what tuning chooses, so they are no part of it.

    Attributes:
        fingerprint: of the dataset's content.
        protocol: as JSON text.
    """

    fingerprint: str
    split_digest: str
    backbone: str
    sampler: str
    objective: str
    protocol: str

    @classmethod
    def of(cls, cell: Cell) -> System:
        """The cell's."""
        names = (cell.backbone.name, cell.sampler.name, cell.objective.name)
        return cls(
            cell.fingerprint, cell.split_digest, *names, protocol=as_text(cell.protocol.config())
        )


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
    def system(self) -> System:
        """What tells it from other systems, whatever was fixed or chosen for it."""
        names = (self.backbone, self.sampler, self.objective)
        return System(self.fingerprint, self.split_digest, *names, protocol=as_text(self.protocol))

    @property
    def label(self) -> str:
        """For people: dataset/backbone/sampler/objective."""
        return "/".join([self.dataset, self.backbone, self.sampler, self.objective])


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


def systems(plan: Plan) -> list[Cell]:
    """The plan's systems, each by its cell of seed 0."""
    return list({System.of(cell): cell for cell in plan.cells if cell.seed == 0}.values())


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


def save(root: Path, tuned: Sequence[Tuned]) -> None:
    """Put systems into a study's ``tuning.json``, in place of what it said of them.

    Of two runs that end together one waits for the other, so that neither's are lost.
    """
    folder = root / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "tuning.lock"):
        kept = {one.system: one for one in [*(read(root) or []), *tuned]}
        content = {"select_on": SELECT_ON, "systems": [asdict(one) for one in kept.values()]}
        replace(root / FILE, json.dumps(content, indent=1) + "\n")


def read(root: Path) -> list[Tuned] | None:
    """The systems of a study's ``tuning.json``; None where it has none.

    Raises:
        UserError: it cannot be read.
    """
    path = root / FILE
    if not path.exists():
        return None
    try:
        content = read_json(path, CONTENT, MAX_FILE)
        return [
            Tuned(**{**one, "trials": [Trial(**trial) for trial in one["trials"]]})
            for one in content["systems"]
        ]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it and tune again") from error


def reported(store: Store) -> list[Record]:
    """The records that a study's reports are about: all; of a tuned one what was chosen; of one
    with a budget the finalists, those of an earlier one until all of the later one's are tested."""
    tuned, account = read(store.root), accounts.read(store.root)
    if tuned is not None:
        chosen = {key for one in tuned for key in one.cells}
    elif account is not None:
        chosen = {*account.cells} or {cell.key for cell in account.finals}
    else:
        return [record for record in store.records() if record.tested]
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
        raise store.nothing_finished()
    if not (store.root / FILE).exists():
        return records
    return [record.without_settings() for record in records]


def check_study(store: Store, *, tuned: bool = False, with_budget: bool = False) -> None:
    """Keep tuned cells, those found within a budget and all others apart: they are not compared on
    equal terms.

    Raises:
        UserError: the study holds cells of another kind.
    """
    for kind, option, file, wanted in (
        ("tuned", "--tune", FILE, tuned),
        ("found within a budget", "--budget", accounts.FILE, with_budget),
    ):
        exists = (store.root / file).exists()
        if file == accounts.FILE:  # an account may have been removed, to begin anew
            exists = exists or (store.root / accounts.ROUNDS).is_dir()
        if wanted and not exists and any(store.records()):
            raise UserError(
                f"{store.root} holds cells that were not {kind}, which do not share a table with "
                "such; give another --study"
            )
        if exists and not wanted:
            raise UserError(
                f"{store.root} holds cells that were {kind}, and others do not share a table with "
                f"these; give {option}, or another --study"
            )


def finished(plan: Plan, budget: int, store: Store) -> list[Tuned]:
    """The systems of a plan, as tuned with this budget, when all their final cells are there.

    Raises:
        UserError: they are not; nothing may be tested before what is reported is settled.
    """
    known = {one.system: one for one in read(store.root) or []}
    done = {record.key for record in store.records()}
    wanted = [System.of(cell) for cell in systems(plan)]
    for cell, system in zip(systems(plan), wanted, strict=True):
        one = known.get(system)
        if one is None or one.budget != budget or not done.issuperset(one.cells):
            raise UserError(
                f"--test-trials: {cell.label} is not finished with {budget} trials; trials are "
                "tested when nothing is left to choose: run the same command without it first"
            )
    return [known[system] for system in wanted]

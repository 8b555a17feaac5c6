"""How a study came by its finalists in a given time: who was dropped when, and by which numbers."""

from __future__ import annotations

import math
from pathlib import Path

from bench.analysis.finalists import finalists
from bench.metrics import SELECT_ON
from bench.reports.document import Document, Number, Paragraph, Table, Value
from bench.studies.budget import Account
from bench.studies.store import Store
from bench.studies.units import duration, shortly

METRIC = SELECT_ON.upper()


def documents(study: Path) -> list[Document]:
    """The report on a study's rounds, if it was given a budget.

    Args:
        study: ``results/<study>``.

    Raises:
        UserError: its account or its rounds cannot be read.
    """
    found = finalists(Store(study))
    if found is None:
        return []
    account = found.account
    spent = (
        f"{duration(account.spent_s)} of {shortly(account.seconds)} were spent. A column is a "
        f"round, with the best validation {METRIC} up to its limit of epochs, mean over its seeds; "
        "who went on did so from where it was."
    )
    title = f"Candidates by round{', SYNTHETIC data' * account.synthetic}"
    return [
        Document(
            name=f"budget{'-synthetic' * account.synthetic}",
            title=title,
            parts=[Paragraph(spent), _table(account)],
            synthetic=account.synthetic,
            verdict=found.sentences(),
        )
    ]


def _table(account: Account) -> Table:
    """A row a candidate, those that went furthest first."""
    steps = [step for step in account.rounds if step.ended]
    means = [step.means() for step in steps]
    order = {name: i for i, name in enumerate(each.name for each in account.candidates)}
    furthest = {name: [its.get(name, -1.0) for its in reversed(means)] for name in order}
    names = sorted(order, key=lambda name: [-value for value in furthest[name]] + [order[name]])
    header = [
        f"epoch {step.epochs}" + (f", {step.seeds} seeds" if step.seeds > 1 else "")
        for step in steps
    ]
    rows: list[list[Value]] = [
        [name, *(Number(its.get(name, math.nan)) for its in means), _fate(account, name)]
        for name in names
    ]
    return Table(
        caption=f"Validation {METRIC} by round",
        header=["candidate", *header, "what became of it"],
        rows=rows,
        n_text=1,
        last_is_text=True,
    )


def _fate(account: Account, name: str) -> str:
    for place, step in enumerate(account.rounds, start=1):
        if step.kept and name in step.dropped:
            return f"{'dropped' if name in step.valid else 'not finished'}, round {place}"
    return "finalist"

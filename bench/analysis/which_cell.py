"""The one cell that somebody means by a name in a table."""

from __future__ import annotations

import pandas as pd

from bench.analysis.cells import cells_of
from bench.analysis.comparison import comparisons
from bench.errors import UserError
from bench.registry import suggest
from bench.studies import tuning
from bench.studies.records import Record
from bench.studies.store import Store

LISTED = 20
"""Of the cells that match, how many an error lists."""

NARROWED_BY = ("dataset", "backbone", "objective", "seed")


def which_cell(store: Store, system: str, **narrowed: str | int | None) -> Record:
    """The cell of a study that a name means.

    Args:
        store: the study.
        system: a cell's key, or its sampler's name as tables have it: with the settings that tell
            it from others, ``dns+ (M=5)``, or without where there is one of it.
        narrowed: `NARROWED_BY`, by name: what the cell has; None for whatever it has.

    Raises:
        UserError: no cell is finished, none matches, or several do; these are listed.
    """
    records = {record.key: record for record in tuning.reported(store)}
    if system in records:
        return records[system]
    named = _named(store)
    for names in ("sampler", "alone", "method"):
        its = named[named[names] == system]
        if len(its):
            break
    else:
        known = list(dict.fromkeys([*named["sampler"], *named["method"]]))
        raise UserError(f"{store.root} has no system {system!r}{suggest(system, known)}")
    left = its
    for name, value in narrowed.items():
        if value is not None:
            left = left[left[name] == value]
    left = left.drop_duplicates("key")
    if len(left) == 1:
        return records[str(left["key"].iloc[0])]
    shown = its.drop_duplicates("key") if left.empty else left
    if left.empty:
        how = "no cell has all that was asked for"
    else:
        by = [n for n in NARROWED_BY if narrowed.get(n) is None and shown[n].nunique() > 1]
        choices = [*(f"--{name}" for name in by), "a cell's key"]
        how = f"{len(left)} cells match; choose by {' or '.join(choices)}"
    lines = [
        f"  {row.key}  {row.dataset}/{row.backbone}/{row.sampler}/{row.objective}/seed{row.seed}"
        for row in shown.head(LISTED).itertuples()
    ]
    if len(shown) > LISTED:
        lines.append(f"  and {len(shown) - LISTED} more")
    raise UserError("\n".join([f"{system!r} in {store.root}: {how}:", *lines]))


def _named(store: Store) -> pd.DataFrame:
    """A row a cell, more often where tables call it differently: ``sampler`` is its name in a
    table, ``alone`` among all of the study's cells, ``method`` the sampler's name."""
    alone = cells_of(tuning.as_compared(store)).set_index("key")["sampler"]
    columns = ["key", *NARROWED_BY, "sampler", "method"]
    tables = pd.concat([comparison.cells[columns] for comparison in comparisons(store)])
    return tables.assign(alone=tables["key"].map(alone)).reset_index(drop=True)

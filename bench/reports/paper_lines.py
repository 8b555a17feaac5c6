"""Which of a study's cells belong to a table of the paper, and its figures beside ours.

Only real data count.  A place is a dataset with the users that it was tested on: what is of other
users, or of another file, is never put together.  Of a method that was trained with several
settings, or losses, in one place the best on validation is what the table shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bench.analysis.cells import contents_of
from bench.analysis.choices import choices_of
from bench.cell import Cell
from bench.datasets.splits import AUTHORS
from bench.metrics import HEADLINE, METRICS, SELECT_ON
from bench.reports.document import Code, Text
from bench.studies.namesakes import settings_of, what_differs
from bench.studies.paper_grids import (
    FINGERPRINTS,
    LOSSES,
    RELEASED,
    SPLITS,
    TEXT,
    UNTIMED,
    Entry,
    PaperTable,
    System,
    printed,
)
from bench.studies.records import Record

Margins = Callable[[list[str]], "pd.Series[float]"]
"""Keys of cells, one a seed, to half the 95 % intervals of their metrics over the test users."""

STORED = {shown: stored for stored, shown in METRICS.items()}
USER = "user"
"""The split of the paper's text."""

AS_RELEASED, BY_TEXT = "as released", "by the text"
SYSTEM = ["place", "backbone", "method"]
SETTING = ["variant", "setting"]


@dataclass(frozen=True)
class Match:
    """A cell of ours and the system of the paper that it is."""

    entry: Entry
    record: Record

    @property
    def cell(self) -> Cell:
        return self.record.cell

    @property
    def loss(self) -> str:
        return self.cell.objective.name

    @property
    def system(self) -> System:
        """As `Entry.system` has it."""
        return _system(self.cell)

    @property
    def trained_on(self) -> tuple[System, str, str]:
        """The system, and of its dataset the file and the split."""
        return self.system, self.cell.fingerprint, self.cell.protocol.split

    @property
    def variant(self) -> str:
        """Which reading of the method it is, where that is not its own; else nothing."""
        if self.record.sampler.startswith(TEXT):
            return BY_TEXT
        return AS_RELEASED if self.cell.sampler.name in RELEASED.values() else ""

    def settings(self) -> dict[str, Any]:
        """Every hyper-parameter of it."""
        backbone = self.cell.backbone
        own = {f"{backbone.name}.{k}": v for k, v in backbone.hyper.items()}
        return {**settings_of(self.cell), **own}


def _system(cell: Cell) -> System:
    peer = None if cell.peer is None else cell.peer.name
    return cell.dataset, cell.backbone.name, cell.sampler.name, peer


def matches(table: PaperTable, records: Sequence[Record]) -> list[Match]:
    """The cells that belong to a table, under whichever of the paper's losses: of a table of one
    loss, systems that were trained with it have no other there (see `PaperTable.any_loss`).

    There are none unless one of them has the table's loss, or is of a system that no table has
    figures for under the loss it was trained with: else they are another table's alone.
    """
    known = table.entries()
    entries = {entry.system: entry for entry in known}
    if table.change != "drop":  # nothing is left out there of what is summed over a batch
        entries |= {entry.released: entry for entry in known if entry.released}
    found = []
    for record in records:
        entry = entries.get(_system(record.cell))
        if entry is None or record.synthetic or record.cell.objective.name not in LOSSES:
            continue
        name, fingerprint = record.cell.dataset, record.cell.fingerprint
        if fingerprint not in (FINGERPRINTS.get(name), UNTIMED.get(name)):
            continue  # a log of somebody's own, under the name of the paper's
        if record.cell.protocol.split in (USER, AUTHORS, SPLITS.get(entry.dataset)):
            found.append(Match(entry, record))
    if not table.any_loss:
        with_its = {m.trained_on for m in found if m.loss == table.objective}
        found = [m for m in found if m.loss == table.objective or m.trained_on not in with_its]
    own = any(m.loss == table.objective or m.system not in printed(m.loss) for m in found)
    return found if own else []


def cells_of(table: PaperTable, found: Sequence[Match]) -> pd.DataFrame:
    """A row a cell: `SYSTEM`, `SETTING`, dataset, split, loss, seed, key, metrics on test and, as
    ``valid_...``, those on validation that choose and that are shown."""
    places = _places(found)
    names = [f"{match.entry} {match.cell.sampler.name} {place}" for match, place in places]
    settings = [{**match.settings(), "loss": match.loss} for match, _ in places]
    rows = []
    for (match, place), text in zip(places, what_differs(names, settings), strict=True):
        told = f"loss={match.loss}" if match.loss != table.objective else ""
        test = {name: match.record.test[name] for name in STORED.values()}
        rows.append(
            {
                "place": place,
                **asdict(match.entry),
                "variant": match.variant,
                "setting": text if told in text else ", ".join(filter(None, [text, told])),
                "split": match.cell.protocol.split,
                "loss": match.loss,
                "seed": match.cell.seed,
                "key": match.record.key,
                **test,
            }
            | {
                f"valid_{name}": match.record.valid.get(name, math.nan)
                for name in (SELECT_ON, HEADLINE)
            }
        )
    return pd.DataFrame(rows)


def _places(found: Sequence[Match]) -> list[tuple[Match, str]]:
    """Each with its place: the dataset, with what tells it from others of its name."""
    splits: dict[str, set[str]] = {}
    for match in found:
        splits.setdefault(match.entry.dataset, set()).add(match.cell.protocol.split)
    names = [f"{match.entry.dataset}, split {match.cell.protocol.split}" for match in found]
    contents = what_differs(names, contents_of([match.cell for match in found]))
    places = []
    for match, content in zip(found, contents, strict=True):
        dataset, split = match.entry.dataset, match.cell.protocol.split
        told = [f"split {split}" if len(splits[dataset]) > 1 else "", content]
        shown = ", ".join(filter(None, told))
        places.append((match, f"{dataset} ({shown})" if shown else dataset))
    return places


def chosen(cells: pd.DataFrame) -> pd.DataFrame:
    """What validation chooses of several settings and losses: `choices_of` with places as
    datasets, and with names of methods that say which variant they are."""
    methods = [named(*pair) for pair in zip(cells["method"], cells["variant"], strict=True)]
    return choices_of(
        cells.assign(dataset=cells["place"], sampler=cells["setting"], method=methods)
    )


def named(method: str, *told: str) -> str:
    """A method's name with what tells it from its namesakes."""
    shown = ", ".join(filter(None, told))
    return f"{method} ({shown})" if shown else method


def lines_of(
    table: PaperTable, cells: pd.DataFrame, choices: pd.DataFrame, margins_of: Margins
) -> pd.DataFrame:
    """A row a number: the paper's figure beside that of each of our settings.

    The columns are those of `paper_tables.FilledTable.lines`.

    Args:
        table: of the paper.
        cells: see `cells_of`.
        choices: see `chosen`.
        margins_of: see `Margins`.
    """
    runs: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for key, group in cells.groupby([*SYSTEM, *SETTING]):
        run = _run(group, margins_of([*group["key"]]))
        place, backbone, method, variant, setting = map(str, key)
        system, choice = (place, backbone, method), (place, backbone, named(method, variant))
        best = choices["chosen"].get(choice)  # None where there is nothing to choose from
        run |= {"variant": variant, "setting": setting, "shown": best in (None, setting)}
        runs.setdefault(system, []).append(run)
    published, rows = _in_order(table.published()), []
    places = cells[["place", "dataset", "split"]].drop_duplicates().sort_values("place")
    for dataset in published["dataset"].unique():
        figures = published[published["dataset"] == dataset].to_dict("records")
        for place, _, split in places[places["dataset"] == dataset].itertuples(index=False):
            for row in figures:
                system = (place, row["backbone"], row["method"])
                for run in runs.get(system, [_run(cells[:0], pd.Series(dtype=float))]):
                    rows.append({"place": place, "split": split, **_line(row, run)})
    return pd.DataFrame(rows)


def _run(cells: pd.DataFrame, margin: pd.Series[float]) -> dict[str, Any]:
    """The cells of a system with one setting; none are a system that we do not have."""
    return {
        "variant": "",
        "setting": "",
        "loss": "".join(cells["loss"].unique()),
        "shown": True,
        "cells": cells,
        "margin": margin,
        "seeds": len(cells),
    }


def _line(row: dict[Any, Any], run: dict[str, Any]) -> dict[str, Any]:
    """A published figure beside ours; without cells of ours, that is none."""
    entry, metric = Entry(row["dataset"], row["backbone"], row["method"]), STORED[row["metric"]]
    ours, cells = run["cells"][metric], run["cells"]
    difference = ours.mean() - row["value"]
    return {
        **asdict(entry),
        "variant": run["variant"],
        "setting": run["setting"],
        "loss": run["loss"],
        "shown": run["shown"],
        "peer": entry.peer or "",
        "metric": row["metric"],
        "published": row["value"],
        "ours": ours.mean(),
        f"valid_{SELECT_ON}": cells[f"valid_{SELECT_ON}"].mean(),
        f"valid_{HEADLINE}": cells[f"valid_{HEADLINE}"].mean(),
        "margin": run["margin"].get(metric, math.nan),
        "difference": difference,
        "difference_pct": 100 * difference / row["value"],
        "sd": ours.std(),
        "seeds": run["seeds"],
    }


def _in_order(published: pd.DataFrame) -> pd.DataFrame:
    """Sorted by dataset, backbone, method and metric, each in the order of its first occurrence."""
    return published.sort_values(
        ["dataset", "backbone", "method", "metric"],
        key=lambda column: column.map({name: i for i, name in enumerate(column.unique())}),
    )


def settings(found: Sequence[Match]) -> list[Text]:
    """What was run as which method, a line each."""
    lines: dict[tuple[str, str, str], set[str]] = {}
    for match in found:
        entry = match.entry
        options = ", ".join(f"{option}={value}" for option, value in match.settings().items())
        line = (
            f"{entry.method} on {entry.backbone} is ",
            match.record.sampler,
            f"{options}, {match.loss} loss",
        )
        lines.setdefault(line, set()).add(entry.dataset)
    return [
        (what, Code(sampler), f": {options} ({', '.join(sorted(names))})")
        for (what, sampler, options), names in sorted(
            lines.items(), key=lambda line: "{}`{}`: {}".format(*line[0])
        )
    ]

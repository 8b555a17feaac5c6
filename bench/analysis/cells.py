"""Cells as a frame, and names that tell them apart."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.cell import OWN_OF_BACKBONES, Cell
from bench.json_shape import as_text
from bench.metrics import BASELINE
from bench.studies.namesakes import settings_of, told_apart
from bench.studies.records import Record

DRAWN = "each seed's own"
"""In place of a split, or its seed, where every seed has drawn its users."""
OWN = "each backbone's own"
"""In place of a learning rate, where backbones have several."""


def cells_of(records: Sequence[Record]) -> pd.DataFrame:
    """A row a cell; namesakes run with several settings are told apart by what differs."""
    cells, methods = [record.cell for record in records], [record.sampler for record in records]
    names = {
        "key": [record.key for record in records],
        "dataset": dataset_names(cells),
        "backbone": told_apart([c.backbone.name for c in cells], [c.backbone.hyper for c in cells]),
        "sampler": told_apart(methods, [settings_of(c) for c in cells]),
        "method": methods,
        "objective": [c.objective.name for c in cells],
        "seed": [c.seed for c in cells],
        "models": [len(c.models) for c in cells],
        "device": ["CPU" if on_cpu(record) else "GPU" for record in records],
        "best_epoch": [record.best_epoch for record in records],
    }
    rows = [
        {"synthetic": record.synthetic, "test_users": record.data["test_users"]}
        | dict(record.test)
        | {
            f"{part.removeprefix('test_')}_{name}": value
            for part, metrics in record.metrics.items()
            if part != "test"
            for name, value in metrics.items()
        }
        | dict(record.timings)
        | {"cost_s": record.timings.get("cpu_s" if on_cpu(record) else "wall_s", math.nan)}
        for record in records
    ]
    # A metric or a timing that is called like one of the names gives way to it.
    frame = pd.DataFrame(rows).drop(columns=list(names), errors="ignore")
    frame = pd.concat([pd.DataFrame(names), frame], axis=1)
    order = {name: i for i, name in enumerate(sampler_order(frame))}
    return (
        frame.assign(_order=frame["sampler"].map(order))
        .sort_values(["dataset", "backbone", "_order", "seed"])
        .drop(columns="_order")
        .reset_index(drop=True)
    )


def on_cpu(record: Record) -> bool:
    """Whether the cell was trained on a CPU: its cost is then in CPU seconds, which another program
    on the machine hardly changes, else in those of the clock."""
    return record.environment.get("device") == "cpu"


def sampler_order(cells: pd.DataFrame) -> list[str]:
    """The samplers as tables and plots show them: the baseline first, M=5 before M=10."""

    def key(name: str) -> tuple[bool, list[str | float]]:
        parts = re.split(r"([0-9]+(?:\.[0-9]+)?)", name)  # text and numbers in turn
        return name != BASELINE, [float(x) if i % 2 else x for i, x in enumerate(parts)]

    return sorted(set(cells["sampler"]), key=key)


def dataset_names(cells: Sequence[Cell]) -> list[str]:
    """The cells' datasets; several files or splits under one name are told apart."""
    return told_apart([c.dataset for c in cells], contents_of(cells))


def contents_of(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """What data each cell was trained and tested on; draws of its users by seed are one."""
    drawn = draw_users(cells)
    return [
        {
            "content": cell.fingerprint[:8],
            "split": DRAWN if of_seed else cell.split_digest[:8],
        }
        for cell, of_seed in zip(cells, drawn, strict=True)
    ]


def draw_users(cells: Sequence[Cell]) -> list[bool]:
    """Of each cell whether its seed has drawn its users, as with ``--splits``; with seed 0 it has
    where others of its kind have.

    Where a ``split_seed`` was set a seed may equal it by chance.  Cells of other seeds with the
    same ``split_seed`` show that it was set; before there are any, it is taken for a draw.
    """
    exact = [as_text([cell.fingerprint, cell.protocol.config()]) for cell in cells]
    kinds = [
        as_text([cell.fingerprint, cell.protocol.config() | {"split_seed": DRAWN}])
        for cell in cells
    ]
    own = [cell.seed == cell.protocol.split_seed for cell in cells]
    shared = {users for users, its in zip(exact, own, strict=True) if not its}
    known = {
        kind
        for kind, users, its, cell in zip(kinds, exact, own, cells, strict=True)
        if its and cell.seed > 0 and users not in shared
    }
    return [its and kind in known for kind, its in zip(kinds, own, strict=True)]


def protocols_of(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """The protocol of each cell, the same for all whose seeds have drawn their users."""
    return [
        cell.protocol.config() | ({"split_seed": DRAWN} if drawn else {})
        for cell, drawn in zip(cells, draw_users(cells), strict=True)
    ]


def comparable(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """As `protocols_of`, and the same for cells of several backbones of which each has a learning
    rate of its own: a backbone at two rates is two systems, which no table puts side by side."""
    protocols = protocols_of(cells)
    alike = [as_text(protocol | dict.fromkeys(OWN_OF_BACKBONES, OWN)) for protocol in protocols]
    values: dict[str, dict[str, set[str]]] = {}
    for kind, cell, protocol in zip(alike, cells, protocols, strict=True):
        its = as_text([protocol[name] for name in OWN_OF_BACKBONES])
        values.setdefault(kind, {}).setdefault(cell.backbone.name, set()).add(its)
    own = {
        kind
        for kind, by_backbone in values.items()
        if all(len(its) == 1 for its in by_backbone.values())
        and len(set().union(*by_backbone.values())) > 1
    }
    return [
        protocol | dict.fromkeys(OWN_OF_BACKBONES, OWN) if kind in own else protocol
        for kind, protocol in zip(alike, protocols, strict=True)
    ]

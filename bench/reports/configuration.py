"""What was run, on which data and where: tables for the page of a study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.analysis.cells import OWN, comparable
from bench.analysis.comparison import Comparison
from bench.cell import OWN_OF_BACKBONES
from bench.json_shape import as_text
from bench.reports.document import Number, Table, Value
from bench.studies.records import Record

SIZES = ("users", "items", "interactions", "train_targets", "valid_users", "test_users",
         "test_targets")  # fmt: skip
KINDS = ("sampler", "backbone", "peer", "objective")
COUNT = "{:.0f}"


def records_of(comparison: Comparison) -> dict[str, Record]:
    """Key to what is stored of each cell of a comparison."""
    return {key: comparison.store.load(key) for key in comparison.trained["key"]}


def sizes(comparison: Comparison, records: Mapping[str, Record]) -> Table:
    """A row a dataset."""
    rows: dict[str, list[Value]] = {}
    for key, dataset in comparison.trained[["key", "dataset"]].itertuples(index=False):
        known = [records[key].data.get(name) for name in SIZES]
        numbers = [Number(float("nan") if size is None else size, "{:,.0f}") for size in known]
        rows[dataset] = [dataset, *numbers]
    header = ["dataset", *(name.replace("_", " ") for name in SIZES)]
    return Table("Sizes", header, list(rows.values()), n_text=1)


def protocol(records: Iterable[Record]) -> Table:
    """The protocol that all of them share, a row a setting."""
    cells = [record.cell for record in records]
    own = {
        name: ", ".join(sorted({f"{c.backbone.name} {getattr(c.protocol, name)}" for c in cells}))
        for name in OWN_OF_BACKBONES
    }
    shared = comparable(cells)[0]
    rows = [[name, own[name] if value == OWN else _shown(value)] for name, value in shared.items()]
    return Table("Protocol", ["setting", "value"], rows, n_text=2, kept=(0, 1))


def settings(records: Iterable[Record]) -> Table:
    """A row a component and the settings that it was run with."""
    counts = Counter(
        (
            KINDS.index(kind),
            part.name,
            ", ".join(f"{name}={_shown(value)}" for name, value in part.hyper.items()) or "–",
        )
        for record in records
        for kind, part in record.cell.parts.items()
        if part is not None
    )
    rows: list[Sequence[Value]] = [
        [KINDS[kind], name, hyper, Number(count, COUNT)]
        for (kind, name, hyper), count in sorted(counts.items())
    ]
    header = ["part", "name", "hyper-parameters", "cells"]
    return Table("Hyper-parameters", header, rows, n_text=3, wrapped=(2,))


def environment(records: Iterable[Record]) -> Table:
    """What cells ran on: distinct values, and of how many cells each."""
    counts = Counter(
        (name, _shown(value)) for record in records for name, value in _described(record).items()
    )
    rows: list[Sequence[Value]] = [
        [name, value, Number(count, COUNT)] for (name, value), count in sorted(counts.items())
    ]
    header = ["what", "value", "cells"]
    return Table("What the cells ran on", header, rows, n_text=2, wrapped=(1,))


def _described(record: Record) -> dict[str, Any]:
    described = dict(record.environment)
    packages = described.pop("packages", {})
    return {**described, **packages}


def _shown(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else as_text(value)

"""What cells cost: of one comparison all in one kind of seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from bench.analysis.cells import on_cpu
from bench.studies.records import Record

DEVICE_COSTS = ["targets_per_s", "train_s_to_best", "wall_s", "cpu_s", "cost_s", "peak_mb"]
"""Those that depend on the kind of device."""
MEASURED = ("cost_s", "targets_per_s")
"""Those that are measured apart, in turns."""


def with_costs(
    cells: pd.DataFrame,
    records: Sequence[Record],
    in_turns: Mapping[str, Mapping[str, float]],
) -> tuple[pd.DataFrame, bool, bool]:
    """The cells with costs of one kind, whether these are of CPUs, and whether in turns.

    What was measured apart is of a CPU, whatever the cells were trained on.

    Args:
        cells: of the records.
        records: of a comparison.
        in_turns: what was measured apart, by system; see `Store.costs_in_turns`.
    """
    of_cpus = [record for record in records if on_cpu(record)]
    measured = _measured(records, in_turns)
    if measured is None:
        measured = _measured(of_cpus, in_turns)
    cpu = bool(of_cpus) or measured is not None
    if cpu:  # what is of a GPU is not to be compared with a CPU's
        elsewhere = ~cells["key"].isin([record.key for record in of_cpus])
        cells.loc[elsewhere, cells.columns.intersection(DEVICE_COSTS)] = math.nan
    if measured is not None:
        found = measured.reindex(cells["key"])
        cells = cells.assign(**{name: found[name].to_numpy() for name in MEASURED})
    return cells, cpu, measured is not None


def _measured(
    records: Sequence[Record], in_turns: Mapping[str, Mapping[str, float]]
) -> pd.DataFrame | None:
    """Seconds of all epochs that were trained, and targets a second, by key; None unless all of
    the records' systems were measured, for a table has one kind of seconds."""
    if not records or not all(record.system in in_turns for record in records):
        return None
    rows = {
        record.key: (
            its["epoch_cpu_s"] * record.timings.get("epochs", math.nan),
            its["targets_per_s"],
        )
        for record in records
        for its in [in_turns[record.system]]
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=MEASURED)

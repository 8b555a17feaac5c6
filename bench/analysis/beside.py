"""What stands beside trained systems: references, and systems of other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from bench.analysis.cells import dataset_names
from bench.analysis.contributions import predictions_of
from bench.metrics import FROM_RANKS
from bench.studies import external
from bench.studies.external import External
from bench.studies.records import Record
from bench.studies.store import Store

FIRST, LAST = {"popularity": "popularity ranking"}, {"oracle": "best reachable"}
"""What accuracy is measured against, trained by nobody: stored name to its name in tables.  Others
stand between these, under their own names."""


def references_of(
    records: Sequence[Record], later: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Name in tables to dataset to metrics, of all that any of the cells has or that was measured
    later."""
    names = dataset_names([record.cell for record in records])
    draws: dict[str, dict[str, dict[str, Mapping[str, float]]]] = {}
    for name, record in zip(names, records, strict=True):
        key = record.cell.data_key
        for stored, metrics in {**record.references, **later.get(key, {})}.items():
            draws.setdefault(stored, {}).setdefault(name, {})[key] = metrics
    found = {
        stored: {name: _mean(list(each.values())) for name, each in on_datasets.items()}
        for stored, on_datasets in draws.items()
    }
    others = {stored: stored for stored in sorted(found.keys() - FIRST.keys() - LAST.keys())}
    samplers = {record.cell.sampler.name for record in records}
    return {
        f"{shown} ranking" if shown in samplers else shown: found[stored]
        for stored, shown in (FIRST | others | LAST).items()
        if stored in found
    }


def _mean(draws: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of metrics on several draws of the users."""
    return {name: sum(each[name] for each in draws) / len(draws) for name in draws[0]}


def with_external(
    cells: pd.DataFrame, records: Sequence[Record], systems: Iterable[External]
) -> tuple[pd.DataFrame, dict[str, External]]:
    """The cells of a comparison, and after them a row for each system of another library, dataset
    and backbone, as if it were a sampler of each; and these systems by key.

    Those that were not evaluated on just the test users of a dataset's cells are left out.
    """
    data_keys: dict[str, set[str]] = {}
    for name, record in zip(dataset_names([r.cell for r in records]), records, strict=True):
        data_keys.setdefault(name, set()).add(record.cell.data_key)
    rows: list[dict[str, object]] = []
    found: dict[str, External] = {}
    evaluated: dict[str, list[External]] = {}
    for one in systems:
        evaluated.setdefault(one.name, []).append(one)
    for name, backbone in dict.fromkeys(zip(cells["dataset"], cells["backbone"], strict=True)):
        for its in evaluated.values():
            here = [one for one in its if one.data_key in data_keys[name]]
            if {one.data_key for one in here} == data_keys[name]:
                found |= {one.key: one for one in here}
                known = _known_of_all(here)
                rows += [_row(one, name, backbone, known) for one in here]
    if not rows:
        return cells, {}
    return pd.concat([cells, pd.DataFrame(rows)], ignore_index=True), found


def _known_of_all(systems: Iterable[External]) -> set[str]:
    """The metrics on test that each of these has."""
    return set.intersection(*(set(one.test) for one in systems))


def _row(one: External, dataset: str, backbone: str, known: set[str]) -> dict[str, object]:
    """A system as a cell, with the metrics that are known of all its seeds."""
    names = {"key": one.key, "dataset": dataset, "backbone": backbone}
    names |= {"sampler": one.label, "method": one.label, "objective": "external"}
    about = {"synthetic": one.data["synthetic"], "test_users": one.data["test_users"]}
    new = {f"new_{metric}": value for metric, value in one.metrics.get("test_new", {}).items()}
    test = {metric: value for metric, value in one.test.items() if metric in known}
    return names | {"seed": one.seed} | about | test | new


def external_gains(store: Store, systems: Iterable[External]) -> pd.DataFrame:
    """`predictions_of` the systems (one a seed); NaN of metrics that are not known of all."""
    every = list(systems)
    unknown = set(FROM_RANKS) - _known_of_all(every)
    return pd.concat(
        predictions_of(external.arrays_of(store, one.key)).assign(**dict.fromkeys(unknown, np.nan))
        for one in every
    )

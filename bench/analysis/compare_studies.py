"""Two studies side by side, for someone who changed a sampler.

Systems found in both studies are compared user by user.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from bench.analysis.cells import contents_of, protocols_of
from bench.analysis.contributions import PREDICTIONS, effective, gains_by_user
from bench.analysis.over_users import differences_of, holm, p_of_t
from bench.errors import UserError
from bench.json_shape import as_text
from bench.metrics import HEADLINE
from bench.studies import tuning
from bench.studies.records import Record
from bench.studies.store import Store


@dataclass(frozen=True)
class Change:
    """One system in two studies.

    Attributes:
        system: dataset/backbone/sampler/objective, and its settings where they differ.
        before: the metric in A, over the common users, mean over the common seeds, or over A's own
            where there are none.
        after: the same in B.
        p: of a paired t-test over users, Holm-corrected over the systems.  Where no seed is
            common, what another seed would change may look like a change of the system.
        users: common test users.
        seeds: how many are common.
    """

    system: str
    before: float
    after: float
    p: float
    users: int
    seeds: int

    @property
    def share(self) -> float:
        """Relative change; -0.1 is a fall by a tenth, NaN a rise from nothing."""
        if self.before == 0:
            return math.nan if self.after else 0.0
        return self.after / self.before - 1

    def fell(self, share: float, alpha: float) -> bool:
        """Whether it fell by more than ``share``, significantly."""
        return self.share < -share and self.p < alpha


def compare(a: Store, b: Store, metric: str = HEADLINE) -> tuple[list[Change], list[str]]:
    """What changed from A to B, and the systems that only one of them has.

    A system is a backbone, a sampler and an objective on one dataset and split under one protocol.
    Where both studies have it in one setting each, the settings may differ (the sampler may have
    been given other options); where one has several, equal settings are compared.

    Raises:
        UserError: a study is empty, or no system is in both.
    """
    systems_a, systems_b = _systems(a), _systems(b)
    pairs = [(name, systems_a[name], systems_b[name]) for name in systems_a if name in systems_b]
    if not pairs:
        raise UserError(
            f"{a.root} and {b.root} have no system in common: a dataset, split, protocol, "
            "backbone, sampler and objective that are the same in both"
        )
    found, values = [], []
    for name, records_a, records_b in pairs:
        seeds = {r.cell.seed for r in records_a} & {r.cell.seed for r in records_b}
        before = gains_by_user(a, _keys(records_a, seeds))
        after = gains_by_user(b, _keys(records_b, seeds))
        columns = {"A": before[metric], "B": after[metric], PREDICTIONS: before[PREDICTIONS]}
        both = pd.concat(columns, axis=1, join="inner")
        users = effective(both.pop(PREDICTIONS))
        values.append(float(p_of_t(differences_of(both, "B", "A")[None], users)[0]))
        found.append((_label(name), *both.mean(axis=0).tolist(), len(both), len(seeds)))
    changes = [
        Change(label, before, after, float(p), users, seeds)
        for (label, before, after, users, seeds), p in zip(
            found, holm(pd.Series(values)), strict=True
        )
    ]
    alone = [f"only in A: {_label(name)}" for name in systems_a if name not in systems_b]
    alone += [f"only in B: {_label(name)}" for name in systems_b if name not in systems_a]
    return changes, alone


def _keys(records: Sequence[Record], seeds: set[int]) -> list[str]:
    """Those of these seeds; all where there is none."""
    return [r.key for r in records if not seeds or r.cell.seed in seeds]


System = tuple[str, ...]


def _systems(store: Store) -> dict[System, list[Record]]:
    """Each system's cells, one a seed; settings are part of the name where there are several."""
    by_name: dict[System, dict[str, list[Record]]] = {}
    records = tuning.as_compared(store)
    cells = [record.cell for record in records]
    for record, content, protocol in zip(
        records, contents_of(cells), protocols_of(cells), strict=True
    ):
        cell = record.cell
        parts = [cell.backbone, cell.sampler, cell.objective]
        name: System = (
            cell.dataset,
            cell.backbone.name,
            record.sampler,
            cell.objective.name,
            as_text([content, protocol]),
        )
        settings = as_text([*(part.hyper for part in parts), cell.peer and asdict(cell.peer)])
        by_name.setdefault(name, {}).setdefault(settings, []).append(record)
    result: dict[System, list[Record]] = {}
    for system, by_settings in by_name.items():
        for settings, members in by_settings.items():
            result[system if len(by_settings) == 1 else (*system, settings)] = members
    return result


def _label(name: System) -> str:
    settings = f" {name[5]}" if len(name) > 5 else ""
    return "/".join(name[:4]) + settings

"""What a comparison says in a sentence: who is level with the best, at what cost, and who not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.beside import LAST
from bench.analysis.comparison import Comparison
from bench.metrics import HEADLINE


@dataclass(frozen=True)
class Verdict:
    """On the systems with one backbone, of the samplers that were trained on all its datasets.

    Attributes:
        backbone: it.
        datasets: how many.
        level: the samplers that are nowhere significantly below the best, by mean rank; where
            there is none, those that are so on the most datasets; none where each is below the
            best of every dataset, as one that was trained on it alone may be.
        level_on: on how many datasets they are.
        worse: the samplers that are significantly below the best on every dataset, by mean rank.
        cheapest: the one of ``level`` that costs the least, of those trained here, and its mean
            cost (see `Comparison.costs`); None where that is not known of all of them.
        unit: what ``cheapest`` counts, "CPU seconds" or "seconds".
        untrained: references that are above all of these samplers, to on how many datasets.
        seeds: fewest and most of a system.
    """

    backbone: str
    datasets: int
    level: list[str]
    level_on: int
    worse: list[str]
    cheapest: tuple[str, float] | None
    unit: str
    untrained: dict[str, int]
    seeds: tuple[int, int]

    def sentences(self) -> list[str]:
        """The verdict in words."""
        where = _where(self.level_on, self.datasets)
        if not self.level:
            said = f"of those trained on all {self.datasets} datasets none is level with any's best"
        elif len(self.level) > 1:
            said = f"level with the best{where}: {', '.join(self.level)}"
        elif self.datasets == 1:
            said = f"{self.level[0]} is best, and no other level with it"
        else:
            said = f"{self.level[0]} is level with the best{where}, and no other on as many"
        first = f"{self.backbone}: {said}"
        if self.cheapest is not None and len(self.level) > 1:
            name, seconds = self.cheapest
            first += f"; the cheapest of them is {name}, {_time(seconds, self.unit)} a training"
        if self.worse:
            everywhere = " everywhere" if self.datasets > 1 else ""
            first += f"; significantly worse{everywhere}: {', '.join(self.worse)}"
        low, high = self.seeds
        count = f"{low} to {high} seeds" if low < high else f"{low} seed{'s' if low > 1 else ''}"
        found = [f"{first} ({count})."]
        if self.untrained:
            named = ", ".join(
                f"{name}{_where(on, self.datasets)}" for name, on in self.untrained.items()
            )
            found.append(f"Above all of these with {self.backbone}, without training: {named}.")
        return found


def verdicts(comparison: Comparison) -> list[Verdict]:
    """One a backbone with at least two samplers that were trained on all its datasets; none where
    they have no test users in common."""
    found = []
    users = comparison.user_predictions
    for backbone, cells in comparison.cells.groupby("backbone", sort=True):
        means = cells.pivot_table(HEADLINE, "dataset", "sampler", aggfunc="mean", observed=True)
        means = means.dropna(axis="columns")
        if means.shape[1] > 1 and all(len(users[str(name), str(backbone)]) for name in means.index):
            found.append(_verdict(comparison, str(backbone), cells, means))
    return found


def by_rank(means: pd.DataFrame, names: Iterable[str] | None = None) -> list[str]:
    """Samplers, the columns of ``[blocks x samplers]``, the best first: by their mean rank.

    Where some blocks lack samplers, of which a rank would be among fewer: by the share of the
    others that each is above, in the blocks that both have.  Where none lacks any, that is the
    order of mean ranks.
    """
    values = means.to_numpy(np.float64)
    own, other = values[:, :, None], values[:, None, :]
    both = (~np.isnan(own) & ~np.isnan(other)).sum(axis=0)
    above = ((own > other) + (own == other) / 2).sum(axis=0)
    np.fill_diagonal(both, 0)  # nobody meets itself
    met = np.where(both > 0, above / np.maximum(both, 1), 0).sum(axis=1)
    shares = pd.Series(met / np.maximum((both > 0).sum(axis=1), 1), means.columns).round(9)
    chosen = set(means.columns if names is None else names)
    order = shares.sort_values(ascending=False, kind="stable").index
    return [str(name) for name in order if name in chosen]


def _verdict(
    comparison: Comparison, backbone: str, cells: pd.DataFrame, means: pd.DataFrame
) -> Verdict:
    below = comparison.below_best[HEADLINE]
    counts = {
        name: sum(name not in below.get((str(dataset), backbone), set()) for dataset in means.index)
        for name in means.columns
    }
    most = max(counts.values())
    level = by_rank(means, [name for name, count in counts.items() if count == most > 0])
    worse = by_rank(means, [name for name, count in counts.items() if not count])
    trained = cells[~cells["key"].isin(list(comparison.external))]
    by_system = trained.groupby(["dataset", "sampler"], observed=True)["cost_s"]
    costs = by_system.agg(_mean_if_all_known).unstack()
    seconds = costs.loc[means.index, [name for name in level if name in costs]].mean(skipna=False)
    seeds = trained.groupby(["dataset", "sampler"])["seed"].nunique()
    untrained = {
        name: sum(
            known.get(str(dataset), {}).get(HEADLINE, 0.0) > row.max()
            for dataset, row in means.iterrows()
        )
        for name, known in comparison.references.items()
        if name not in LAST.values()
    }
    return Verdict(
        backbone=backbone,
        datasets=len(means),
        level=level,
        level_on=most,
        worse=worse,
        cheapest=None
        if seconds.empty or seconds.isna().any()
        else (str(seconds.idxmin()), float(seconds.min())),
        unit="CPU seconds" if comparison.on_cpu else "seconds",
        untrained={name: count for name, count in untrained.items() if count},
        seeds=(int(seeds.min()), int(seeds.max())),
    )


def _mean_if_all_known(costs: pd.Series[float]) -> float:
    """NaN where one of them is not known."""
    return float(costs.mean(skipna=False))


def _where(count: int, datasets: int) -> str:
    if datasets == 1:
        return ""
    return f" on all {datasets} datasets" if count == datasets else f" on {count} of {datasets}"


def _time(seconds: float, unit: str) -> str:
    if seconds >= 120:
        return f"{seconds / 60:.1f} {unit.replace('seconds', 'minutes')}"
    return f"{seconds:.1f} {unit}"

"""A comparison in words: who won, by how much, and how far the numbers can be trusted."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.metrics import BASELINE, HEADLINE, METRICS

FEW_USERS = 1000
"""With fewer test users, single users move the third digit of a metric."""


def overview(comparison: Comparison) -> list[str]:
    """What was compared, how long it took and how often each sampler is best, a sentence each."""
    cells = comparison.cells
    systems = [
        _count(cells[name].nunique(), name) for name in ("sampler", "backbone", "dataset", "seed")
    ]
    models = int(cells["models"].sum())
    trained = f"{', '.join(systems[:-1])} and {systems[-1]}: {_count(models, 'model')}"
    if "train_s" in cells:
        trained += f", {_time(cells['train_s'].sum())} of training"
    sentences = [f"{trained}."]
    means = _means(cells)
    winners = [winner for _, row in means.iterrows() if (winner := _best(row)) is not None]
    if cells["sampler"].nunique() > 1 and len(means) > 1 and winners:
        counts = pd.Series(winners).value_counts(sort=False)
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
        named = ", ".join(f"{name} in {count}" for name, count in ranked)
        sentences.append(
            f"Of {len(means)} combinations of dataset and backbone, the best sampler by "
            f"{METRICS[HEADLINE]} is {named}."
        )
    return sentences


def winners(comparison: Comparison) -> Iterator[tuple[str, list[str]]]:
    """Each dataset with a sentence a backbone: the best sampler and its gain over `uniform`."""
    sentences: dict[str, list[str]] = {}
    means = _means(comparison.cells)
    for dataset, backbone in means.index:
        row = means.loc[(dataset, backbone)]
        sentences.setdefault(dataset, []).append(f"{backbone}: {_sentence(row)}")
    yield from sentences.items()


def _sentence(row: pd.Series[float]) -> str:
    best = _best(row)
    if best is None:
        return "no sampler was measured."
    text = f"{best} is best, {METRICS[HEADLINE]} {row[best]:.4f}"
    if row.notna().sum() == 1:
        return f"{METRICS[HEADLINE]} {row[best]:.4f} by {best}, the only sampler."
    if best == BASELINE:
        return f"no sampler is better than {BASELINE}, {METRICS[HEADLINE]} {row[best]:.4f}."
    baseline = row.get(BASELINE)
    if baseline is None or pd.isna(baseline):
        return f"{text}; {BASELINE} was not trained."
    if baseline == 0:
        return f"{text}; {BASELINE} reaches 0."
    return f"{text}, {row[best] / baseline - 1:+.1%} over {BASELINE} ({baseline:.4f})."


def warnings(comparison: Comparison) -> list[str]:
    """What stands between these numbers and a conclusion; empty if nothing does."""
    cells = comparison.cells
    found = []
    seeds = cells.groupby(["dataset", "backbone", "sampler"])["seed"].nunique()
    if seeds.max() == 1:
        found.append("One seed: differences of the size of seed noise mean nothing.")
    elif seeds.min() < seeds.max():
        found.append(f"Not every mean is over as many seeds: {seeds.min()} to {seeds.max()}.")
    users = cells.groupby("dataset")["test_users"].max()
    few = users[users < FEW_USERS]
    if len(few):
        named = ", ".join(f"{dataset} {count}" for dataset, count in few.items())
        found.append(f"Few test users: {named}. Other users might well order samplers otherwise.")
    systems = len(cells[["dataset", "backbone"]].drop_duplicates())
    missing = systems * cells["sampler"].nunique() - len(seeds)
    if missing:
        found.append(
            f"{_count(missing, 'combination')} of dataset, backbone and sampler without a number."
        )
    return found


def _means(cells: pd.DataFrame) -> pd.DataFrame:
    """``[(dataset, backbone) x samplers]``, the headline metric over seeds."""
    means = cells.pivot_table(HEADLINE, ["dataset", "backbone"], "sampler", aggfunc="mean")
    return means.reindex(columns=[name for name in sampler_order(cells) if name in means])


def _best(row: pd.Series[float]) -> str | None:
    return None if row.isna().all() else str(row.idxmax())


def _time(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

"""A comparison in words: who is level with the best, and how far the numbers can be trusted."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.metrics import BASELINE, HEADLINE, METRICS

FEW_USERS = 1000
"""With fewer test users, single users move the third digit of a metric."""


def overview(comparison: Comparison) -> list[str]:
    """What was compared, and how long it took, a sentence each."""
    cells = comparison.trained
    systems = [
        _count(cells[name].nunique(), name) for name in ("sampler", "backbone", "dataset", "seed")
    ]
    models = int(cells["models"].sum())
    trained = f"{', '.join(systems[:-1])} and {systems[-1]}: {_count(models, 'model')}"
    if "train_s" in cells:
        took = cells.groupby("device")["train_s"].sum()
        if len(took) == 1:
            trained += f", {_time(took.iloc[0])} of training"
        else:  # seconds of different devices are not to be added up
            on = [f"{_time(seconds)} of training on {device}s" for device, seconds in took.items()]
            trained += f", {' and '.join(on)}"
    elsewhere = sorted({one.name for one in comparison.external.values()})
    beside = [f"Trained elsewhere, on the same users: {', '.join(elsewhere)}."] if elsewhere else []
    return [f"{trained}.", *beside]


def by_dataset(comparison: Comparison) -> Iterator[tuple[str, list[str]]]:
    """Each dataset with a sentence a backbone: who is level with the best, and what the best gains
    over `uniform`."""
    sentences: dict[str, list[str]] = {}
    means = _means(comparison.cells)
    for dataset, backbone in means.index:
        row = means.loc[(dataset, backbone)]
        below = comparison.below_best[HEADLINE].get((dataset, backbone), set())
        sentences.setdefault(dataset, []).append(f"{backbone}: {_sentence(row, below)}")
    yield from sentences.items()


def _sentence(row: pd.Series[float], below: Collection[str]) -> str:
    known = row.dropna().sort_values(ascending=False, kind="stable")
    if known.empty:
        return "no sampler was measured."
    best, metric = str(known.index[0]), METRICS[HEADLINE]
    if len(known) == 1:
        return f"{metric} {known[best]:.4f} by {best}, the only sampler."
    level = [str(name) for name in known.index[1:] if name not in below]
    text = f"{best} has {metric} {known[best]:.4f}"
    text += f", and level with it: {', '.join(level)}" if level else ", above all others"
    if BASELINE not in known:
        trained = any(str(name).startswith(f"{BASELINE} (") for name in known.index)
        return f"{text}." if trained else f"{text}; {BASELINE} was not trained."
    if best == BASELINE:
        return f"{text}."
    if known[BASELINE] == 0:
        return f"{text}; {BASELINE} reaches 0."
    gain = known[best] / known[BASELINE] - 1
    return f"{text}; {gain:+.1%} over {BASELINE} ({known[BASELINE]:.4f})."


def warnings(comparison: Comparison) -> list[str]:
    """What stands between these numbers and a conclusion, beside what the comparison's document
    warns of; empty if nothing does."""
    cells = comparison.trained
    found = []
    seeds = cells.groupby(["dataset", "backbone", "sampler"])["seed"].nunique()
    if seeds.min() < seeds.max():
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


def stopped_early(comparison: Comparison) -> str:
    """Which systems were still getting better when the last epoch allowed was over: those that it
    ended, with their best epoch in the last tenth of all; empty if none was."""
    cells = comparison.trained.reindex(columns=["key", "sampler", "best_epoch", "epochs"])
    limits = [comparison.store.load(key).cell.protocol.epochs for key in cells["key"]]
    ended = (cells["epochs"] > 1) & (cells["epochs"] == limits)
    late = cells[ended & (cells["best_epoch"] > 0.9 * cells["epochs"])]
    if not len(late):
        return ""
    counts = late["sampler"].value_counts(sort=False)
    named = ", ".join(
        f"{name} {counts[name]}" for name in sampler_order(cells) if name in counts.index
    )
    return (
        f"{len(late)} of {len(cells)} cells had their best epoch when the limit was near, and "
        f"might gain by more epochs: {named}."
    )


def _means(cells: pd.DataFrame) -> pd.DataFrame:
    """``[(dataset, backbone) x samplers]``, the headline metric over seeds."""
    means = cells.pivot_table(HEADLINE, ["dataset", "backbone"], "sampler", aggfunc="mean")
    return means.reindex(columns=[name for name in sampler_order(cells) if name in means])


def _time(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

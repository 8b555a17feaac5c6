"""For whom a sampler is good: accuracy by popularity of the item and length of the input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.buckets import by_bucket
from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.metrics import HEADLINE
from bench.reports.plots import style
from bench.reports.plots.looks import Looks
from bench.reports.plots.style import COLUMN, WIDE

KINDS = {"popularity": "popularity of the item", "length": "length of the input"}
"""What stands before the colon of a bucket's name, to its name in the plot."""

FEWEST = 100
"""Test predictions of a bucket, below which a point says nothing."""


def figures(comparison: Comparison, looks: Looks) -> Iterator[tuple[str, Figure]]:
    """A figure a backbone, a row a dataset; points are samplers (means over seeds), with 95 %
    intervals over test users.

    Below a bucket's name is the number of test predictions in it; those of fewer than `FEWEST` are
    left out.
    """
    found = _buckets(comparison)
    if found.empty:
        return
    kinds = [kind for kind in KINDS if kind in set(found["kind"])]
    samplers = sampler_order(comparison.cells)
    width = style.given_width() or (COLUMN if len(samplers) <= 6 else WIDE)
    for backbone, chosen in found.groupby("backbone", sort=True):
        datasets = sorted(set(chosen["dataset"]))
        figure = Figure(figsize=(width, 0.9 + 1.25 * len(datasets)), layout="constrained")
        axes = figure.subplots(len(datasets), len(kinds), squeeze=False, sharey="row")
        drawn = [name for name in samplers if name in set(chosen["sampler"])]
        for row, dataset in zip(axes, datasets, strict=True):
            for axis, kind in zip(row, kinds, strict=True):
                part = chosen[(chosen["dataset"] == dataset) & (chosen["kind"] == kind)]
                _draw_groups(axis, part, drawn, looks)
                title = style.printed(dataset)
                if width == WIDE and style.given_width() is None:
                    title = f"{title}, {KINDS[kind]}"
                axis.set_title(style.wrapped(title, (width - 0.6) / len(kinds) - 0.1))
            row[0].set_ylabel(f"test {style.metric()}")
            own = chosen[chosen["dataset"] == dataset]
            highest = (own[HEADLINE] + own["half"].fillna(0)).max()
            row[0].set_ylim(0, 1.08 * highest or 1)
            row[0].yaxis.set_major_locator(MaxNLocator(nbins=4))
        for axis, kind in zip(axes[-1], kinds, strict=True):
            axis.set_xlabel(f"{KINDS[kind]}\n(test predictions)")
        style.add_legend(figure, style.sampler_handles(looks, drawn, lines=False))
        drawn_targets = " Of one drawn target a user." if comparison.synthetic else ""
        heading = f"By popularity and length, {backbone}.{drawn_targets}"
        style.set_title(figure, heading, comparison.title)
        yield str(backbone), figure


def _buckets(comparison: Comparison) -> pd.DataFrame:
    """A row a system and bucket of enough predictions, buckets in the order of `by_bucket`."""
    names = ["backbone", "dataset", "sampler"]
    found = []
    for _, cells in comparison.trained.groupby(names, sort=False):
        its = by_bucket(comparison.store, list(cells["key"]))
        if len(its):
            kinds = its.index.str.partition(":").to_frame(index=False)
            its = its.reset_index(drop=True).assign(kind=kinds[0], bucket=kinds[2])
            found.append(its.assign(**cells[names].iloc[0]))
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["users"])
    return rows[rows["users"] >= FEWEST]


def _draw_groups(axis: Axes, part: pd.DataFrame, samplers: list[str], looks: Looks) -> None:
    """A group of points for each bucket, in it a point for each sampler."""
    buckets = list(dict.fromkeys(part["bucket"]))
    known = part.set_index(["sampler", "bucket"])[[HEADLINE, "half"]]
    offsets = np.linspace(-0.38, 0.38, len(samplers)) if len(samplers) > 1 else np.zeros(1)
    for sampler, offset in zip(samplers, offsets, strict=True):
        its = known.reindex([(sampler, bucket) for bucket in buckets])
        look, places = looks[sampler], np.arange(len(buckets)) + offset
        low, high = its[HEADLINE] - its["half"], its[HEADLINE] + its["half"]
        axis.vlines(places, low, high, color=look.colour, linewidth=0.6)
        axis.plot(places, its[HEADLINE], look.marker, color=look.colour, markersize=3)
    for edge in range(1, len(buckets)):
        axis.axvline(edge - 0.5, color="0.85", linewidth=0.5)
    users = part.groupby("bucket")["users"].max()
    axis.set_xticks(range(len(buckets)), [f"{bucket}\n({users[bucket]:g})" for bucket in buckets])
    axis.set_xlim(-0.5, max(0.5, len(buckets) - 0.5))
    axis.grid(axis="x", visible=False)

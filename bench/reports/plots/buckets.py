"""For whom a sampler is good: accuracy by popularity of the item and length of the input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    """A figure a backbone, a row a dataset; points are samplers (means over seeds).

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
        figure = Figure(figsize=(width, 0.8 + 1.25 * len(datasets)), layout="constrained")
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
            highest = chosen.loc[chosen["dataset"] == dataset, HEADLINE].max()
            row[0].set_ylim(0, 1.08 * highest or 1)
            row[0].yaxis.set_major_locator(MaxNLocator(nbins=4))
        for axis, kind in zip(axes[-1], kinds, strict=True):
            axis.set_xlabel(f"{KINDS[kind]}\n(test predictions)")
        style.add_legend(figure, style.sampler_handles(looks, drawn, lines=False))
        heading = f"By popularity and length, {backbone}."
        style.set_title(figure, heading, comparison.title)
        yield str(backbone), figure


def _buckets(comparison: Comparison) -> pd.DataFrame:
    """A row a cell and bucket, buckets in the order in which they are stored."""
    names = ["backbone", "dataset", "sampler"]
    rows = []
    for cell in comparison.cells[["key", *names]].to_dict("records"):
        for name, bucket in comparison.store.load(cell["key"]).buckets.items():
            if bucket["users"] < FEWEST:
                continue
            kind, _, label = name.partition(":")
            rows.append(
                {column: cell[column] for column in names}
                | {"kind": kind, "bucket": label, "users": bucket["users"]}
                | {HEADLINE: bucket[HEADLINE]}
            )
    return pd.DataFrame(rows)


def _draw_groups(axis: Axes, part: pd.DataFrame, samplers: list[str], looks: Looks) -> None:
    """A group of points for each bucket, in it a point for each sampler."""
    buckets = list(dict.fromkeys(part["bucket"]))
    means = part.groupby(["sampler", "bucket"])[HEADLINE].mean()
    offsets = np.linspace(-0.38, 0.38, len(samplers)) if len(samplers) > 1 else np.zeros(1)
    for sampler, offset in zip(samplers, offsets, strict=True):
        heights = [means.get((sampler, bucket), np.nan) for bucket in buckets]
        look = looks[sampler]
        places = np.arange(len(buckets)) + offset
        axis.plot(places, heights, look.marker, color=look.colour, markersize=3)
    for edge in range(1, len(buckets)):
        axis.axvline(edge - 0.5, color="0.85", linewidth=0.5)
    users = part.groupby("bucket")["users"].max()
    axis.set_xticks(range(len(buckets)), [f"{bucket}\n({users[bucket]:g})" for bucket in buckets])
    axis.set_xlim(-0.5, max(0.5, len(buckets) - 0.5))
    axis.grid(axis="x", visible=False)

"""Test accuracy of every sampler, backbone and dataset in one figure."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.comparison import Comparison
from bench.analysis.verdict import by_rank
from bench.metrics import HEADLINE
from bench.reports.plots import style

MARKERS = "osD^vPX*<>"
"""Backbones differ by marker as well as by colour."""

DASHES: tuple[Any, ...] = ("--", ":", "-.", (0, (8, 2)), (0, (1, 4)), (0, (6, 2, 1, 2, 1, 2)))
"""Of the reference lines, in their order."""

GREY = "0.35"


def figure_of(comparison: Comparison) -> Figure:
    """A panel a dataset, a row a sampler, the best on top (`by_rank`), a dot a backbone; bars are
    95 % intervals over test users, and small dots the seeds, where there are several.

    Samplers are named on the axis, so that eighteen of them need no eighteen colours.
    """
    cells = comparison.cells
    datasets, backbones = sorted(set(cells["dataset"])), sorted(set(cells["backbone"]))
    samplers = by_rank(cells.pivot_table(HEADLINE, ["dataset", "backbone"], "sampler"))
    labels = [style.wrapped(style.printed(name), 1.3) for name in samplers]
    lines = max(label.count("\n") + 1 for label in labels)
    row = max(0.11 * lines, 0.05 + 0.028 * len(backbones), 0.13)
    figure, axes = style.panels(datasets, 0.5 + row * max(3, len(samplers)))
    summary = comparison.intervals()
    looks = _looks(backbones)
    columns = axes[0].get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    for place, (axis, dataset) in enumerate(zip(axes, datasets, strict=True)):
        for (backbone, look), offset in zip(looks.items(), _offsets(len(backbones)), strict=True):
            found = summary.reindex([(dataset, backbone, sampler) for sampler in samplers])
            heights = np.arange(len(samplers)) + offset
            axis.hlines(heights, found["low"], found["high"], color=look["color"], linewidth=0.7)
            axis.plot(found["mean"], heights, linestyle="none", **look)
            own = cells[(cells["dataset"] == dataset) & (cells["backbone"] == backbone)]
            several = own[own.groupby("sampler")["seed"].transform("count") > 1]
            rows = heights[[samplers.index(name) for name in several["sampler"]]]
            axis.plot(several[HEADLINE], rows, ".", color=GREY, markersize=1.5, zorder=3)
        limit = summary.loc[[dataset]][["mean", "high"]].max().max()
        for known, dash in zip(comparison.references.values(), DASHES, strict=False):
            if dataset in known:
                value = known[dataset][HEADLINE]
                axis.axvline(value, color=GREY, linestyle=dash, linewidth=0.8)
                limit = max(limit, value)
        axis.set(xlabel=f"test {style.metric()}", xlim=(0, 1.08 * limit or 1))
        axis.locator_params(axis="x", nbins=3)
        _name_rows(axis, labels if place % columns == 0 else None, len(samplers))
    handles: list[Any] = [
        Line2D([], [], linestyle="none", label=style.printed(name), **look)
        for name, look in looks.items()
    ]
    handles += [
        Line2D([], [], color=GREY, linestyle=dash, linewidth=0.8, label=name)
        for name, dash in zip(comparison.references, DASHES, strict=False)
    ]
    if summary["low"].notna().any():
        bar = "95 % over test users"
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, label=bar))
    style.add_legend(figure, handles)
    style.set_title(figure, comparison.title)
    return figure


def _looks(backbones: list[str]) -> dict[str, dict[str, Any]]:
    """Colours that are not those of samplers, evenly from dark to light."""
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.8, len(backbones)))
    return {
        name: {"color": shade, "marker": MARKERS[i % len(MARKERS)], "markersize": 3}
        for i, (name, shade) in enumerate(zip(backbones, shades, strict=True))
    }


def _offsets(n: int) -> np.ndarray:
    return np.linspace(-0.32, 0.32, n) if n > 1 else np.zeros(1)


def _name_rows(axis: Axes, labels: list[str] | None, n: int) -> None:
    axis.set_ylim(n - 0.5, -0.5)
    axis.set_yticks(range(n), labels if labels is not None else [""] * n)
    axis.grid(axis="y", visible=False)
    for edge in range(1, n):
        axis.axhline(edge - 0.5, color="0.9", linewidth=0.4, zorder=0)

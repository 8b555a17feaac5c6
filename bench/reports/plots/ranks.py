"""The critical-difference diagram: samplers on an axis of mean ranks, bars over those alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from bench.reports.document import Picture
from bench.reports.plots import style
from bench.reports.plots.style import WIDE

ROW = 0.17
"""Inches that a row of names is high."""

POINTS, BARS = "#0072B2", "#C44E00"

BAR_STEP = 0.45
"""Height of a level of bars, in rows of names."""


def critical_difference(
    ranks: pd.Series[float], cliques: Sequence[Sequence[str]], name: str, title: str
) -> Picture:
    """Draw mean ranks after Demšar (JMLR 2006), the best on the left.

    Every sampler has a row for its name, the better half on the left and the others on the right;
    a bar joins samplers that do not differ significantly.

    Args:
        ranks: sampler to mean rank, best first.
        cliques: groups of samplers, neighbours in rank.
        name: of the picture's files.
        title: above the figure.
    """
    caption = "mean ranks; bars join samplers not shown to differ"
    with matplotlib.rc_context(style.STYLE):
        return style.picture(name, caption, figure_of(ranks, cliques, title))


def figure_of(ranks: pd.Series[float], cliques: Sequence[Sequence[str]], title: str) -> Figure:
    """See `critical_difference`."""
    names, k = [str(name) for name in ranks.index], len(ranks)
    n_left = math.ceil(k / 2)
    levels = _levels(ranks, cliques)
    first_row = BAR_STEP * (1 + max(levels, default=-1)) + 1.0
    depth = first_row + n_left - 0.5
    figure = Figure(figsize=(WIDE, 0.6 + ROW * depth), layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    axis.hlines(0, 1, k, color="0.15", linewidth=0.8)
    for tick in range(1, k + 1):
        axis.vlines(tick, 0, -0.25, color="0.15", linewidth=0.8)
        axis.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize=6.5)
    margin = 0.03 * (k - 1)
    for i, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        on_left = i < n_left
        # The nearer to the middle the lower, so that no two lines cross.
        row = first_row + (i if on_left else k - 1 - i)
        end = 1 - margin if on_left else k + margin
        axis.plot([rank, rank, end], [0, row, row], color="0.45", linewidth=0.6, zorder=1)
        axis.plot(rank, 0, "o", color=POINTS, markersize=3, clip_on=False, zorder=3)
        label = f"{name}  {rank:.2f}" if on_left else f"{rank:.2f}  {name}"
        side = "right" if on_left else "left"
        axis.text(end + (-margin if on_left else margin) / 3, row, label, ha=side, va="center")
    for clique, level in zip(cliques, levels, strict=True):
        height = 0.5 + BAR_STEP * level
        ends = ranks[clique[0]] - margin / 4, ranks[clique[-1]] + margin / 4
        axis.plot(ends, [height] * 2, color=BARS, linewidth=2.5, solid_capstyle="butt")
    axis.set_ylim(depth, -1.2)
    style.set_title(figure, *title.splitlines())
    return figure


def _levels(ranks: pd.Series[float], cliques: Sequence[Sequence[str]]) -> list[int]:
    """For each bar the level nearest to the axis that no earlier bar takes up there."""
    ends: list[float] = []
    levels = []
    for clique in cliques:
        start, end = ranks[clique[0]], ranks[clique[-1]]
        free = [level for level, taken in enumerate(ends) if taken < start]
        level = free[0] if free else len(ends)
        ends[level : level + 1] = [end]
        levels.append(level)
    return levels

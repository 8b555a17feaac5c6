"""The critical-difference diagram: samplers on an axis of mean ranks, bars over those alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from bench.reports.document import Picture
from bench.reports.plots import style
from bench.reports.plots.style import WIDE
from bench.reports.presentation import Presentation

ROW = 0.17
"""Inches that a row of names is high."""

POINTS, BARS = "#0072B2", "#C44E00"

BAR_STEP = 0.45
"""Height of a level of bars, in rows of names."""


def critical_difference(
    ranks: pd.Series[float],
    cliques: Sequence[Sequence[str]],
    name: str,
    title: str,
    presentation: Presentation | None = None,
) -> Picture:
    """Draw mean ranks after Demšar (JMLR 2006), the best on the left.

    Every sampler has a row for its name, the better half on the left and the others on the right;
    a bar joins samplers that do not differ significantly.

    Args:
        ranks: sampler to mean rank, best first.
        cliques: groups of samplers, neighbours in rank.
        name: of the picture's files.
        title: above the figure.
        presentation: how it is drawn; None as in a study's own report.
    """
    caption = "mean ranks; bars join samplers not shown to differ"
    with style.presented(presentation):
        return style.picture(name, caption, figure_of(ranks, cliques, title))


def figure_of(ranks: pd.Series[float], cliques: Sequence[Sequence[str]], title: str) -> Figure:
    """See `critical_difference`."""
    names, k = [style.printed(str(name)) for name in ranks.index], len(ranks)
    n_left = math.ceil(k / 2)
    levels = _levels(ranks, cliques)
    first_row = BAR_STEP * (1 + max(levels, default=-1)) + 1.0
    depth = first_row + n_left - 0.5
    labels = _labels(names, ranks, n_left)
    row_height = max(ROW, 0.11 * max(label.count("\n") + 1 for label in labels) + 0.03)
    width = style.given_width() or WIDE
    figure = Figure(figsize=(width, 0.6 + row_height * depth), layout="constrained")
    axis = figure.subplots()
    axis.axis("off")
    axis.hlines(0, 1, k, color="0.15", linewidth=0.8)
    every = math.ceil(0.3 * k / width) if style.given_width() else 1  # ranks that have room
    for tick in range(1, k + 1):
        axis.vlines(tick, 0, -0.25, color="0.15", linewidth=0.8)
        if (tick - 1) % every == 0:
            axis.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize=style.points(6.5))
    margin = 0.03 * (k - 1)
    for i, rank in enumerate(ranks):
        on_left = i < n_left
        # The nearer to the middle the lower, so that no two lines cross.
        row = first_row + (i if on_left else k - 1 - i)
        end = 1 - margin if on_left else k + margin
        axis.plot([rank, rank, end], [0, row, row], color="0.45", linewidth=0.6, zorder=1)
        axis.plot(rank, 0, "o", color=POINTS, markersize=3, clip_on=False, zorder=3)
        side = "right" if on_left else "left"
        place = end + (-margin if on_left else margin) / 3
        axis.text(place, row, labels[i], ha=side, va="center", multialignment=side)
    for clique, level in zip(cliques, levels, strict=True):
        height = 0.5 + BAR_STEP * level
        ends = ranks[clique[0]] - margin / 4, ranks[clique[-1]] + margin / 4
        axis.plot(ends, [height] * 2, color=BARS, linewidth=2.5, solid_capstyle="butt")
    axis.set_ylim(depth, -1.2)
    style.set_title(figure, *title.splitlines())
    return figure


def _labels(names: Sequence[str], ranks: pd.Series[float], n_left: int) -> list[str]:
    """Names with their ranks towards the axis; in lines, where the axis would have no room."""
    given = style.given_width()
    labels = [
        f"{name}  {rank:.2f}" if i < n_left else f"{rank:.2f}  {name}"
        for i, (name, rank) in enumerate(zip(names, ranks, strict=True))
    ]
    return labels if given is None else [style.wrapped(label, 0.28 * given) for label in labels]


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

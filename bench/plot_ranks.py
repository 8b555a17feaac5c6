"""The critical-difference diagram: samplers on an axis of mean ranks, bars over those alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only: no display is needed, or looked for
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.text import Text

from bench.plot_style import shrink

BAR_STEP = 0.45
"""Height of a level of bars, in rows of names."""


def critical_difference(
    ranks: pd.Series[float], cliques: Sequence[Sequence[str]], path: Path, title: str
) -> list[Path]:
    """Draw mean ranks after Demšar (JMLR 2006), the best on the left.

    Every sampler has a row for its name, the better half on the left and the others on the right;
    a bar joins samplers that do not differ significantly.

    Args:
        ranks: sampler to mean rank, best first.
        cliques: groups of samplers, neighbours in rank.
        path: where to save, as PNG and as SVG; its suffix is replaced.
        title: above the figure.

    Returns:
        The two files.
    """
    with plt.rc_context():  # the theme ends with it: other plots of the process have their own
        sns.set_theme(style="whitegrid", context="paper")
        return _draw(ranks, cliques, path, title)


def _draw(
    ranks: pd.Series[float], cliques: Sequence[Sequence[str]], path: Path, title: str
) -> list[Path]:
    """See `critical_difference`."""
    colours = sns.color_palette("colorblind")
    names, k = [str(name) for name in ranks.index], len(ranks)
    n_left = math.ceil(k / 2)
    levels = _levels(ranks, cliques)
    first_row = BAR_STEP * (1 + max(levels, default=-1)) + 1.0
    depth = first_row + n_left - 0.5
    longest = sum(max(map(len, side)) for side in (names[:n_left], names[n_left:]))
    width = 5.5 + 0.08 * longest
    figure, axis = plt.subplots(figsize=(width, 1.1 + 0.24 * depth), layout="constrained")
    axis.axis("off")
    axis.hlines(0, 1, k, color="0.15", linewidth=1.2)
    for tick in range(1, k + 1):
        axis.vlines(tick, 0, -0.25, color="0.15", linewidth=1.2)
        axis.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize="small")
    margin = 0.03 * (k - 1)
    for i, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        on_left = i < n_left
        # The nearer to the middle the lower, so that no two lines cross.
        row = first_row + (i if on_left else k - 1 - i)
        end = 1 - margin if on_left else k + margin
        axis.plot([rank, rank, end], [0, row, row], color="0.45", linewidth=0.8, zorder=1)
        axis.plot(rank, 0, "o", color=colours[0], markersize=4, clip_on=False, zorder=3)
        label = f"{name}  {rank:.2f}" if on_left else f"{rank:.2f}  {name}"
        side = "right" if on_left else "left"
        axis.text(end + (-margin if on_left else margin) / 3, row, label, ha=side, va="center")
    for clique, level in zip(cliques, levels, strict=True):
        height = 0.5 + BAR_STEP * level
        ends = ranks[clique[0]] - margin / 4, ranks[clique[-1]] + margin / 4
        axis.plot(ends, [height] * 2, color=colours[3], linewidth=3, solid_capstyle="butt")
    axis.set_ylim(depth, -1.2)
    figure.suptitle(title, fontsize="medium")
    files = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for shown in figure.findobj(Text):
        shown.set_parse_math(False)  # names may hold dollars
    with plt.rc_context({"svg.hashsalt": path.stem}):  # the same file for the same ranks
        figure.savefig(files[0], dpi=160)
        figure.savefig(files[1], metadata={"Date": None})
    shrink(files[0])
    plt.close(figure)
    return files


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

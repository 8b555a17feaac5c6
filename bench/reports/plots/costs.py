"""What accuracy costs: test accuracy against seconds of training; see `Comparison.costs`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.analysis.comparison import Comparison
from bench.metrics import HEADLINE
from bench.reports.plots import style
from bench.reports.plots.looks import Looks

SECONDS = "seconds"
GAPS = (2, 6, 11, 17, 24, 32, 42, 54)
"""Points between a sampler and its name that are tried."""

FEW = 9
"""Names up to which a panel need be no larger than those of other figures."""

NEAR = 6
"""Points between a sampler and its name up to which no line need tie them."""

FRONT_COLOUR = "0.45"
Floats = npt.NDArray[np.float64]


def figures(comparison: Comparison, looks: Looks) -> Iterator[tuple[str, Figure]]:
    """A figure a backbone, a panel a dataset, a point a sampler (means over seeds).

    Every point is named where it is.  The Pareto front is drawn: than its members no other sampler
    is both faster and better.
    """
    means = comparison.costs()[["cost_s", HEADLINE]].dropna().sort_index()
    means = means.rename(columns={"cost_s": SECONDS})
    means = means[means[SECONDS] > 0]  # the axis is logarithmic
    for backbone in sorted(means.index.unique("backbone")):
        found = means.xs(backbone, level="backbone")
        datasets = list(found.index.unique("dataset"))
        names = int(found.groupby("dataset").size().max())
        height, narrowest = (2.6, 2.3) if names <= FEW else (3.6, style.COLUMN)
        figure, axes = style.panels(datasets, height, narrowest)
        for axis, dataset in zip(axes, datasets, strict=True):
            _draw_points(axis, found.loc[dataset], looks)
            axis.set(xlabel="CPU seconds" if comparison.on_cpu else "seconds")
            axis.set(ylabel=f"test {style.metric()}")
        if any(len(pareto_front(found.loc[dataset])) > 1 for dataset in datasets):
            front = Line2D([], [], color=FRONT_COLOUR, linewidth=0.8, label="Pareto front")
            style.add_legend(figure, [front])
        style.set_title(figure, f"Accuracy and cost, {backbone}.", comparison.title)
        style.lay_out(figure)  # where a name has room depends on where all else stands
        for axis, dataset in zip(axes, datasets, strict=True):
            _name_points(axis, found.loc[dataset])
        yield str(backbone), figure


def pareto_front(points: pd.DataFrame) -> list[str]:
    """Of samplers by seconds and accuracy those that no other beats in both, the fastest first."""
    ordered = points.sort_values([SECONDS, HEADLINE], ascending=[True, False])
    best = ordered[HEADLINE].cummax().shift(fill_value=-math.inf)
    return list(ordered.index[ordered[HEADLINE] > best])


def _draw_points(axis: Axes, points: pd.DataFrame, looks: Looks) -> None:
    front = points.loc[pareto_front(points)]
    axis.step(
        front[SECONDS], front[HEADLINE], where="post", color=FRONT_COLOUR, linewidth=0.8, zorder=1
    )
    for sampler, (seconds, accuracy) in points[[SECONDS, HEADLINE]].iterrows():
        look = looks[str(sampler)]
        axis.plot(seconds, accuracy, look.marker, color=look.colour, markersize=3.5)
    low, high = points[SECONDS].min() / 1.5, points[SECONDS].max() * 1.5
    style.log_axis(axis, "x", low, high)
    axis.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axis.margins(y=0.2)  # room for names


def _name_points(axis: Axes, points: pd.DataFrame) -> None:
    """Write the names where they cover neither one another nor points, as near as can be."""
    unit = axis.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    places = axis.transData.transform(points[[SECONDS, HEADLINE]].to_numpy())
    centres = dict(zip(points.index, places, strict=True))
    front = pareto_front(points)
    taken = [np.concatenate([xy - 2.2 * unit, xy + 2.2 * unit]) for xy in places]
    for start, end in itertools.pairwise(centres[sampler] for sampler in front):
        corner = np.array([end[0], start[1]])
        for one, other in ((start, corner), (corner, end)):  # the steps of the front's line
            low, high = np.minimum(one, other), np.maximum(one, other)
            taken.append(np.concatenate([low - unit / 2, high + unit / 2]))
    for sampler in sorted(points.index, key=lambda name: (name not in front, name)):
        name = axis.annotate(
            style.wrapped(style.printed(sampler), 1.1),
            tuple(points.loc[sampler, [SECONDS, HEADLINE]]),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=style.points(5.5),
            arrowprops={"arrowstyle": "-", "linewidth": 0.3, "color": "0.4", "shrinkB": 2},
            annotation_clip=False,
        )
        box = name.get_window_extent()
        size = np.array([box.width, box.height]) / 2 + unit  # with some room around
        inside = np.array(axis.get_window_extent().extents)
        others = places[points.index != sampler]
        shift, gap = _best_place(centres[sampler], others, size, np.array(taken), inside, unit)
        name.set_position(tuple(shift / unit))
        assert name.arrow_patch is not None
        middle = centres[sampler] + shift
        # Tied to its point where that is far, or where another point is as near.
        nearest = np.hypot(*(others - middle).T).min(initial=np.inf)
        name.arrow_patch.set_visible(gap > NEAR or nearest < 1.3 * np.hypot(*shift))
        taken.append(np.concatenate([middle - size, middle + size]))


def _best_place(
    centre: Floats, others: Floats, size: Floats, taken: Floats, inside: Floats, unit: float
) -> tuple[Floats, float]:
    """Of places around a point the one that covers least, then the nearest.

    Args:
        centre: of the point, in pixels.
        others: ``[points, 2]`` centres of the other points, none of which should be nearer.
        size: half the text's width and height, in pixels.
        taken: ``[boxes, 4]`` what should not be covered: left, bottom, right, top.
        inside: the box that should not be left.
        unit: pixels a point.

    Returns:
        How far the text's centre is from the point, in pixels, and the points between the two.
    """
    gaps, angles = np.meshgrid(GAPS, np.linspace(0, 2 * np.pi, 24, endpoint=False), indexing="ij")
    directions = np.stack([np.cos(angles.ravel()), np.sin(angles.ravel())], axis=1)
    shifts = directions * (size + unit * gaps.ravel()[:, None])
    low, high = centre + shifts - size, centre + shifts + size
    covered = _shared(low[:, None], high[:, None], taken[:, :2], taken[:, 2:]).sum(axis=1)
    outside = 4 * size.prod() - _shared(low, high, inside[:2], inside[2:])
    to_others = np.linalg.norm(centre + shifts[:, None] - others, axis=2).min(1, initial=np.inf)
    mistaken = to_others < np.hypot(*shifts.T)
    cost = 100 * covered + 1000 * outside.round(6) + 100 * mistaken * unit + np.hypot(*shifts.T)
    best = int(cost.argmin())
    return shifts[best], float(gaps.ravel()[best])


def _shared(low: Floats, high: Floats, other_low: Floats, other_high: Floats) -> Floats:
    """Areas that boxes have in common."""
    sides = np.minimum(high, other_high) - np.maximum(low, other_low)
    area: Floats = sides.clip(min=0).prod(axis=-1)
    return area

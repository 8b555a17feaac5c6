"""What accuracy costs: test NDCG@10 against seconds of training to the best epoch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from bench import plot_style
from bench.comparison import Comparison
from bench.plot_style import Looks
from bench.tables import HEADLINE, sampler_order

SECONDS = "train_s_to_best"
MOST_TICKS = 4
FRONT_COLOUR = "0.45"
Boxes = list[Bbox]


def figures(comparison: Comparison, looks: Looks) -> Iterator[tuple[str, Figure]]:
    """A figure a backbone, a panel a dataset, a point a sampler (means over seeds).

    The Pareto front is drawn, and its members named: no other sampler is both faster and better.
    """
    if SECONDS not in comparison.cells:
        return
    means = (
        comparison.cells.groupby(["backbone", "dataset", "sampler"])[[SECONDS, HEADLINE]]
        .mean()
        .dropna()
    )
    means = means[means[SECONDS] > 0]  # the axis is logarithmic
    for backbone in means.index.unique("backbone"):
        found = means.loc[backbone]
        datasets = list(found.index.unique("dataset"))
        figure, axes = plot_style.panels(len(datasets), 2.0)
        for axis, dataset in zip(axes, datasets, strict=True):
            _draw_points(axis, found.loc[dataset], looks)
            axis.set(title=dataset, xlabel="training to the best epoch, s", ylabel="test NDCG@10")
        drawn = set(found.index.unique("sampler"))
        order = [name for name in sampler_order(comparison.cells) if name in drawn]
        front = Line2D([], [], color=FRONT_COLOUR, linewidth=0.8, label="Pareto front")
        handles = plot_style.sampler_handles(looks, order, lines=False)
        plot_style.add_legend(figure, [*handles, front])
        plot_style.set_title(figure, f"Accuracy and cost, {backbone}.", comparison.title)
        figure.draw_without_rendering()  # where a name has room depends on where all else stands
        figure.set_layout_engine("none")
        for axis, dataset in zip(axes, datasets, strict=True):
            _name_front(axis, found.loc[dataset])
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
    axis.set(xscale="log", xlim=(low, high))
    axis.xaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axis.margins(y=0.15)


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, as many as have room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [10.0**d * step for d in decades for step in steps if low <= 10.0**d * step <= high]
        if len(ticks) <= MOST_TICKS:
            return ticks
    return ticks[:: -(-len(ticks) // MOST_TICKS)]


def _name_front(axis: Axes, points: pd.DataFrame) -> None:
    """Write the names where they cover neither one another nor points, as near as can be."""
    unit = axis.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    inside = axis.get_window_extent()
    centres = dict(
        zip(
            points.index,
            axis.transData.transform(points[[SECONDS, HEADLINE]].to_numpy()),
            strict=True,
        )
    )
    radius = 2.2 * unit
    taken = [
        Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)
        for x, y in centres.values()
    ]
    for sampler in pareto_front(points):
        x, y = points.loc[sampler, [SECONDS, HEADLINE]]
        name = axis.annotate(
            plot_style.wrapped(sampler, 1.1),
            (x, y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6,
            arrowprops={"arrowstyle": "-", "linewidth": 0.3, "color": "0.4", "shrinkB": 2},
            annotation_clip=False,
        )
        size = name.get_window_extent()
        shift, box = _best_place(
            centres[sampler], (size.width, size.height), taken, inside, unit
        )
        name.set_position(shift)
        taken.append(box)


def _best_place(
    centre: npt.NDArray[np.float64],
    size: tuple[float, float],
    taken: Sequence[Bbox],
    inside: Bbox,
    unit: float,
) -> tuple[tuple[float, float], Bbox]:
    """Of places around a point the one that covers least, then the nearest.

    Args:
        centre: of the point, in pixels.
        size: width and height of the text, in pixels.
        taken: what should not be covered.
        inside: what should not be left.
        unit: pixels a point.

    Returns:
        The text's place relative to the centre in points, and its box in pixels.
    """
    best = (math.inf, (0.0, 0.0), inside)
    for distance, angle in product((0, 4, 9, 15, 22, 30, 40, 52), np.linspace(0, 2 * np.pi, 24)):
        dx = math.cos(angle) * (size[0] / 2 + (3 + distance) * unit)
        dy = math.sin(angle) * (size[1] / 2 + (3 + distance) * unit)
        x, y = centre[0] + dx - size[0] / 2, centre[1] + dy - size[1] / 2
        box = Bbox.from_bounds(x, y, *size)
        roomy = Bbox.from_bounds(x - unit, y - unit, size[0] + 2 * unit, size[1] + 2 * unit)
        covered = sum(_overlap(roomy, other) for other in taken)
        outside = size[0] * size[1] - _overlap(box, inside)
        cost = 100 * covered + 1000 * max(0.0, outside) + math.hypot(dx, dy)
        if cost < best[0]:
            best = (cost, (dx / unit, dy / unit), roomy)
    return best[1], best[2]


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return width * height if width > 0 and height > 0 else 0.0

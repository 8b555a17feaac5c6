"""How much better than uniform sampling, as a heat map."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.metrics import BASELINE, HEADLINE
from bench.reports.plots import style
from bench.reports.plots.style import COLUMN, WIDE

CELL_WIDTH, CELL_HEIGHT = 0.27, 0.16
PALETTE = "RdBu"
MOST = 100.0
"""Improvement in % at which the colour ends, so that an outlier does not pale the rest."""

MISSING = "0.82"
ROOM_BELOW = 20
"""Letters of a dataset's name that a figure has room for as it is."""


def figure_of(comparison: Comparison) -> Figure | None:
    """Improvement of mean test accuracy over ``uniform`` in %; None when there is no uniform.

    A panel a backbone that has any, a row a sampler, a column a dataset; grey where a sampler or
    ``uniform`` is missing.
    """
    gains = improvements(comparison.cells)
    if gains.empty:
        return None
    samplers = [name for name in sampler_order(comparison.cells) if name in gains.columns]
    datasets = gains.index.unique("dataset")
    backbones = [
        name for name in gains.index.unique("backbone") if gains.loc[name].notna().any(axis=None)
    ]
    labels = [style.wrapped(style.printed(name), 1.3) for name in samplers]
    lines = max(label.count("\n") + 1 for label in labels)
    title = max(len(style.printed(backbone)) for backbone in backbones)
    panel = max(CELL_WIDTH * len(datasets) + 0.1, style.CHARACTER * min(title, 10) + 0.15)
    columns = min(len(backbones), max(1, int(((style.given_width() or WIDE) - 1.8) / panel)))
    rows = -(-len(backbones) // columns)
    height = max(3, len(samplers)) * CELL_HEIGHT * max(1, 0.7 * lines)
    width = style.given_width() or max(COLUMN, 1.8 + columns * panel)
    below = style.CHARACTER * max(0, max(map(len, map(style.printed, datasets))) - ROOM_BELOW)
    figure = Figure(figsize=(width, 1.2 + below + rows * (height + 0.3)), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True, sharex=True).flat)
    limit = min(MOST, float(np.nanmax(np.abs(gains.to_numpy()))) or 1.0)
    norm = Normalize(-limit, limit)
    for place, (axis, backbone) in enumerate(zip(axes, backbones, strict=False)):
        table = gains.loc[backbone].reindex(index=datasets, columns=samplers).T
        _draw_panel(axis, table, norm)
        axis.set_title(style.wrapped(style.printed(backbone), panel + 0.3))
        last = place + columns >= len(backbones)
        axis.tick_params(axis="x", labelbottom=last, rotation=90, length=0)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(np.arange(len(samplers)) + 0.5, labels)
    axes[0].set_ylim(len(samplers), 0)
    for axis in axes[len(backbones) :]:
        axis.remove()
    figure.colorbar(
        matplotlib.cm.ScalarMappable(norm, PALETTE),
        ax=axes[: len(backbones)],
        label=style.printed(f"% over {BASELINE}"),
        extend="both" if np.nanmax(np.abs(gains.to_numpy())) > MOST else "neither",
        aspect=30,
        shrink=min(1.0, 2.5 / (rows * height)),
    )
    style.set_title(figure, f"Test {style.metric()} against {BASELINE}.", comparison.title)
    return figure


def improvements(cells: pd.DataFrame) -> pd.DataFrame:
    """In %, of means over seeds: backbone and dataset down, samplers across; empty if none is."""
    means = cells.pivot_table(index=["backbone", "dataset"], columns="sampler", values=HEADLINE)
    if BASELINE not in means or len(means.columns) == 1:
        return pd.DataFrame()
    baseline = means[BASELINE].where(means[BASELINE] > 0)
    gains = 100 * (means.drop(columns=BASELINE).div(baseline, axis=0) - 1)
    return gains if gains.notna().any(axis=None) else pd.DataFrame()


def _draw_panel(axis: Axes, table: pd.DataFrame, norm: Normalize) -> None:
    values = table.to_numpy()
    axis.set_facecolor(MISSING)
    axis.grid(False)
    axis.pcolormesh(
        np.ma.masked_invalid(values), cmap=PALETTE, norm=norm, edgecolors="white", linewidth=0.4
    )
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = abs(value) > 0.65 * norm.vmax  # type: ignore[operator]
            colour = "white" if dark else "black"
            axis.text(
                j + 0.5,
                i + 0.5,
                _short(value),
                ha="center",
                va="center",
                size=style.points(6),
                color=colour,
            )
    axis.set_xticks(np.arange(table.shape[1]) + 0.5, map(style.printed, table.columns))


def _short(value: float) -> str:
    """A percentage in four characters; from tenfold on, the factor."""
    if value >= 999.5:
        return f"×{1 + value / 100:.0f}"
    digits = 1 if abs(value) < 9.95 else 0
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")

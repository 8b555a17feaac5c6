"""The plot of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import matplotlib

matplotlib.use("Agg")  # files only: no display is needed, or looked for
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from bench.tables import HEADLINE, sampler_order

MARKERS = "osD^vPX*<>"
"""Backbones differ by marker as well as by colour."""

DASHES: tuple[Literal["--", ":"], ...] = ("--", ":")
"""Of the reference lines, in their order."""

PANEL_COLUMNS = 3


def dots(
    title: str,
    cells: pd.DataFrame,
    references: Mapping[str, Mapping[str, Mapping[str, float]]],
    path: Path,
) -> None:
    """Test NDCG@10: a panel a dataset, a row a sampler, a dot a backbone; bars span the seeds.

    Samplers are named on the axis, so that eighteen of them need no eighteen colours.

    Args:
        title: above the figure.
        cells: dataset, backbone, sampler and the metric.
        references: name to dataset to metrics; drawn as vertical lines.
        path: where to save the PNG.
    """
    datasets, backbones = sorted(set(cells["dataset"])), sorted(set(cells["backbone"]))
    samplers = sampler_order(cells)
    sns.set_theme(style="whitegrid", context="paper")
    colours = sns.color_palette("colorblind", len(backbones))
    offsets = np.linspace(-0.3, 0.3, len(backbones)) if len(backbones) > 1 else np.zeros(1)
    columns = min(PANEL_COLUMNS, len(datasets))
    rows = -(-len(datasets) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(1.8 + 2.8 * columns, 1.5 + rows * (0.7 + 0.27 * max(3, len(samplers)))),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    summary = cells.groupby(["dataset", "backbone", "sampler"])[HEADLINE].agg(
        ["mean", "min", "max"]
    )
    for axis, dataset in zip(axes.flat, datasets, strict=False):
        for backbone, colour, marker, offset in zip(
            backbones, colours, MARKERS * len(backbones), offsets, strict=False
        ):
            found = summary.reindex([(dataset, backbone, sampler) for sampler in samplers])
            heights = np.arange(len(samplers)) + offset
            axis.hlines(heights, found["min"], found["max"], color=colour, linewidth=1)
            axis.plot(found["mean"], heights, marker, color=colour, markersize=4.5)
        for known, dash in zip(references.values(), DASHES, strict=False):
            if dataset in known:
                axis.axvline(known[dataset][HEADLINE], color="0.35", linestyle=dash, linewidth=1)
        axis.set(title=dataset, xlabel="test NDCG@10", xlim=(0, None))
        axis.locator_params(axis="x", nbins=4)
        axis.set_yticks(range(len(samplers)), samplers)
    axes[0, 0].set_ylim(len(samplers) - 0.5, -0.5)
    for axis in axes.flat[len(datasets) :]:
        axis.remove()
    handles: list[Any] = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=backbone)
        for backbone, colour, marker in zip(
            backbones, colours, MARKERS * len(backbones), strict=False
        )
    ] + [
        Line2D([], [], color="0.35", linestyle=dash, label=name)
        for name, dash in zip(references, DASHES, strict=False)
    ]
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=160)
    plt.close(figure)

"""The plots of a comparison, each as PNG and SVG."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import joblib
import matplotlib
from matplotlib.figure import Figure

from bench.analysis.comparison import Comparison
from bench.analysis.names import file_stem
from bench.reports.plots import buckets, costs, curves, dots, gains, style
from bench.reports.plots.style import Looks, looks_of

__all__ = ["draw", "looks_of"]

MANY = 200
"""Cells; from there on figures are drawn in several processes."""


def draw(comparison: Comparison, folder: Path, looks: Looks | None = None) -> list[Path]:
    """Draw all that a comparison has the numbers for; the same numbers give the same bytes.

    Args:
        comparison: what to draw.
        folder: where to write ``<comparison>.png`` (NDCG@10 of everything) and
            ``<kind>-<comparison>[-<backbone>].png``, and ``.svg`` of each.
        looks: of all samplers of the study, from `looks_of`; of the comparison's by default.

    Returns:
        The files.
    """
    looks = looks_of(comparison.cells["sampler"]) if looks is None else looks
    cells = comparison.cells
    # Other processes take seconds to start: worth it for hundreds of panels only.
    workers = (os.cpu_count() or 1) if len(cells) > MANY else 1
    each = [
        replace(comparison, cells=members) for _, members in cells.groupby("backbone", sort=True)
    ]
    drawn = joblib.Parallel(n_jobs=workers)(
        joblib.delayed(_save)(figures, part, folder, looks)
        for figures, part in [(_of_all, comparison), *((_of_one, part) for part in each)]
    )
    return [path for paths in drawn for path in paths]


Figures = Iterator[tuple[str, Figure]]


def _save(
    figures: Callable[[Comparison, Looks], Figures],
    comparison: Comparison,
    folder: Path,
    looks: Looks,
) -> list[Path]:
    with matplotlib.rc_context(style.STYLE):
        return [
            path
            for stem, figure in figures(comparison, looks)
            for path in style.save(figure, folder / stem)
        ]


def _of_all(comparison: Comparison, looks: Looks) -> Figures:
    """The figures that hold all backbones, each with the name of its file."""
    yield comparison.name, dots.figure_of(comparison)
    over_baseline = gains.figure_of(comparison)
    if over_baseline is not None:
        yield f"gains-{comparison.name.removeprefix('comparison-')}", over_baseline


def _of_one(comparison: Comparison, looks: Looks) -> Figures:
    """The figures of a backbone, each with the name of its file."""
    name = comparison.name.removeprefix("comparison-")
    history = curves.histories(comparison)
    for kind, figures in {
        "costs": costs.figures(comparison, looks),
        "validation": curves.validation(comparison, history, looks),
        "loss": curves.loss(comparison, history, looks),
        "diagnostics": curves.diagnostics(comparison, history, looks),
        "buckets": buckets.figures(comparison, looks),
    }.items():
        for backbone, figure in figures:
            yield file_stem(kind, name, backbone), figure

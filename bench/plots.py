"""The plots of a comparison, each as PNG and SVG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from bench import plot_buckets, plot_costs, plot_curves, plot_dots, plot_gains, plot_style
from bench.comparison import Comparison
from bench.plot_style import Looks, file_stem, looks_of

__all__ = ["draw", "looks_of"]


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
    written: list[Path] = []
    with matplotlib.rc_context(plot_style.STYLE):
        for stem, figure in _figures(comparison, looks):
            written += plot_style.save(figure, folder / stem)
    return written


def _figures(comparison: Comparison, looks: Looks) -> Iterator[tuple[str, Figure]]:
    """Each figure with the name of its file."""
    yield comparison.name, plot_dots.figure_of(comparison)
    name = comparison.name.removeprefix("comparison-")
    gains = plot_gains.figure_of(comparison)
    if gains is not None:
        yield f"gains-{name}", gains
    history = plot_curves.histories(comparison)
    for kind, figures in {
        "costs": plot_costs.figures(comparison, looks),
        "validation": plot_curves.validation(comparison, history, looks),
        "loss": plot_curves.loss(comparison, history, looks),
        "diagnostics": plot_curves.diagnostics(comparison, history, looks),
        "buckets": plot_buckets.figures(comparison, looks),
    }.items():
        for backbone, figure in figures:
            yield file_stem(kind, name, backbone), figure

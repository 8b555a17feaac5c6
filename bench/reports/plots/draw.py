"""The pictures of a comparison."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import joblib
from matplotlib.figure import Figure

from bench.analysis.comparison import Comparison
from bench.analysis.names import file_stem
from bench.metrics import BASELINE
from bench.reports.document import Picture
from bench.reports.plots import buckets, costs, curves, dots, gains, style
from bench.reports.plots.looks import Looks, looks_of
from bench.reports.presentation import Presentation

__all__ = ["draw", "looks_of"]

BY_BUCKET = (
    "by popularity and length; bars are 95 % intervals over test users, and what has fewer than "
    f"{buckets.FEWEST} test predictions is left out"
)

MANY = 200
"""Cells; from there on figures are drawn in several processes."""


def draw(
    comparison: Comparison,
    looks: Looks | None = None,
    presentation: Presentation | None = None,
) -> list[Picture]:
    """Draw all that a comparison has the numbers for; the same numbers give the same bytes.

    Args:
        comparison: what to draw.
        looks: of all samplers of the study, from `looks_of`; of the comparison's by default.
        presentation: how; None as in a study's own report.

    Returns:
        The accuracy of everything, named as the comparison; then the others, which are named
        ``<kind>-<comparison>[-<backbone>]``.
    """
    looks = looks_of(comparison.cells["sampler"]) if looks is None else looks
    cells = comparison.cells
    # Other processes take seconds to start: worth it for hundreds of panels only.
    workers = (os.cpu_count() or 1) if len(cells) > MANY else 1
    each = [
        replace(comparison, cells=members) for _, members in cells.groupby("backbone", sort=True)
    ]
    drawn = joblib.Parallel(n_jobs=workers)(
        joblib.delayed(_pictures)(figures, part, looks, presentation)
        for figures, part in [(_of_all, comparison), *((_of_one, part) for part in each)]
    )
    return [picture for pictures in drawn for picture in pictures]


Figures = Iterator[tuple[str, str, Figure]]
"""The name of each one's files, its caption, and itself."""


def _pictures(
    figures: Callable[[Comparison, Looks], Figures],
    comparison: Comparison,
    looks: Looks,
    presentation: Presentation | None,
) -> list[Picture]:
    with style.presented(presentation):
        return [style.picture(*each) for each in figures(comparison, looks)]


def _of_all(comparison: Comparison, looks: Looks) -> Figures:
    """The figures that hold all backbones."""
    bars = f"test {style.metric()}; bars are 95 % intervals over test users, small dots are seeds"
    yield comparison.name, bars, dots.figure_of(comparison)
    over_baseline = gains.figure_of(comparison)
    if over_baseline is not None:
        name = f"gains-{comparison.name.removeprefix('comparison-')}"
        yield name, f"test {style.metric()} against {BASELINE}, in %", over_baseline


def _of_one(comparison: Comparison, looks: Looks) -> Figures:
    """The figures of a backbone."""
    name = comparison.name.removeprefix("comparison-")
    metric, history = style.metric(), curves.histories(comparison)
    # What a table has is there an expectation over the targets that a user might have had.
    drawn = "; of one target drawn for each user" if comparison.synthetic else ""
    for kind, caption, figures in (
        ("costs", f"test {metric} and cost", costs.figures(comparison, looks)),
        ("validation", f"validation {metric}", curves.validation(comparison, history, looks)),
        ("loss", "training loss", curves.loss(comparison, history, looks)),
        ("diagnostics", "what samplers draw", curves.diagnostics(comparison, history, looks)),
        ("buckets", f"{BY_BUCKET}{drawn}", buckets.figures(comparison, looks)),
    ):
        for backbone, figure in figures:
            yield file_stem(kind, name, backbone), f"{caption}, {backbone}", figure

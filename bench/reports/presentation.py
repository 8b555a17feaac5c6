"""How a camera-ready report looks, and what of a study it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from bench.errors import UserError
from bench.metrics import METRICS
from bench.reports.names import Names

Format = Literal["png", "svg", "pdf"]
Font = Literal["sans", "serif"]
FORMATS: tuple[Format, ...] = get_args(Format)
FONTS: tuple[Font, ...] = get_args(Font)
NARROWEST, WIDEST = 2.5, 12.0
"""Inches of a figure: less has no room for names of 7 points, more is no paper's."""


@dataclass(frozen=True)
class Presentation:
    """What a camera-ready report shows, and how; see `bench.reports.writing.write`.

    Names that are chosen are those of the report's tables; the name of a sampler alone, ``dns+``,
    chooses all settings of it.  Nothing chosen of a kind is all of it.

    Attributes:
        figures: formats of the files of figures.
        width: of every figure, in inches; None for a column's (3.4) or a page's (7), by how much
            there is to draw.  Text has 7 points and more at that width.
        titles: whether figures have titles, which a caption in LaTeX replaces.
        font: of figures.
        samplers, datasets, backbones, objectives: those that are shown and tested.
        metrics: rows of the accuracy tables, ``ndcg@10`` say; figures and tests are of NDCG@10.
        names: what is printed in place of names.
        transpose: whether the accuracy tables have their samplers down where they have them
            across, and across where they have them down.
    """

    figures: Sequence[Format] = ("png", "svg")
    width: float | None = None
    titles: bool = True
    font: Font = "sans"
    samplers: Sequence[str] = ()
    datasets: Sequence[str] = ()
    backbones: Sequence[str] = ()
    objectives: Sequence[str] = ()
    metrics: Sequence[str] = ()
    names: Names = field(default_factory=Names)
    transpose: bool = False

    def __post_init__(self) -> None:
        """
        Raises:
            UserError: a format, font or metric that there is not, or an impossible width.
        """
        _check("--figures", self.figures, FORMATS)
        _check("--font", [self.font], FONTS)
        _check("--metrics", self.metrics, list(METRICS))
        if not self.figures:
            raise UserError(f"--figures: name at least one of {', '.join(FORMATS)}")
        width = self.width
        if width is not None and not (math.isfinite(width) and NARROWEST <= width <= WIDEST):
            raise UserError(
                f"--width {width:g}: expected inches of a figure, {NARROWEST:g} to {WIDEST:g}"
            )

    @property
    def changes_content(self) -> bool:
        """Whether tables show less than all of a study, or show it otherwise."""
        chosen = (self.samplers, self.datasets, self.backbones, self.objectives, self.metrics)
        return any(chosen) or bool(self.names.printed) or self.transpose


def _check(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    """
    Raises:
        UserError: something that is not known.
    """
    if strange := [name for name in given if name not in known]:
        raise UserError(f"{option}: no {', '.join(map(repr, strange))}; known: {', '.join(known)}")

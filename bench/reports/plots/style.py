"""What all plots share: sizes, titles, legends, and files.

Figures are drawn at the size at which they are printed, a column or the full width of a
two-column paper, with text of 6 points and more.  A camera-ready report has them drawn at another
width, in another font, without titles (`presented`).
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import itertools
import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from bench.metrics import HEADLINE
from bench.reports.document import Picture
from bench.reports.plots import fonts
from bench.reports.plots.looks import Looks
from bench.reports.presentation import Font, Format, Presentation

COLUMN, WIDE = 3.4, 7.0
"""Widths of figures in inches: a column of a two-column paper, and both."""

SYNTHETIC = "SYNTHETIC data"
"""What the titles of comparisons on generated data begin with."""

TALLEST = 8.5
"""Inches of a camera-ready figure's panels, which a page has room for with a legend below."""

DPI = 220

STYLE: Any = sns.axes_style("whitegrid") | {
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7.5,
    "axes.titley": 1.0,  # looking for what is in a title's way takes long
    "figure.dpi": DPI,
    "figure.titlesize": 7.5,
    "font.size": 7,
    "grid.linewidth": 0.4,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "text.parse_math": False,  # names may hold dollars
    "svg.hashsalt": "bench",  # or element ids, and with them the files, differ from run to run
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
}
"""Settings of matplotlib that every figure is made and saved under."""

SMALLEST = 7.0
"""Points of the smallest text of a camera-ready figure."""

CAMERA_READY: Any = STYLE | {
    "pdf.fonttype": 42,  # text as text, of fonts that are embedded
    "svg.fonttype": "none",
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
}

FAMILIES: dict[Font, Any] = {
    "sans": {},
    # Like Times, and a part of matplotlib: the same on every machine.
    "serif": {
        "font.family": "serif",
        "font.serif": ["STIXGeneral", "STIX Two Text", "Times New Roman", "DejaVu Serif"],
    },
}

_presentation: contextvars.ContextVar[Presentation | None] = contextvars.ContextVar(
    "presentation", default=None
)


MOST_TICKS = 4
STEPS = (
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)
"""Numbers that ticks may stand at, within a decade; from dense to sparse."""

CHARACTER = 0.056
"""Width in inches of a character of text of 7 points, on average; a little too much."""


@contextlib.contextmanager
def presented(presentation: Presentation | None) -> Iterator[None]:
    """Figures are made and saved so within; None for those of a study's own report."""
    settings = STYLE
    if presentation is not None:
        settings = CAMERA_READY | FAMILIES[presentation.font]
    token = _presentation.set(presentation)
    try:
        with matplotlib.rc_context(settings):
            yield
    finally:
        _presentation.reset(token)


def given_width() -> float | None:
    """Inches that every figure is to be wide; None where each has what it needs."""
    presentation = _presentation.get()
    return None if presentation is None else presentation.width


def points(size: float) -> float:
    """The size of a text, not below what can be read in print."""
    return size if _presentation.get() is None else max(SMALLEST, size)


def printed(name: str) -> str:
    """A text, with names of samplers and others as they are printed."""
    presentation = _presentation.get()
    return name if presentation is None else presentation.names.text(name)


def metric() -> str:
    """What accuracy is, on axes and in captions."""
    return printed(HEADLINE.upper())


def panels(
    titles: Sequence[str], height: float, narrowest: float = 1.6
) -> tuple[Figure, list[Axes]]:
    """A figure of panels: up to two in a column's width, if they find room, more in the full width.

    Args:
        titles: of the panels.
        height: of a panel, in inches.
        narrowest: width of a panel, in inches.
    """
    n = len(titles)
    columns = 2 if n in (2, 4) else min(3, n)
    width = given_width() or (COLUMN if n <= 2 and n * narrowest <= COLUMN else WIDE)
    columns = max(1, min(columns, int(width / narrowest)))
    rows = -(-n // columns)
    if given_width() is not None:
        height = min(height, (TALLEST - 0.9) / rows)
    figure = Figure(figsize=(width, 0.9 + rows * height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[n:]:
        axis.remove()
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(wrapped(printed(title), (figure.get_figwidth() - 0.5) / columns - 0.1))
    return figure, axes[:n]


def set_title(figure: Figure, *parts: str) -> None:
    """Write the parts above the figure, each on lines of its own, wrapped to its width.

    Without titles the figure gets no lower: panels have the room.  That data are synthetic is
    written there in any case.
    """
    presentation = _presentation.get()
    if presentation is not None and not presentation.titles:
        parts = (SYNTHETIC,) if any(part.startswith(SYNTHETIC) for part in parts) else ()
    parts = tuple(map(printed, parts))
    if not parts:
        return
    figure.suptitle("\n".join(wrapped(part, figure.get_figwidth()) for part in parts))


def wrapped(text: str, width: float) -> str:
    """Text in lines that fit into so many inches."""
    return textwrap.fill(text, max(10, int(width / CHARACTER)))


def add_legend(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend below the panels, as low as the width allows; the figure grows by it."""
    width = figure.get_figwidth()
    names = [str(handle.get_label()) for handle in handles]
    layouts = [
        _legend_columns([wrapped(name, share - 0.5) for name in names], width)
        for share in (width, width / 2)
    ]
    columns = min(layouts, key=_legend_lines)
    for handle, label in zip(handles, itertools.chain(*columns), strict=True):
        handle.set_label(label)
    figure.set_figheight(figure.get_figheight() + 0.13 * _legend_lines(columns))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(columns),
        handlelength=2.2,
        columnspacing=1.0,
        labelspacing=0.3,
        borderpad=0.2,
    )


def _legend_columns(labels: Sequence[str], width: float) -> list[list[str]]:
    """Labels in as many columns as fit, filled as matplotlib does: the first ones longer by one."""
    for count in range(len(labels), 0, -1):
        columns = [part.tolist() for part in np.array_split(labels, count)]
        lines = [max(len(x) for label in column for x in label.split("\n")) for column in columns]
        if sum(0.47 + CHARACTER * length for length in lines) <= width:
            return columns
    return columns  # one, which cannot be made narrower


def _legend_lines(columns: Sequence[Sequence[str]]) -> int:
    """Lines of text in the highest column."""
    return max(sum(label.count("\n") + 1 for label in column) for column in columns)


def sampler_handles(looks: Looks, samplers: Iterable[str], lines: bool) -> list[Line2D]:
    """What a legend says of samplers, drawn as lines or as points."""
    changed = {} if lines else {"linestyle": "none"}
    return [Line2D([], [], label=printed(name), **looks[name].line | changed) for name in samplers]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, as many as have room."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in STEPS:
        ticks = [10.0**d * step for d in decades for step in steps if low <= 10.0**d * step <= high]
        if len(ticks) <= MOST_TICKS:
            return ticks
    return ticks[:: -(-len(ticks) // MOST_TICKS)]


def log_axis(axis: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """Make an axis logarithmic between two positive numbers, with a few round ones named."""
    its: Axis = getattr(axis, f"{which}axis")
    axis.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    its.set_major_locator(FixedLocator(log_ticks(low, high)))
    its.set_minor_locator(NullLocator())
    its.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def lay_out(figure: Figure) -> None:
    """Place everything, once and for all: neither PNG nor SVG does it again."""
    fonts.choose(figure)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def rendered(figure: Figure) -> dict[Format, bytes]:
    """The figure in the formats that are asked for, the same bytes for the same figure."""
    presentation = _presentation.get()
    lay_out(figure)
    return {each: _saved(figure, each) for each in (presentation or Presentation()).figures}


def _saved(figure: Figure, file: Format) -> bytes:
    content = io.BytesIO()
    without = {"png": "Software", "svg": "Date", "pdf": "CreationDate"}[file]
    figure.savefig(content, format=file, dpi=DPI, metadata={without: None})
    return _shrunk(content) if file == "png" else content.getvalue()


def picture(name: str, caption: str, figure: Figure) -> Picture:
    """The figure as a part of a report; see `Picture`."""
    return Picture(name, caption, **rendered(figure))


def save(figure: Figure, path: Path) -> list[Path]:
    """Save as PNG and SVG; ``path`` has no suffix."""
    files = {path.with_name(f"{path.name}.{it}"): its for it, its in rendered(figure).items()}
    for file, content in files.items():
        file.write_bytes(content)
    return list(files)


def _shrunk(png: io.BytesIO) -> bytes:
    """A PNG with its 256 most telling colours: a third of the bytes, and one sees no difference."""
    small = io.BytesIO()
    with Image.open(png) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(small, format="PNG", optimize=True, dpi=image.info["dpi"])
    return small.getvalue()

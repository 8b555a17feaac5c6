"""The options of ``python -m bench.report STUDY``."""

from __future__ import annotations

import argparse
import typing
from pathlib import Path

from bench.analysis import PostHoc
from bench.metrics import METRICS
from bench.reports.names import Names, read_names
from bench.reports.presentation import FONTS, FORMATS, NARROWEST, WIDEST, Presentation
from bench.terminal import tell

if typing.TYPE_CHECKING:
    from bench.studies.store import Store

CAMERA_READY = """Any of these makes a camera-ready report in a folder of its own, --out: tables and
figures without a page.  The study's own report stays as it is, and neither kind is ever written
over the other."""
CHOSEN = """Of a camera-ready report.  Tests, marks and verdicts are of what is shown, and Holm's
correction is for the comparisons among these systems; the report says so."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """All of them, in groups."""
    parser.add_argument("study", nargs="?", default="quick", help="default: quick")
    parser.add_argument(
        "--post-hoc",
        choices=typing.get_args(PostHoc),
        default="wilcoxon",
        help="pairs of samplers over datasets and backbones (default: wilcoxon, Holm-corrected)",
    )
    parser.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    _add_looks(parser.add_argument_group("camera-ready", CAMERA_READY))
    _add_chosen(parser.add_argument_group("what it shows", CHOSEN))


def presentation_of(options: argparse.Namespace) -> Presentation | None:
    """What was asked for of a camera-ready report; None where nothing was.

    Raises:
        UserError: see `Presentation` and `read_names`.
    """
    usual = Presentation()
    asked = Presentation(
        figures=tuple(dict.fromkeys(options.figures or usual.figures)),
        width=options.width,
        titles=not options.no_titles,
        font=options.font or usual.font,
        samplers=tuple(options.samplers),
        datasets=tuple(options.datasets),
        backbones=tuple(options.backbones),
        objectives=tuple(options.objectives),
        metrics=tuple(options.metrics),
        names=Names() if options.names is None else read_names(options.names),
        transpose=options.transpose,
    )
    given = options.out or options.figures or options.font or options.names
    return None if asked == usual and not given else asked


def _add_looks(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--out", type=Path, metavar="DIR", help="default: REPORTS/STUDY-camera")
    add(
        "--figures",
        nargs="+",
        choices=FORMATS,
        metavar="FORMAT",
        help=f"any of {', '.join(FORMATS)} (default: png svg); text stays text in SVG and PDF",
    )
    add(
        "--width",
        type=float,
        metavar="INCHES",
        help=f"of every figure, {NARROWEST:g} to {WIDEST:g}; no text is below 7 points at that "
        "width (default: 3.4 or 7, by how much there is to draw)",
    )
    add("--no-titles", action="store_true", help="figures without titles above them")
    add("--font", choices=FONTS, help="of figures (default: sans)")


def _add_chosen(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    for kind, more in (
        ("samplers", "as tables name them; a name alone is all settings of it"),
        ("datasets", "as tables name them"),
        ("backbones", "as tables name them"),
        ("objectives", "losses, of which each has tables and figures of its own"),
    ):
        add(f"--{kind}", nargs="+", default=[], metavar="NAME", help=f"{more} (default: all)")
    add(
        "--metrics",
        nargs="+",
        default=[],
        choices=list(METRICS),
        metavar="NAME",
        help=f"rows of accuracy tables, of {', '.join(METRICS)} (default: all); figures and tests "
        "are of ndcg@10 whatever is chosen",
    )
    add(
        "--names",
        type=Path,
        metavar="FILE",
        help="what is printed in place of names: TOML with tables [samplers], [datasets], "
        '[backbones] and [metrics], of lines "dns+" = "DNS+", which LaTeX has escaped, or '
        '"dns+" = {text = "DNS+", latex = "DNS$^+$"}, which it has as it is; CSV files keep names',
    )
    add("--transpose", action="store_true", help="turn the tables of accuracy by their diagonal")


def warn_of_unreadable(store: Store) -> None:
    """Say which cells a report leaves out."""
    if left_out := store.unreadable():
        tell(
            f"warning: {len(left_out)} cells of {store.root} cannot be read and are left out "
            f"({left_out[0]}, ...); the command that trained them redoes what is damaged",
            error=True,
        )

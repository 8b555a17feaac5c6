"""A study's report on disk: tables as Markdown, LaTeX and CSV, pictures, and a page of it all."""

from __future__ import annotations

from pathlib import Path

from bench.analysis import PostHoc
from bench.analysis.comparison import SYSTEM
from bench.metrics import METRICS
from bench.reports import manifest, page
from bench.reports.closing import closing
from bench.reports.document import Document
from bench.reports.manifest import Kind
from bench.reports.names import Names
from bench.reports.presentation import Presentation
from bench.reports.render_latex import latex
from bench.reports.render_markdown import markdown
from bench.reports.study_report import StudyReport, study_report
from bench.studies.spreadsheet import csv_of

DIGITS = "%.10g"
"""Of computed numbers in CSV files: processors add up in other orders, and differ after these."""


def write(
    study: Path,
    folder: Path,
    post_hoc: PostHoc = "wilcoxon",
    presentation: Presentation | None = None,
) -> list[Path]:
    """Write tables (Markdown, CSV, LaTeX), plots and a page of a study, and how it was tuned.

    What an earlier report wrote there and this one does not is removed; other files stay.  A
    camera-ready report has tables and plots alone, and never takes the place of another kind of
    report, nor of files that no report wrote.

    Args:
        study: ``results/<study>``.
        folder: where to write.
        post_hoc: how pairs of samplers are tested over datasets and backbones.
        presentation: of a camera-ready report; None for the study's own.

    Returns:
        The files.

    Raises:
        UserError: no finished cell, nothing that was chosen, or the folder cannot be written.
    """
    report = study_report(study, post_hoc, presentation)
    return manifest.put(folder, files_of(report, presentation), _kind(presentation))


def write_and_close(
    study: Path,
    folder: Path,
    post_hoc: PostHoc = "wilcoxon",
    presentation: Presentation | None = None,
) -> list[str]:
    """`write`, and what a command prints after it."""
    report = study_report(study, post_hoc, presentation)
    manifest.put(folder, files_of(report, presentation), _kind(presentation))
    where = folder / manifest.PAGE if presentation is None else folder
    names = Names() if presentation is None else presentation.names
    lines = list(closing(report, where, names))
    if presentation is not None and (unused := _unused(report, names)):
        lines.append(f"--names: nothing that is shown is called {', '.join(unused)}.")
    return lines


def folder_of(
    study: str, presentation: Presentation | None, reports: Path = Path("reports")
) -> Path:
    """Where a study's report goes unless said otherwise.

    Args:
        study: its name.
        presentation: see `write`.
        reports: directory of all reports.
    """
    return reports / (study if presentation is None else f"{study}-camera")


def files_of(report: StudyReport, presentation: Presentation | None = None) -> dict[str, bytes]:
    """Name to content of all files of a report; the page, which a study's own has, is the last."""
    names = Names() if presentation is None else presentation.names
    files: dict[str, bytes] = {}
    for document in report.documents():
        files |= document_files(document, names)
    for each in report.compared:
        for picture in each.pictures:
            files |= picture.files
    if presentation is not None:
        return files
    return files | {manifest.PAGE: page.html(report, sorted(files)).encode()}


def document_files(document: Document, names: Names | None = None) -> dict[str, bytes]:
    """Name to content of a document's renderings, as far as it has any, and of its pictures.

    Args:
        document: with names as they are printed.
        names: what LaTeX prints otherwise is theirs.
    """
    tex = latex(document, names and names.in_latex)
    texts = {".md": markdown(document), ".tex": tex, ".csv": _csv(document)}
    files = {f"{document.name}{suffix}": text.encode() for suffix, text in texts.items() if text}
    for picture in document.pictures:
        files |= picture.files
    return files


def _unused(report: StudyReport, names: Names) -> list[str]:
    """The names that nothing in a report has."""
    shown = [each.comparison.cells[[*SYSTEM]] for each in report.compared]
    known = {str(name) for cells in shown for name in cells.to_numpy().ravel()}
    return names.unused([*known, *METRICS, *METRICS.values(), *map(str.upper, METRICS)])


def _kind(presentation: Presentation | None) -> Kind:
    return "study" if presentation is None else "camera-ready"


def _csv(document: Document) -> str:
    """The document's data; empty where it has none."""
    if document.data is None:
        return ""
    digits = DIGITS if document.computed else None
    return csv_of(document.data, float_format=digits)

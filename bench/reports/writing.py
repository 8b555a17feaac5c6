"""A study's report on disk: tables as Markdown, LaTeX and CSV, pictures, and a page of it all."""

from __future__ import annotations

from pathlib import Path

from bench.analysis import PostHoc
from bench.reports import manifest, page
from bench.reports.closing import closing
from bench.reports.document import Document, Picture
from bench.reports.render_latex import latex
from bench.reports.render_markdown import markdown
from bench.reports.study_report import StudyReport, study_report
from bench.studies.spreadsheet import csv_of

DIGITS = "%.10g"
"""Of computed numbers in CSV files: processors add up in other orders, and differ after these."""


def write(study: Path, folder: Path, post_hoc: PostHoc = "wilcoxon") -> list[Path]:
    """Write tables (Markdown, CSV, LaTeX), plots and a page of a study, and how it was tuned.

    What an earlier report wrote there and this one does not is removed; other files stay.

    Args:
        study: ``results/<study>``.
        folder: where to write.
        post_hoc: how pairs of samplers are tested over datasets and backbones.

    Returns:
        The files.

    Raises:
        UserError: no finished cell, or the folder cannot be written.
    """
    return manifest.put(folder, files_of(study_report(study, post_hoc)))


def write_and_close(study: Path, folder: Path, post_hoc: PostHoc = "wilcoxon") -> list[str]:
    """`write`, and what a command prints after it."""
    report = study_report(study, post_hoc)
    manifest.put(folder, files_of(report))
    return list(closing(report, folder))


def files_of(report: StudyReport) -> dict[str, bytes]:
    """Name to content of all files of a report, the page last."""
    files: dict[str, bytes] = {}
    for document in report.documents():
        files |= document_files(document)
    for each in report.compared:
        for picture in each.pictures:
            files |= _picture_files(picture)
    return files | {manifest.PAGE: page.html(report, sorted(files)).encode()}


def document_files(document: Document) -> dict[str, bytes]:
    """Name to content of a document's renderings, as far as it has any, and of its pictures."""
    texts = {".md": markdown(document), ".tex": latex(document), ".csv": _csv(document)}
    files = {f"{document.name}{suffix}": text.encode() for suffix, text in texts.items() if text}
    for picture in document.pictures:
        files |= _picture_files(picture)
    return files


def _picture_files(picture: Picture) -> dict[str, bytes]:
    return {f"{picture.name}.png": picture.png, f"{picture.name}.svg": picture.svg}


def _csv(document: Document) -> str:
    """The document's data; empty where it has none."""
    if document.data is None:
        return ""
    digits = DIGITS if document.computed else None
    return csv_of(document.data, float_format=digits)

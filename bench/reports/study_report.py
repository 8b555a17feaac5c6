"""All that is reported on a study, as documents and pictures; nothing is written yet."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.analysis import PostHoc
from bench.analysis.chosen import as_chosen
from bench.analysis.comparison import Comparison, comparisons
from bench.analysis.contributions import margins_over_users
from bench.metrics import METRICS
from bench.reports import (
    budget,
    comparison_report,
    paper_tables,
    selection,
    significance,
    tuning,
)
from bench.reports.document import Document, Paragraph, Part, Picture, Table
from bench.reports.plots import draw
from bench.reports.plots.looks import Looks, apart
from bench.reports.presentation import Presentation
from bench.reports.renaming import renamed
from bench.reports.tables import turned
from bench.studies.store import Store
from bench.studies.tuning import reported


@dataclass(frozen=True)
class Compared:
    """What is reported on a comparison.

    Attributes:
        comparison: itself.
        document: its numbers.
        significance: which of its differences are more than chance; None where there is no pair.
        pictures: those that are not in the documents.
    """

    comparison: Comparison
    document: Document
    significance: Document | None = None
    pictures: list[Picture] = field(default_factory=list)

    @property
    def documents(self) -> list[Document]:
        return [self.document, *([] if self.significance is None else [self.significance])]


@dataclass(frozen=True)
class StudyReport:
    """What is reported on a study.

    Attributes:
        store: the study.
        compared: a comparison each.
        paper: the paper's tables that it has cells for.
        tuned: how it was tuned, if it was.
        budget: how its finalists were found, if it was given a budget.
        across: of a study of several losses, the tests of all samplers, each with the loss and the
            settings that validation chooses.
    """

    store: Store
    compared: list[Compared]
    paper: list[Document] = field(default_factory=list)
    tuned: list[Document] = field(default_factory=list)
    budget: list[Document] = field(default_factory=list)
    across: list[Document] = field(default_factory=list)

    def documents(self) -> Iterator[Document]:
        for each in self.compared:
            yield from each.documents
        yield from (*self.across, *self.paper, *self.tuned, *self.budget)


def study_report(
    study: Path, post_hoc: PostHoc = "wilcoxon", presentation: Presentation | None = None
) -> StudyReport:
    """Run all tests, draw all figures and say all there is to say.

    Args:
        study: ``results/<study>``.
        post_hoc: how pairs of samplers are tested over datasets and backbones.
        presentation: of a camera-ready report; None for all there is to say.

    Raises:
        UserError: no finished cell, or what the study keeps cannot be read.
    """
    store = Store(study)
    found = comparisons(store)
    looks = draw.looks_of(name for each in found for name in each.cells["sampler"])
    if presentation is not None:
        compared = [*_camera_ready(found, looks, post_hoc, presentation)]
        whole = not presentation.changes_content
        return StudyReport(store, compared, _of_the_paper(store) if whole else [])
    compared = []
    for comparison in found:
        first, *others = draw.draw(comparison, looks)
        document = comparison_report.document(comparison, first)
        tests = significance.document(comparison, post_hoc)
        compared.append(Compared(comparison, document, tests, others))
    documents = tuning.documents(study), budget.documents(study)
    tested = (significance.of_all(each, post_hoc) for each in as_chosen(store))
    across = [each for each in tested if each is not None]
    return StudyReport(store, compared, _of_the_paper(store), *documents, across)


def _of_the_paper(store: Store) -> list[Document]:
    """The paper's tables that a study has cells for."""
    margins = functools.partial(margins_over_users, store)
    return [table.document() for table in paper_tables.fill(reported(store), margins)]


def _camera_ready(
    found: Sequence[Comparison], looks: Looks, post_hoc: PostHoc, presentation: Presentation
) -> Iterator[Compared]:
    """What is chosen of a study's comparisons, drawn and written as it is asked for."""
    metrics = presentation.metrics or tuple(METRICS)
    whole = {each.name: each for each in found}
    chosen = selection.chosen(found, presentation)
    looks = apart(looks, (name for each in chosen for name in each.cells["sampler"]))
    for comparison in chosen:
        names = presentation.names.keeping(comparison.references)
        its = replace(presentation, names=names)
        first, *others = draw.draw(comparison, looks, its)
        documents = [
            comparison_report.document(comparison, first, metrics),
            significance.document(comparison, post_hoc, its),
        ]
        said = selection.on_chosen(whole[comparison.name], comparison)
        document, tests = (each and _presented(each, its, said) for each in documents)
        assert document is not None
        yield Compared(comparison, document, tests, others)


def _presented(document: Document, presentation: Presentation, said: str) -> Document:
    """A document with names as they are printed, tables turned if they are to be, and what has to
    be said of its tests in front and below the tables that stand by themselves."""
    parts: list[Part] = [Paragraph(said)] if said else []
    for part in document.parts:
        if isinstance(part, Table):
            printed = part.printed
            if printed is not None and said:
                part = replace(part, printed=replace(printed, notes=[*printed.notes, said]))
            part = turned(part) if presentation.transpose else part
        parts.append(part)
    return renamed(replace(document, parts=parts), presentation.names)

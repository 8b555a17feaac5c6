"""All that is reported on a study, as documents and pictures; nothing is written yet."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.analysis import PostHoc
from bench.analysis.comparison import Comparison, comparisons
from bench.analysis.contributions import margins_over_users
from bench.reports import budget, comparison_report, paper_tables, significance, tuning
from bench.reports.document import Document, Picture
from bench.reports.plots import draw
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
    """

    store: Store
    compared: list[Compared]
    paper: list[Document] = field(default_factory=list)
    tuned: list[Document] = field(default_factory=list)
    budget: list[Document] = field(default_factory=list)

    def documents(self) -> Iterator[Document]:
        for each in self.compared:
            yield from each.documents
        yield from (*self.paper, *self.tuned, *self.budget)


def study_report(study: Path, post_hoc: PostHoc = "wilcoxon") -> StudyReport:
    """Run all tests, draw all figures and say all there is to say.

    Args:
        study: ``results/<study>``.
        post_hoc: how pairs of samplers are tested over datasets and backbones.

    Raises:
        UserError: no finished cell, or what the study keeps cannot be read.
    """
    store = Store(study)
    found = comparisons(store)
    looks = draw.looks_of(name for each in found for name in each.cells["sampler"])
    compared = []
    for comparison in found:
        first, *others = draw.draw(comparison, looks)
        document = comparison_report.document(comparison, first)
        tests = significance.document(comparison, post_hoc)
        compared.append(Compared(comparison, document, tests, others))
    margins = functools.partial(margins_over_users, store)
    paper = [table.document() for table in paper_tables.fill(reported(store), margins)]
    documents = tuning.documents(study), budget.documents(study)
    return StudyReport(store, compared, paper, *documents)

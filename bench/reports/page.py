"""A study on one page, complete in itself (see `bench.reports.render_html`).

Whatever a study says (names of datasets and samplers, notes, tracebacks) is text.  Equal results
make equal pages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from bench.reports import configuration, reproduce, summary
from bench.reports.alt_texts import Described, described
from bench.reports.document import Table
from bench.reports.facets import Facets, about, objective_of
from bench.reports.render_html import rendered
from bench.reports.study_report import Compared, StudyReport
from bench.studies import tuning
from bench.studies.store import Store

MAX_TRACEBACK = 2**18
"""Characters of a failure's file that are shown."""


@dataclass(frozen=True)
class Section:
    """A comparison as the template shows it: what its documents say, and what only pages do."""

    compared: Compared
    about: str
    overview: list[str]
    by_dataset: list[tuple[str, list[str]]]
    warnings: list[str]
    sizes: Table
    configuration: list[Table]


@dataclass(frozen=True)
class Failure:
    """A cell that failed: its label, the last line of its traceback, all of it."""

    label: str
    reason: str
    traceback: str


def html(report: StudyReport, files: Sequence[str]) -> str:
    """The page.

    Args:
        report: what it says.
        files: names of what else the report writes, for links.
    """
    store = report.store
    found: dict[str, Described] = {}
    for each in report.compared:
        found |= described(each.comparison, each.significance)
    return rendered(
        "page.html",
        Facets.of([each.comparison for each in report.compared]),
        found,
        study=store.root.name,
        sections=[_section(each) for each in report.compared],
        all_synthetic=all(each.document.synthetic for each in report.compared),
        tuned=report.tuned,
        budget=report.budget,
        across=report.across,
        environment=configuration.environment(tuning.reported(store)),
        failures=_failures(store),
        commands=reproduce.commands(store),
        report=reproduce.report_line(store),
        links=[(name, f"./{quote(name)}") for name in files],
    )


def _section(compared: Compared) -> Section:
    comparison = compared.comparison
    records = configuration.records_of(comparison)
    return Section(
        compared=compared,
        about=about(("objective", objective_of(comparison))),
        overview=[*compared.document.verdict, *summary.overview(comparison)],
        by_dataset=list(summary.by_dataset(comparison)),
        warnings=[*compared.document.warnings, *summary.warnings(comparison)],
        sizes=configuration.sizes(comparison, records),
        configuration=[
            configuration.protocol(records.values()),
            configuration.settings(records.values()),
        ],
    )


def _failures(store: Store) -> list[Failure]:
    found = []
    for path in store.failures().values():
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_TRACEBACK)
        label, _, rest = text.partition("\n")
        traceback = _without_folders(rest.partition("\n\n")[2].strip() or rest.strip())
        reason = traceback.splitlines()[-1] if traceback else "no reason was kept"
        found.append(Failure(label, reason, traceback))
    return found


def _without_folders(text: str) -> str:
    """A traceback as it reads on any machine: of absolute paths the last two parts."""
    return re.sub(r'(?<![\w.:/])/(?:[^/\s"\']+/)*([^/\s"\']+/[^/\s"\']+)', "…/\\1", text)

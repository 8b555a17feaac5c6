"""A study on one page, complete in itself.

The page asks for nothing over the network, and its Content-Security-Policy forbids it to: pictures
are embedded, style and script are part of it.  Whatever a study says (names of datasets and
samplers, notes, tracebacks) is text, escaped by the template.  Equal results make equal pages.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from bench.reports import configuration, reproduce, summary
from bench.reports.document import (
    Bullets,
    Code,
    Document,
    Emphasis,
    Heading,
    Paragraph,
    Part,
    Picture,
    Table,
    pieces,
)
from bench.reports.study_report import Compared, StudyReport
from bench.reports.tables import after
from bench.studies import tuning
from bench.studies.store import Store

TEMPLATES = Path(__file__).parent / "templates"
MAX_TRACEBACK = 2**18
"""Characters of a failure's file that are shown."""

KINDS = {
    "heading": Heading,
    "paragraph": Paragraph,
    "bullets": Bullets,
    "table": Table,
    "picture": Picture,
    "code": Code,
    "emphasis": Emphasis,
}
"""What the template asks of a part or of a piece of text."""


@dataclass(frozen=True)
class Section:
    """A comparison as the template shows it: what its documents say, and what only pages do."""

    compared: Compared
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
    return rendered(
        "page.html",
        study=store.root.name,
        sections=[_section(each) for each in report.compared],
        all_synthetic=all(each.document.synthetic for each in report.compared),
        tuned=report.tuned,
        budget=report.budget,
        environment=configuration.environment(tuning.reported(store)),
        failures=_failures(store),
        commands=reproduce.commands(store),
        report=reproduce.report_line(store),
        links=[(name, f"./{quote(name)}") for name in files],
    )


def rendered(template: str, **shown: Any) -> str:
    """A page of a template, with style, script and policy."""
    style, script = (
        (TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    return (
        _environment()
        .get_template(template)
        .render(style=Markup(style), script=Markup(script), policy=_policy(style, script), **shown)
    )


def _environment() -> jinja2.Environment:
    """Templates in which all is escaped, with tests for the kinds of parts."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name, kind in KINDS.items():
        jinja.tests[name] = lambda part, kind=kind: isinstance(part, kind)
    jinja.filters |= {
        "pieces": pieces,
        "after": after,
        "opening": _opening,
        "details": lambda document: document.parts[len(_opening(document)) :],
        "embedded": lambda content: base64.b64encode(content).decode(),
    }
    return jinja


def _policy(style: str, script: str) -> str:
    """No network, and no style or script but the page's own."""
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; "
        f"script-src 'sha256-{digests[1]}'; base-uri 'none'; form-action 'none'"
    )


def _section(compared: Compared) -> Section:
    comparison = compared.comparison
    records = configuration.records_of(comparison)
    return Section(
        compared=compared,
        overview=[*compared.document.verdict, *summary.overview(comparison)],
        by_dataset=list(summary.by_dataset(comparison)),
        warnings=summary.warnings(comparison),
        sizes=configuration.sizes(comparison, records),
        configuration=[
            configuration.protocol(records.values()),
            configuration.settings(records.values()),
        ],
    )


def _opening(document: Document) -> Sequence[Part]:
    """What comes before the first heading."""
    for place, part in enumerate(document.parts):
        if isinstance(part, Heading):
            return document.parts[:place]
    return document.parts


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

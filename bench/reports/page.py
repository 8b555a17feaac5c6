"""A study on one page: ``index.html`` beside its tables and plots, complete in itself.

The page asks for nothing over the network, and its Content-Security-Policy forbids it to: pictures
are embedded, style and script are part of it.  Whatever a study says (names of datasets and
samplers, notes, tracebacks) is text, escaped by the template.  Equal results make equal pages.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import jinja2
import markdown_it
import pandas as pd
from markdown_it.token import Token
from markupsafe import Markup

from bench.analysis.comparison import CHOICE, CHOICES, CHOICES_NOTE, SYSTEM, Comparison
from bench.json_shape import as_text
from bench.metrics import HEADLINE, METRICS
from bench.reports import reproduce, summary
from bench.reports.tables import places
from bench.studies import tuning
from bench.studies.records import Record
from bench.studies.store import Store

NAME = "index.html"
TEMPLATES = Path(__file__).parent / "templates"
MISSING = "–"
MAX_TRACEBACK = 2**18
"""Characters of a failure's file that are shown."""

COSTS = {
    "targets_per_s": ("targets/s", "{:,.0f}"),
    "train_s_to_best": ("s to best epoch", "{:,.1f}"),
    "cpu_s_to_best": ("CPU s to best epoch", "{:,.1f}"),
    "peak_mb": ("peak memory, MB", "{:,.0f}"),
    "models": ("models", "{:.0f}"),
    HEADLINE: (METRICS[HEADLINE], "{:.4f}"),
    "wall_s": ("s in all", "{:,.1f}"),
    "cpu_s": ("CPU s in all", "{:,.1f}"),
    "per_minute": (f"{METRICS[HEADLINE]} per min", "{:,.4f}"),
}
"""Of the cost table: column of cells to its header and format."""


@dataclass(frozen=True)
class Value:
    """A table's cell: what is shown, what it is sorted by when that is a number, how it looks.

    Attributes:
        mark: classes of the style sheet.
        after: shown behind the text, and never marked.
    """

    text: str
    number: float | None = None
    mark: str = ""
    after: str = ""


@dataclass(frozen=True)
class Table:
    """A table; its first ``n_text`` columns are text, the others numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Value]]
    n_text: int


@dataclass(frozen=True)
class Picture:
    """An embedded PNG."""

    caption: str
    source: str


@dataclass(frozen=True)
class Section:
    """A comparison as the template shows it."""

    name: str
    title: str
    synthetic: bool
    overview: list[str]
    winners: list[tuple[str, list[str]]]
    warnings: list[str]
    remarks: list[str]
    accuracy: list[Table]
    peers: Table
    choices: Table
    costs: list[Table]
    costs_note: str
    data: Table
    notes: list[tuple[str, list[str]]]
    protocol: Table
    settings: Table
    texts: list[tuple[Markup, Markup]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """A cell that failed: its label, the last line of its traceback, all of it."""

    label: str
    reason: str
    traceback: str


def write(
    study: Path, folder: Path, comparisons: Sequence[Comparison], files: Sequence[Path]
) -> Path:
    """Write ``index.html``.

    Args:
        study: ``results/<study>``.
        folder: where to write; it exists.
        comparisons: of the study.
        files: what else the report has written there, to be embedded or linked to.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    store = Store(study)
    sections = {comparison.name: _section(comparison) for comparison in comparisons}
    captions = _captions(files)
    pictures: list[Picture] = []
    texts: list[tuple[Markup, Markup]] = []
    for path in files:
        section = sections.get(_owner(path, list(sections)) or "")
        if path.suffix == ".png":
            synthetic = section is not None and section.synthetic
            picture = _picture(path, captions.get(path.name), synthetic)
            (pictures if section is None else section.pictures).append(picture)
        elif path.suffix == ".md" and path.name.startswith("significance"):
            text = _folded(rendered(path.read_text(encoding="utf-8")))
            (texts if section is None else section.texts).append(text)
    tuned = [
        rendered(path.read_text(encoding="utf-8"))
        for path in files
        if path.suffix == ".md" and path.name.startswith("tuning")
    ]
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((TEMPLATES / name).read_text() for name in ("page.css", "page.js"))
    html = jinja.get_template("page.html").render(
        study=study.name,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        sections=list(sections.values()),
        choices_note=CHOICES_NOTE,
        all_synthetic=all(section.synthetic for section in sections.values()),
        pictures=pictures,
        texts=texts,
        tuned=tuned,
        environment=_environment(store),
        failures=_failures(store),
        commands=reproduce.commands(store),
        report=reproduce.report_line(store),
        links=[(path.name, f"./{quote(path.name)}") for path in files],
    )
    path = folder / NAME
    path.write_text(html, encoding="utf-8")
    return path


def linked(folder: Path) -> set[Path]:
    """Files of a folder that the page in it links to: what the report that wrote it wrote."""
    path = folder / NAME
    if not path.is_file():
        return set()
    targets = re.findall(r'href="\./([^"/]+)"', path.read_text(encoding="utf-8"))
    files = {folder / Path(unquote(target)).name for target in targets}
    return {file for file in files if file.is_file()}


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


def _section(comparison: Comparison) -> Section:
    cells = comparison.cells
    records = {key: comparison.store.load(key) for key in cells["key"]}
    protocol = next(iter(records.values())).cell.protocol
    return Section(
        name=comparison.name,
        title=comparison.title,
        synthetic=bool(cells["synthetic"].all()),
        overview=summary.overview(comparison),
        winners=list(summary.winners(comparison)),
        warnings=summary.warnings(comparison),
        remarks=summary.remarks(comparison),
        accuracy=[_accuracy(comparison, name, table) for name, table in comparison.backbones()],
        peers=_peers(comparison),
        choices=_choices(comparison),
        costs=[_costs(comparison, name) for name, _ in comparison.backbones()],
        costs_note=comparison.costs_note,
        data=_data(comparison, records),
        notes=sorted(comparison.notes.items()),
        protocol=Table(
            "Protocol",
            ["setting", "value"],
            [[Value(name), Value(_shown(value))] for name, value in asdict(protocol).items()],
            n_text=2,
        ),
        settings=_settings(cells, records),
    )


def _accuracy(comparison: Comparison, backbone: str, table: pd.DataFrame) -> Table:
    n_samplers = len(table.columns) - len(comparison.references)
    stored = {shown: name for name, shown in METRICS.items()}
    margins = comparison.margins(backbone).to_numpy().tolist()
    rows = []
    for (dataset, metric), numbers, halves in zip(
        table.index, table.to_numpy().tolist(), margins, strict=True
    ):
        values = [_number(number, "{:.4f}") for number in numbers]
        below = comparison.below_best[stored[metric]].get((dataset, backbone), set())
        marks: list[str] = [*places([value.text for value in values[:n_samplers]], MISSING)]
        marks += ["reference"] * len(comparison.references)
        marked = [
            Value(
                value.text,
                value.number,
                " ".join(filter(None, (value.mark, mark))),
                ("" if mark == "reference" or math.isnan(half) else f" ± {half:.4f}")
                + (" †" if name in below else ""),
            )
            for name, value, mark, half in zip(table.columns, values, marks, halves, strict=True)
        ]
        rows.append([Value(dataset), Value(metric), *marked])
    caption = _caption(comparison, f"Backbone {backbone}")
    return Table(caption, ["dataset", "metric", *table.columns], rows, n_text=2)


def _peers(comparison: Comparison) -> Table:
    """Of systems that train two models, which of them one would use; no row where none does."""
    means = comparison.peers()
    rows = [
        [*map(Value, key), *(_number(value, "{:.4f}") for value in values)]
        for key, values in zip(means.index, means.to_numpy().tolist(), strict=True)
    ]
    caption = _caption(comparison, METRICS[HEADLINE])
    return Table(caption, [*SYSTEM, "self", "peer", "ensemble"], rows, n_text=3)


def _choices(comparison: Comparison) -> Table:
    """What validation would choose of several settings; no row where there is no choice."""
    found = comparison.choices()
    patterns = ["{:.0f}"] * 2 + ["{:.4f}"] * 4
    rows = [
        [*map(Value, (*key, *row[:2])), *map(_number, row[2:], patterns)]
        for key, row in zip(found.index, found.itertuples(index=False), strict=True)
    ]
    header = [*CHOICE, *CHOICES]
    return Table(_caption(comparison, "Several settings"), header, rows, n_text=5)


def _caption(comparison: Comparison, text: str) -> str:
    """A caption that still says so when a table of synthetic data is cut out of the page."""
    return f"{text}, SYNTHETIC data" if comparison.cells["synthetic"].all() else text


def _costs(comparison: Comparison, backbone: str) -> Table:
    """A row a dataset and sampler."""
    costs = comparison.costs()
    means = costs[costs.index.get_level_values("backbone") == backbone].droplevel("backbone")
    rows = [
        [*map(Value, key), *(_number(row[name], pattern) for name, (_, pattern) in COSTS.items())]
        for key, row in zip(means.index, means.to_dict("records"), strict=True)
    ]
    header = ["dataset", "sampler", *(title for title, _ in COSTS.values())]
    return Table(_caption(comparison, f"Backbone {backbone}"), header, rows, n_text=2)


def _data(comparison: Comparison, records: Mapping[str, Record]) -> Table:
    sizes = ["users", "items", "interactions", "train_targets", "valid_users", "test_users",
             "test_targets"]  # fmt: skip
    rows = {}
    for key, dataset in zip(comparison.cells["key"], comparison.cells["dataset"], strict=True):
        data = records[key].data
        numbers = [_number(data.get(name), "{:,.0f}") for name in sizes]
        rows[dataset] = [Value(dataset), *numbers]
    header = ["dataset", *(name.replace("_", " ") for name in sizes)]
    return Table(_caption(comparison, "Sizes"), header, list(rows.values()), n_text=1)


def _settings(cells: pd.DataFrame, records: Mapping[str, Record]) -> Table:
    """A row a component and the settings that it was run with."""
    counts: dict[tuple[str, str, str], int] = {}
    for key in cells["key"]:
        for kind, part in records[key].cell.parts.items():
            if part is not None:
                hyper = part.hyper.items()
                shown = ", ".join(f"{name}={_shown(value)}" for name, value in hyper)
                row = (kind, part.name, shown or MISSING)
                counts[row] = counts.get(row, 0) + 1
    kinds = ["sampler", "backbone", "peer", "objective"]
    rows = [
        [Value(kind), Value(name), Value(hyper, mark="wrap"), Value(str(count), count)]
        for (kind, name, hyper), count in sorted(
            counts.items(), key=lambda item: (kinds.index(item[0][0]), item)
        )
    ]
    header = ["part", "name", "hyper-parameters", "cells"]
    return Table("Hyper-parameters", header, rows, n_text=3)


def _environment(store: Store) -> Table:
    """What the study's cells ran on: distinct values, and of how many cells each."""
    found: dict[str, dict[str, int]] = {}
    for record in tuning.reported(store):
        described = dict(record.environment)
        packages = described.pop("packages", {})
        for name, value in sorted({**described, **packages}.items()):
            counts = found.setdefault(name, {})
            counts[_shown(value)] = counts.get(_shown(value), 0) + 1
    rows = [
        [Value(name), Value(value, mark="wrap"), Value(str(count), count)]
        for name, counts in sorted(found.items())
        for value, count in sorted(counts.items())
    ]
    return Table("What the cells ran on", ["what", "value", "cells"], rows, n_text=2)


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


def _owner(path: Path, names: Iterable[str]) -> str | None:
    """The comparison that a file is about: the one whose name, as a whole, is longest in its."""
    found = []
    for name in names:
        short = re.escape(name.removeprefix("comparison-"))
        if re.search(rf"(?<![A-Za-z0-9]){short}(?![A-Za-z0-9])", path.stem):
            found.append(name)
    return max(found, key=len, default=None)


def _captions(files: Iterable[Path]) -> dict[str, str]:
    """What the Markdown files among them call the pictures that they show."""
    return {
        source: alt
        for path in files
        if path.suffix == ".md"
        for alt, source in re.findall(
            r"!\[([^\]]+)\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")
        )
    }


def _picture(path: Path, caption: str | None, synthetic: bool) -> Picture:
    caption = caption or path.stem.replace("-", " ")
    if synthetic and "synthetic" not in caption.lower():
        caption = f"SYNTHETIC data: {caption}"
    content = base64.b64encode(path.read_bytes()).decode()
    return Picture(caption, f"data:image/png;base64,{content}")


def rendered(text: str) -> Markup:
    """Markdown that a report has written as HTML: headings, paragraphs, lists and tables.

    HTML in it is text, but for the ``<u>`` of the second best; links and pictures are left out.
    """
    parser = markdown_it.MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.disable(["link", "autolink", "html_block", "html_inline"])
    tokens = list(_adapted(parser.parse(text)))
    html = parser.renderer.render(tokens, parser.options, {})
    return Markup(re.sub(r"&lt;(/?)u&gt;", r"<\1u>", html))


def _folded(text: Markup) -> tuple[Markup, Markup]:
    """The start of a text, and what follows the first heading of the second level."""
    start, heading, rest = text.partition("<h4>")
    return start, heading + rest


def _adapted(tokens: Iterable[Token]) -> Iterator[Token]:
    """Tokens that fit the page: lower headings, tables that scroll, no style attributes."""
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1:]) + 2)}"
        align = token.attrs.pop("style", None)  # the page's policy allows none
        if align == "text-align:right":
            token.attrs["class"] = "number"
        token.children = token.children and [c for c in token.children if c.type != "image"]
        if token.type == "table_open":
            token.attrs["class"] = "sortable"
            yield Token("html_block", "", 0, content='<div class="scroll" tabindex="0">\n')
        yield token
        if token.type == "table_close":
            yield Token("html_block", "", 0, content="</div>\n")


def _number(number: float | None, pattern: str) -> Value:
    if number is None or math.isnan(number):
        return Value(MISSING, mark="missing")
    return Value(pattern.format(number), number)


def _shown(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else as_text(value)

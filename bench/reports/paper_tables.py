"""The paper's tables filled in: the published value, ours, and the difference.

Only real data count.  Cells of one protocol share a table; of one system run with several
settings, each stands by itself.  Datasets without a cell are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bench import datasets
from bench.analysis.cells import content_of, settings_of, what_differs
from bench.cell import PRESETS, Cell
from bench.datasets.official import OfficialSource
from bench.json_shape import as_text
from bench.metrics import METRICS, SELECT_ON
from bench.reports.document import (
    Bullets,
    Code,
    Document,
    Heading,
    Number,
    Paragraph,
    Part,
    Print,
    Table,
    Text,
    Value,
)
from bench.reports.tables import seeds_line
from bench.studies.paper_grids import RELEASED, SPLITS, TABLES, Entry, PaperTable
from bench.studies.records import Record

Margins = Callable[[list[str]], "pd.Series[float]"]
"""Keys of cells, one a seed, to half the 95 % intervals of their metrics over the test users."""

STORED = {shown: stored for stored, shown in METRICS.items()}
PROTOCOL = asdict(PRESETS["paper"].protocol)
FIGURES = ("published", "ours", "difference")
MISSING = "missing"
FULL = "MDCNS"


@dataclass(frozen=True)
class FilledTable:
    """A table of the paper with our results in it.

    Attributes:
        table: of the paper.
        name: of its files.
        protocol: under which our cells were trained.
        lines: a row a number: dataset, backbone, method, setting, peer, metric, published, ours
            (mean over seeds), valid (mean validation NDCG@20), margin (half the 95 % t-interval of
            ours over the test users), sd and seeds (none where we have no cell), difference,
            difference_pct.
        settings: what our systems were run with, a line each.
    """

    table: PaperTable
    name: str
    protocol: dict[str, Any]
    lines: pd.DataFrame
    settings: list[Text]

    @property
    def title(self) -> str:
        return f"Table {self.table.number} of the MDCNS paper: {self.table.title}"

    def document(self) -> Document:
        """The report on it."""
        summary = " ".join(self._summary())
        data_notes, paper_notes = list(self._data_notes()), list(self._paper_notes())
        parts: list[Part] = [
            Paragraph(summary),
            self._layout(
                Print(f"{self.title}. {summary}", notes=[*data_notes, *paper_notes]),
            ),
        ]
        for heading, content in (
            ("Change", self._changes()),
            ("Settings of ours", _bullets(self.settings)),
            ("Notes on the data", _bullets(data_notes)),
            ("Notes on the published figures", _bullets(paper_notes)),
        ):
            parts += [Heading(heading), *content] if content else []
        lines = self.lines.assign(table=self.table.number)
        return Document(self.name, self.title, parts, data=lines)

    def _summary(self) -> list[str]:
        measured = self.lines.dropna(subset="ours")
        systems = ["dataset", "backbone", "method"]
        n_measured = len(measured[systems].drop_duplicates())
        entries = self.table.entries()
        shown = set(self.lines["dataset"])
        left_out = [name for name in dict.fromkeys(e.dataset for e in entries) if name not in shown]
        return [
            "Published value, ours ± half its 95 % interval over our test users, and ours less "
            "the published (also in per cent of it). The published are of other users: if as many, "
            "as uncertain, so that differences up to 1.4 times the ± say little.",
            f"{n_measured} of its {len(entries)} systems are measured"
            + (f", none on {', '.join(left_out)}." if left_out else "."),
            seeds_line(measured["seeds"].astype(int)),
            self._protocol(),
        ]

    def _protocol(self) -> str:
        split = self.protocol["split"]
        differing = [
            f"{name} {value} (paper: {PROTOCOL[name]})"
            for name, value in self.protocol.items()
            if value != PROTOCOL[name] and name != "split"
        ]
        text = "The paper's protocol."
        if differing:
            text = f"NOT the paper's protocol: {', '.join(differing)}."
        if split != PROTOCOL["split"]:  # others than its datasets have in the logs do not count
            text += f" Split {split}, as in the paper's logs."
        return text

    def _layout(self, printed: Print) -> Table:
        """Our numbers in the paper's arrangement, three rows for each of its own."""
        down, across = list(self.table.down), self.table.across
        labels = [
            f"{method} ({setting})" if setting else method
            for method, setting in zip(self.lines["method"], self.lines["setting"], strict=True)
        ]
        lines = self.lines.assign(method=labels)
        # Stable: the settings of a method stand beside each other, methods in the paper's order.
        place = {name: i for i, name in enumerate(dict.fromkeys(self.lines[across]))}
        pairs = dict.fromkeys(zip(self.lines[across], lines[across], strict=True))
        columns = [shown for _, shown in sorted(pairs, key=lambda pair: place[pair[0]])]
        rows: list[list[Value]] = []
        for key, group in lines.groupby(down, sort=False):
            shown = {line[across]: _figures(line) for line in group.to_dict("records")}
            for number, figure in enumerate(FIGURES):
                values = [shown[column][number] if column in shown else "" for column in columns]
                rows.append([*map(str, key), figure, *values])
        header = [*down, "figure", *columns]
        return Table(self.title, header, rows, n_text=len(down) + 1, printed=printed)

    def _changes(self) -> list[Part]:
        """The per cents that the paper's table prints too, from the values and so comparable."""
        if self.table.change is None:
            return []
        rows: list[list[Value]] = []
        both = list(FIGURES[:2])
        for (dataset, metric), lines in self.lines.groupby(["dataset", "metric"], sort=False):
            of_full = lines["method"] == FULL
            # All methods must be there to have a best.
            by_valid = lines[~of_full].sort_values("valid", na_position="first", kind="stable")
            others = by_valid.groupby("method", sort=False).tail(1).set_index("method")[both]
            others = others.loc[list(dict.fromkeys(lines["method"][~of_full]))]
            for setting, full in lines[of_full].set_index("setting")[both].iterrows():
                if self.table.change == "improvement":
                    found = {f"{FULL} over the best other": full / others.max(skipna=False) - 1}
                else:
                    found = {f"drop, {name}": 1 - others.loc[name] / full for name in others.index}
                which = f", {FULL} {setting}" if setting else ""
                rows += [
                    [str(dataset), str(metric), what + which, *map(_per_cent, change)]
                    for what, change in found.items()
                ]
        table = Table("Change", ["dataset", "metric", "change", *both], rows, n_text=3)
        others = self.lines[self.lines["method"] != FULL]
        if (others.groupby(["dataset", "method"])["setting"].nunique() > 1).any():
            chosen = "Of another method's several settings the best on validation counts."
            return [Paragraph(chosen), table]
        return [table]

    def _data_notes(self) -> Iterator[str]:
        for name in dict.fromkeys(self.lines["dataset"]):
            source = datasets.registry.get(name.lower())
            assert issubclass(source, OfficialSource)
            for note in source.notes:
                yield f"{name}: {note}"

    def _paper_notes(self) -> Iterator[str]:
        yield from self.table.notes
        yield (
            "each published MDCNS row equals one log (one seed) of the authors' release, the best "
            "of its grid of settings by the mean of its test metrics "
            "(see bench/studies/published/README.md)"
        )


def fill(records: Sequence[Record], margins_of: Margins) -> list[FilledTable]:
    """Every table of the paper that some of the records belong to, one for each protocol."""
    filled = []
    for table in TABLES.values():
        groups: dict[str, list[Match]] = {}
        for match in _matches(table, records):
            groups.setdefault(as_text(asdict(match.cell.protocol)), []).append(match)
        name = f"table{table.number}"
        for protocol in sorted(groups, key=lambda text: (text != as_text(PROTOCOL), text)):
            matches = groups[protocol]
            lines, settings = _lines(table, matches, margins_of), _settings(matches)
            filled.append(FilledTable(table, name, json.loads(protocol), lines, settings))
            name += "-other-protocol"
    return filled


@dataclass(frozen=True)
class Match:
    """A cell of ours and the system of the paper that it is."""

    entry: Entry
    key: str
    cell: Cell
    metrics: Mapping[str, float]
    valid: float

    @property
    def sampler(self) -> str:
        return self.cell.sampler.name

    def settings(self) -> dict[str, Any]:
        """Every hyper-parameter of it."""
        backbone = self.cell.backbone
        own = {f"{backbone.name}.{k}": v for k, v in backbone.hyper.items()}
        return {**settings_of(self.cell), **own}


def _matches(table: PaperTable, records: Sequence[Record]) -> Iterator[Match]:
    entries = {entry.system: entry for entry in table.entries()}
    if table.change != "drop":  # what is left out there, is left out of the text's variant
        entries |= {entry.released: entry for entry in table.entries() if entry.released}
    for record in records:
        cell = record.cell
        peer = None if cell.peer is None else cell.peer.name
        system = (cell.dataset, cell.backbone.name, cell.sampler.name, peer)
        if system in entries and not record.synthetic and cell.objective.name == table.objective:
            entry = entries[system]
            if cell.protocol.split in (PROTOCOL["split"], SPLITS.get(entry.dataset)):
                valid = record.valid.get(SELECT_ON, math.nan)
                yield Match(entry, record.key, cell, record.test, valid)


def _lines(table: PaperTable, matches: Sequence[Match], margins_of: Margins) -> pd.DataFrame:
    """See `FilledTable.lines`."""
    names = [f"{match.entry} {match.sampler}" for match in matches]
    differing = what_differs(names, [{**m.settings(), **content_of(m.cell)} for m in matches])
    settings = [
        ", ".join(filter(None, ["as released" if match.sampler == RELEASED else "", text]))
        for text, match in zip(differing, matches, strict=True)
    ]
    runs: dict[Entry, dict[str, list[Match]]] = {}
    by_variant = sorted(
        zip(settings, matches, strict=True),
        key=lambda pair: (pair[1].sampler == RELEASED, pair[0]),
    )
    for setting, match in by_variant:
        runs.setdefault(match.entry, {}).setdefault(setting, []).append(match)
    margins = {
        (entry, setting): margins_of([match.key for match in members])
        for entry, by_setting in runs.items()
        for setting, members in by_setting.items()
    }
    measured = {entry.dataset for entry in runs}
    figures = table.published()
    rows = []
    for row in _in_order(figures[figures["dataset"].isin(measured)]).to_dict("records"):
        entry = Entry(row["dataset"], row["backbone"], row["method"])
        published = row["value"]
        for setting, members in runs.get(entry, {"": []}).items():
            metric = STORED[row["metric"]]
            ours = pd.Series([match.metrics[metric] for match in members], dtype=float)
            difference = ours.mean() - published
            rows.append(
                {
                    **asdict(entry),
                    "setting": setting,
                    "peer": entry.peer or "",
                    "metric": row["metric"],
                    "published": published,
                    "ours": ours.mean(),
                    "valid": pd.Series([match.valid for match in members], dtype=float).mean(),
                    "margin": margins[entry, setting][metric] if members else math.nan,
                    "difference": difference,
                    "difference_pct": 100 * difference / published,
                    "sd": ours.std(),
                    "seeds": len(members),
                }
            )
    return pd.DataFrame(rows)


def _in_order(published: pd.DataFrame) -> pd.DataFrame:
    """Sorted by dataset, backbone, method and metric, each in the order of its first occurrence."""
    return published.sort_values(
        ["dataset", "backbone", "method", "metric"],
        key=lambda column: column.map({name: i for i, name in enumerate(column.unique())}),
    )


def _settings(matches: Sequence[Match]) -> list[Text]:
    """What was run as which method, a line each."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for match in matches:
        entry = match.entry
        options = ", ".join(f"{option}={value}" for option, value in match.settings().items())
        line = (f"{entry.method} on {entry.backbone} is ", match.sampler, options)
        found.setdefault(line, set()).add(entry.dataset)
    return [
        (what, Code(sampler), f": {options} ({', '.join(sorted(names))})")
        for (what, sampler, options), names in sorted(
            found.items(), key=lambda line: "{}`{}`: {}".format(*line[0])
        )
    ]


def _bullets(items: Sequence[Text]) -> list[Part]:
    return [Bullets(items)] if items else []


def _figures(line: Mapping[Hashable, Any]) -> tuple[Value, Value, Value]:
    """A number's published value, ours, and the difference."""
    published = Number(line["published"])
    if math.isnan(line["ours"]):
        return published, MISSING, ""
    change = f"{line['difference']:+.4f} ({line['difference_pct']:+.1f} %)"
    return published, Number(line["ours"], margin=line["margin"]), change


def _per_cent(share: float) -> Value:
    return Number(100 * share, "{:.2f} %") if math.isfinite(share) else MISSING

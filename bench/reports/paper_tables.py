"""The paper's tables filled in: the published value, ours, and the difference.

`bench.reports.paper_lines` says which of a study's cells belong to one.  Cells of one protocol
share a table, whatever their users; datasets without a cell are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bench import datasets
from bench.analysis.cells import comparable
from bench.cell import PRESETS
from bench.datasets.official import OfficialSource
from bench.datasets.splits import AUTHORS
from bench.json_shape import as_text
from bench.metrics import HEADLINE, METRICS, SELECT_ON
from bench.reports import paper_lines
from bench.reports.comparison_report import choices
from bench.reports.document import (
    Bullets,
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
from bench.reports.paper_lines import USER, Margins, named
from bench.reports.paper_logs import logs_of
from bench.reports.tables import seeds_line
from bench.studies.paper_grids import TABLES, PaperTable
from bench.studies.records import Record

PROTOCOL = asdict(PRESETS["paper"].protocol)
del PROTOCOL["split"]  # each dataset has its own
FIGURES = ("published", "ours", "difference")
MISSING = "missing"
FULL = "MDCNS"


@dataclass(frozen=True)
class FilledTable:
    """A table of the paper with our results in it.

    Attributes:
        table: of the paper.
        name: of its files.
        protocol: under which our cells were trained, but for the split.
        lines: a row a number: place (a dataset, and where there are several of it, with which
            users), split, dataset, backbone, method, variant, setting, loss, shown (whether it
            stands in the table: not if validation chose another setting or loss), peer, metric,
            published, ours (mean over seeds), valid_ndcg@20 and valid_ndcg@10 (means on
            validation), margin (half the 95 % t-interval of ours over the test users), sd and seeds
            (none where we have no cell), difference, difference_pct.
        choices: of methods with several settings or losses; see `paper_lines.chosen`.
        settings: what our systems were run with, a line each.
    """

    table: PaperTable
    name: str
    protocol: dict[str, Any]
    lines: pd.DataFrame
    choices: pd.DataFrame
    settings: list[Text]

    @property
    def title(self) -> str:
        return f"Table {self.table.number} of the MDCNS paper: {self.table.title}"

    @property
    def shown(self) -> pd.DataFrame:
        """The lines of the table, methods by the names that they have in it, places as datasets."""
        lines = self.lines[self.lines["shown"]]
        variants = lines.groupby([*paper_lines.SYSTEM, "variant"])["setting"]
        told = lines["setting"].where(variants.transform("nunique") > 1, "")
        names = map(named, lines["method"], lines["variant"], told)
        return lines.assign(
            dataset=lines["place"],
            own_dataset=lines["dataset"],
            own=lines["method"],
            method=list(names),
        )

    def document(self) -> Document:
        """The report on it."""
        summary = " ".join(self._summary())
        data_notes, paper_notes = list(self._data_notes()), list(self._paper_notes())
        notes = [*self._chosen_notes(), *data_notes, *paper_notes]
        parts: list[Part] = [
            Paragraph(summary),
            self._layout(Print(f"{self.title}. {summary}", notes=notes)),
            *_section("Change", self._changes()),
            *_section("Validation beside test", self._validation()),
            *choices(self.choices),
            *_section("Settings of ours", _bullets(self.settings)),
            *_section("Notes on the data", _bullets(data_notes)),
            *_section("Notes on the published figures", _bullets(paper_notes)),
        ]
        lines = self.lines.assign(table=self.table.number)
        return Document(self.name, self.title, parts, data=lines)

    def _summary(self) -> list[str]:
        measured = self.lines.dropna(subset="ours")
        n_measured = len(measured[["dataset", "backbone", "method"]].drop_duplicates())
        entries = self.table.entries()
        shown = set(self.lines["dataset"])
        left_out = [name for name in dict.fromkeys(e.dataset for e in entries) if name not in shown]
        return [
            "Published value, ours ± half its 95 % interval over our test users, and ours less "
            "the published (also in per cent of it).",
            *self._on_users(),
            f"{n_measured} of its {len(entries)} systems are measured"
            + (f", none on {', '.join(left_out)}." if left_out else "."),
            seeds_line(measured["seeds"].astype(int)),
            *self._on_choice(),
            self._protocol(),
        ]

    def _on_users(self) -> Iterator[str]:
        """Whether the published figures are of the users that ours are of."""
        places = {
            own: list(dict.fromkeys(self.lines["place"][(self.lines["split"] == AUTHORS) == own]))
            for own in (True, False)
        }
        if places[True]:
            yield (
                f"On {', '.join(places[True])} the published are of the same test users, those of "
                "the paper's authors: what these happen to be is in both, and the ±, which is over "
                "the choice of users, says more than the difference has of it."
            )
        if places[False]:
            which = (
                f"On {', '.join(places[False])} the published" if places[True] else "The published"
            )
            yield (
                f"{which} are of other users: if as many, as uncertain, so that differences up to "
                "1.4 times the ± say little."
            )

    def _on_choice(self) -> Iterator[str]:
        """Where a method has been trained in several ways."""
        if not self.choices.empty:
            yield (
                "Of a method that was trained with several settings or losses the one with the "
                f"best {SELECT_ON.upper()} on validation is shown; all are in {self.name}.csv."
            )

    def _protocol(self) -> str:
        differing = [
            f"{name} {value} (paper: {PROTOCOL[name]})"
            for name, value in self.protocol.items()
            if value != PROTOCOL[name]
        ]
        text = "The paper's protocol."
        if differing:
            text = f"NOT the paper's protocol: {', '.join(differing)}."
        splits: dict[str, list[str]] = {}
        for place, split in self.lines[["place", "split"]].drop_duplicates().to_numpy().tolist():
            splits.setdefault(split, []).append(place)
        said = {USER: "our draw of 70/20/10", AUTHORS: "the authors' own users"}
        for split, places in splits.items():
            if list(splits) != [USER]:
                what = said.get(split, "as in the paper's logs")  # others there are none
                text += f" {', '.join(places)}: split {split}, {what}."
        return text

    def _layout(self, printed: Print) -> Table:
        """Our numbers in the paper's arrangement, three rows for each of its own."""
        down, across = list(self.table.down), self.table.across
        lines = self.shown
        # Stable: the variants of a method stand beside each other, methods in the paper's order.
        whole = lines["own"] if across == "method" else lines[across]
        place = {name: i for i, name in enumerate(dict.fromkeys(whole))}
        pairs = dict.fromkeys(zip(whole, lines[across], strict=True))
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
        for (dataset, metric), lines in self.shown.groupby(["dataset", "metric"], sort=False):
            of_full = lines["own"] == FULL
            # All methods must be there to have a best.
            by_valid = lines[~of_full].sort_values(
                f"valid_{SELECT_ON}", na_position="first", kind="stable"
            )
            others = by_valid.groupby("own", sort=False).tail(1).set_index("own")[both]
            others = others.loc[list(dict.fromkeys(lines["own"][~of_full]))]
            for name, full in lines[of_full].set_index("method")[both].iterrows():
                if self.table.change == "improvement":
                    found = {f"{FULL} over the best other": full / others.max(skipna=False) - 1}
                else:
                    found = {f"drop, {name}": 1 - others.loc[name] / full for name in others.index}
                which = "" if name == FULL else f", {name}"
                rows += [
                    [str(dataset), str(metric), what + which, *map(_per_cent, change)]
                    for what, change in found.items()
                ]
        return [Table("Change", ["dataset", "metric", "change", *both], rows, n_text=3)]

    def _validation(self) -> list[Part]:
        """Whether a method is better than in print, or its test users are."""
        shown = METRICS[HEADLINE]
        lines = self.shown.dropna(subset="ours")
        rows: list[list[Value]] = []
        for line in lines[lines["metric"] == shown].to_dict("records"):
            valid = line[f"valid_{HEADLINE}"]
            rows.append(
                [
                    *(str(line[name]) for name in ("dataset", "backbone", "method", "setting")),
                    Number(valid),
                    Number(line["ours"], margin=line["margin"]),
                    Number(line["ours"] / valid if valid else math.nan, "{:.2f}"),
                    Number(line["published"]),
                    logs_of(self.table, line),
                ]
            )
        text = (
            f"{shown} on the validation users and on the test users, of what stands in the table, "
            f"in the setting that has the best {SELECT_ON.upper()} on validation where there are "
            "several.  Where test lies above validation for all methods alike, the test users are "
            "easy ones.  Of the authors' runs the figures on test are known, not those on "
            "validation."
        )
        header = ["dataset", "backbone", "method", "setting"]
        header += ["validation", "test", "test / validation", "printed", "in the authors' logs"]
        table = Table(
            "Validation beside test", header, rows, n_text=4, last_is_text=True, kept=(0, 2)
        )
        return [Paragraph(text), table] if rows else []

    def _chosen_notes(self) -> Iterator[str]:
        """What validation chose, for those who have the table alone."""
        of_place: dict[str, list[str]] = {}
        for (place, backbone, method), setting in zip(
            self.choices.index.to_list(), self.choices["chosen"], strict=True
        ):
            on = f" on {backbone}" if "backbone" in self.table.down else ""
            of_place.setdefault(place, []).append(f"{method}{on} {setting}")
        for place, found in of_place.items():
            yield f"{place}: chosen by validation: {'; '.join(found)}"

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
    groups: dict[str, list[Record]] = {}
    protocols = comparable([record.cell for record in records])
    for record, known in zip(records, protocols, strict=True):
        protocol = {**asdict(record.cell.protocol), **known}
        del protocol["split"]
        groups.setdefault(as_text(protocol), []).append(record)
    filled = []
    for table in TABLES.values():
        name = f"table{table.number}"
        for text in sorted(groups, key=lambda text: (text != as_text(PROTOCOL), text)):
            found = paper_lines.matches(table, groups[text])
            if not found:
                continue
            cells = paper_lines.cells_of(table, found)
            chosen = paper_lines.chosen(cells)
            lines = paper_lines.lines_of(table, cells, chosen, margins_of)
            settings = paper_lines.settings(found)
            filled.append(FilledTable(table, name, json.loads(text), lines, chosen, settings))
            name += "-other-protocol"
    return filled


def _section(heading: str, content: Sequence[Part]) -> list[Part]:
    return [Heading(heading), *content] if content else []


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

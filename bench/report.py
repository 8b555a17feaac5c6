"""python -m bench.report STUDY: tables and plots from stored results; trains nothing.

Cells are compared only within one protocol, and synthetic twins never share a table or a plot
with real data.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import samplers
from bench import paper_tables, plots, tuning, tuning_report
from bench.errors import UserError
from bench.store import Store
from bench.tables import (
    HEADLINE,
    METRICS,
    PREAMBLE,
    as_text,
    cells_of,
    dataset_names,
    latex_table,
    markdown_table,
    sampler_order,
    seeds_line,
)

Record = Mapping[str, Any]

REFERENCES = {"popularity": "popularity ranking", "oracle": "best reachable"}
"""What accuracy is measured against, trained by nobody: stored name to its name in tables."""


@dataclass(frozen=True)
class Comparison:
    """Cells that may be compared: one protocol, one objective, all real or all synthetic.

    Samplers that are one method with a loss of their own stand in every comparison of the same
    protocol and kind of data.

    Attributes:
        name: of its files.
        title: for tables and plots; says so when the data are synthetic.
        cells: a row a cell: dataset, backbone, sampler, objective, seed and the metrics.
        notes: dataset to its footnotes.
        references: name in tables to dataset to its metrics.
        own_loss: the samplers trained with a loss of their own, to that loss.
    """

    name: str
    title: str
    cells: pd.DataFrame
    notes: dict[str, list[str]]
    references: dict[str, dict[str, dict[str, float]]]
    own_loss: dict[str, str]

    def backbones(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each backbone with its table, the layout of the paper's Table 3.

        Dataset and metric down, samplers across (means over seeds), references last.
        """
        for backbone, cells in self.cells.groupby("backbone", sort=True):
            yield str(backbone), self._table(cells)

    def _table(self, cells: pd.DataFrame) -> pd.DataFrame:
        names = sampler_order(cells)
        means = cells.groupby(["dataset", "sampler"])[list(METRICS)].mean()
        datasets = list(dict.fromkeys(cells["dataset"]))
        values = [
            [means.at[(d, s), metric] if (d, s) in means.index else None for s in names]
            + [known.get(d, {}).get(metric) for known in self.references.values()]
            for d in datasets
            for metric in METRICS
        ]
        index = pd.MultiIndex.from_product(
            [datasets, METRICS.values()], names=["dataset", "metric"]
        )
        columns = [*names, *self.references]
        return pd.DataFrame(values, index=index, columns=columns, dtype=float)


def comparisons(store: Store) -> list[Comparison]:
    """The study's cells, sorted into what may stand in one table.

    Raises:
        UserError: the study has no finished cell.
    """
    records = tuning.as_compared(store)
    if not records:
        raise UserError(f"{store.root}: no finished cell; run python -m bench.grid first")
    result: list[Comparison] = []
    names: set[str] = set()
    for synthetic, loss, members in _groups(records):
        name = f"comparison-{loss}{'-synthetic' * synthetic}"
        while name in names:
            name += "-other-protocol"
        names.add(name)
        protocol = members[0]["config"]["protocol"]
        title = (
            f"{'SYNTHETIC data' if synthetic else 'Real data'}, {loss} loss, "
            f"split {protocol['split']}, d={protocol['dim']}, window {protocol['window']}, "
            f"at most {protocol['epochs']} epochs"
        )
        cells = cells_of(members)
        notes = {r["config"]["dataset"]: r["data"]["notes"] for r in members}
        own = {
            r["config"]["sampler"]["name"]: r["config"]["objective"]["name"]
            for r in members
            if _has_own_loss(r)
        }
        result.append(Comparison(name, title, cells, notes, _references(members), own))
    return result


def _groups(records: Sequence[Record]) -> Iterator[tuple[bool, str, list[Record]]]:
    """Synthetic or not, the loss, and the cells that may stand together."""
    kinds: dict[tuple[bool, str], tuple[dict[str, list[Record]], list[Record]]] = {}
    for record in records:
        kind = (bool(record["data"]["synthetic"]), as_text(record["config"]["protocol"]))
        by_loss, with_own = kinds.setdefault(kind, ({}, []))
        if _has_own_loss(record):
            with_own.append(record)
        else:
            by_loss.setdefault(as_text(record["config"]["objective"]), []).append(record)
    for (synthetic, _), (by_loss, with_own) in sorted(kinds.items(), key=lambda item: item[0]):
        for _, members in sorted(by_loss.items()):
            yield synthetic, members[0]["config"]["objective"]["name"], members + with_own
        if not by_loss:
            yield synthetic, "own", with_own


def _has_own_loss(record: Record) -> bool:
    """Whether the sampler goes with one loss alone; a plug-in that is not loaded counts as free."""
    try:
        return samplers.registry.get(record["config"]["sampler"]["name"]).objective is not None
    except UserError:
        return False


def _references(records: Sequence[Record]) -> dict[str, dict[str, dict[str, float]]]:
    """Name in tables to dataset to metrics; those that no dataset has are left out."""
    names = dataset_names([record["config"] for record in records])
    found = {
        shown: {
            name: record["data"]["references"][stored]
            for name, record in zip(names, records, strict=True)
            if stored in record["data"].get("references", {})
        }
        for stored, shown in REFERENCES.items()
    }
    return {shown: known for shown, known in found.items() if known}


def write(study: Path, folder: Path) -> list[Path]:
    """Write tables (Markdown, CSV, LaTeX) and plots of a study, and how it was tuned, if it was.

    Args:
        study: ``results/<study>``.
        folder: where to write.

    Returns:
        The files.

    Raises:
        UserError: no finished cell, or the folder cannot be written.
    """
    store = Store(study)
    written: list[Path] = []

    def put(name: str, text: str) -> None:
        path = folder / name
        path.write_text(text)
        written.append(path)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for comparison in comparisons(store):
            picture = folder / f"{comparison.name}.png"
            plots.dots(comparison.title, comparison.cells, comparison.references, picture)
            written.append(picture)
            put(f"{comparison.name}.md", _markdown(comparison, picture.name))
            put(f"{comparison.name}.tex", _latex(comparison))
            put(f"{comparison.name}.csv", comparison.cells.to_csv(index=False))
        for table in paper_tables.fill(tuning.reported(store)):
            put(f"{table.name}.md", table.markdown())
            put(f"{table.name}.tex", table.latex())
            put(f"{table.name}.csv", table.csv())
        written += tuning_report.write(study, folder)
    except OSError as error:
        raise UserError(f"--reports: {folder} cannot be written ({error.strerror})") from error
    return written


def _rows(
    comparison: Comparison, table: pd.DataFrame, best: str, second: str, missing: str
) -> Iterator[list[str]]:
    """Dataset, metric and values as text, the best and the second sampler put into patterns."""
    n_samplers = len(table.columns) - len(comparison.references)
    for (dataset, metric), values in zip(table.index, table.to_numpy().tolist(), strict=True):
        plain = [missing if math.isnan(value) else f"{value:.4f}" for value in values]
        ranked = sorted({text for text in plain[:n_samplers] if text != missing}, reverse=True)
        marks = [best, second][: max(0, len(ranked) - 1)]  # the last is never marked
        pattern = dict(zip(ranked, marks, strict=False))
        marked = [pattern.get(text, "{}").format(text) for text in plain[:n_samplers]]
        yield [dataset, metric, *marked, *plain[n_samplers:]]


def _markdown(comparison: Comparison, picture: str) -> str:
    counts = comparison.cells.groupby(["dataset", "backbone", "sampler"])["seed"].nunique()
    lines = [
        f"# {comparison.title}",
        "",
        "Best in bold, second underlined; RC is recall, NG is NDCG, on the test users, "
        f"ranking the whole catalogue. {seeds_line(counts)}",
        "",
    ]
    if comparison.own_loss:
        by_loss: dict[str, list[str]] = {}
        for sampler, loss in sorted(comparison.own_loss.items()):
            by_loss.setdefault(loss, []).append(sampler)
        each = "; ".join(f"{', '.join(names)}: {loss}" for loss, names in sorted(by_loss.items()))
        lines += [f"Trained with a loss of their own, whatever the title says: {each}.", ""]
    if comparison.references:
        lines += [
            f"For reference, not trained and not marked: {', '.join(comparison.references)}.",
            "",
        ]
    lines += [f"![test NDCG@10; bars span the seeds]({picture})", ""]
    for backbone, table in comparison.backbones():
        lines += [f"## {backbone}", ""]
        rows = _rows(comparison, table, "**{}**", "<u>{}</u>", "")
        lines += [*markdown_table(["dataset", "metric", *table.columns], rows, n_text=2), ""]
    lines += _peers(comparison.cells)
    lines += ["## Notes on the data", ""]
    tested = comparison.cells.groupby("dataset")["test_users"].max()
    lines += [f"- {dataset}: {count} test users" for dataset, count in tested.items()]
    for dataset, notes in sorted(comparison.notes.items()):
        lines += [f"- {dataset}: {note}" for note in notes]
    return "\n".join(lines) + "\n"


def _peers(cells: pd.DataFrame) -> list[str]:
    """A section on the systems that train two models: which of them one would use."""
    columns = [HEADLINE, f"peer_{HEADLINE}", f"ensemble_{HEADLINE}"]
    if columns[1] not in cells:
        return []
    paired = cells[cells[columns[1]].notna()]
    means = paired.groupby(["dataset", "backbone", "sampler"])[columns].mean()
    rows = [
        [*map(str, key), *(f"{value:.4f}" for value in values)]
        for key, values in zip(means.index, means.to_numpy().tolist(), strict=True)
    ]
    header = ["dataset", "backbone", "sampler", "self", "peer", "ensemble"]
    return [
        "## Self, peer and ensemble",
        "",
        f"{METRICS[HEADLINE]} of the model under test, of the one trained beside it, and of the "
        "two together.",
        "",
        *markdown_table(header, rows, n_text=3),
        "",
    ]


def _latex(comparison: Comparison) -> str:
    """See `latex_table`."""
    lines = [PREAMBLE]
    for backbone, table in comparison.backbones():
        rows = _rows(comparison, table, "\\textbf{{{}}}", "\\underline{{{}}}", "--")
        header = ["Dataset", "Metric", *table.columns]
        lines += latex_table(f"{backbone}. {comparison.title}", header, rows, n_text=2)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("study", nargs="?", default="quick", help="default: quick")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        for path in write(options.results / options.study, options.reports / options.study):
            print(path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

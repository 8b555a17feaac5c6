"""python -m bench.report STUDY: tables and plots from stored results; trains nothing.

Cells are compared only within one protocol, and synthetic twins never share a table or a plot
with real data.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from bench import page, paper_tables, plots, tuning, tuning_report
from bench.comparison import Comparison, comparisons
from bench.errors import UserError
from bench.store import Store
from bench.tables import (
    HEADLINE,
    METRICS,
    PREAMBLE,
    latex_table,
    markdown_table,
    places,
    seeds_line,
)


def write(study: Path, folder: Path) -> list[Path]:
    """Write tables (Markdown, CSV, LaTeX), plots and a page of a study, and how it was tuned.

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
        found = comparisons(store)
        for comparison in found:
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
        written.append(page.write(study, folder, found, written))
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
        patterns = {"best": best, "second": second, "": "{}"}
        marks = places(plain[:n_samplers], missing)
        marked = [patterns[mark].format(text) for mark, text in zip(marks, plain, strict=False)]
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

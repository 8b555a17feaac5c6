"""python -m bench.report STUDY: tables and plots from stored results; trains nothing.

``python -m bench.report compare A B`` sets two studies side by side (`analysis.compare_studies`),
``python -m bench.report export STUDY`` hands results on (see `bench.reports.export`).

Cells are compared only within one protocol, and synthetic twins never share a table or a plot
with real data.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.analysis import compare_studies
from bench.analysis.comparison import (
    CHOICE,
    CHOICES,
    CHOICES_NOTE,
    SYSTEM,
    Comparison,
    comparisons,
    margins_over_users,
)
from bench.analysis.over_blocks import PostHoc
from bench.errors import UserError
from bench.metrics import HEADLINE, METRICS
from bench.reports import export, page, paper_tables, significance
from bench.reports import tuning as tuning_report
from bench.reports.plots import draw
from bench.reports.tables import (
    PREAMBLE,
    as_markdown,
    latex_table,
    markdown_table,
    places,
    seeds_line,
)
from bench.studies import tuning
from bench.studies.store import Store


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
    store = Store(study)
    written: list[Path] = []

    def put(name: str, text: str) -> None:
        path = folder / name
        path.write_text(text)
        written.append(path)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = page.linked(folder)
        found = comparisons(store)
        looks = draw.looks_of(name for each in found for name in each.cells["sampler"])
        for comparison in found:
            written += draw.draw(comparison, folder, looks)
            put(f"{comparison.name}.md", _markdown(comparison, f"{comparison.name}.png"))
            put(f"{comparison.name}.tex", _latex(comparison))
            put(f"{comparison.name}.csv", comparison.cells.to_csv(index=False))
            written += significance.write(comparison, folder, post_hoc)
        margins = functools.partial(margins_over_users, store)
        for table in paper_tables.fill(tuning.reported(store), margins):
            put(f"{table.name}.md", table.markdown())
            put(f"{table.name}.tex", table.latex())
            put(f"{table.name}.csv", table.csv())
        written += tuning_report.write(study, folder)
        for path in earlier.difference(written):
            path.unlink()
        written.append(page.write(study, folder, found, written))
    except OSError as error:
        raise UserError(f"--reports: {folder} cannot be written ({error.strerror})") from error
    return written


@dataclass(frozen=True)
class Style:
    """How a table marks its values: patterns with a place for a number."""

    best: str
    second: str
    missing: str
    margin: str
    worse: str


MARKDOWN = Style("**{}**", "<u>{}</u>", "–", " ± {:.4f}", " †")
LATEX = Style("\\textbf{{{}}}", "\\underline{{{}}}", "--", " $\\pm$ {:.4f}", "$^\\dagger$")


def _rows(
    comparison: Comparison, backbone: str, table: pd.DataFrame, style: Style
) -> Iterator[list[str]]:
    """Dataset, metric and values as text; those significantly below the best are marked."""
    samplers = list(table.columns)[: len(table.columns) - len(comparison.references)]
    stored = {shown: name for name, shown in METRICS.items()}
    margins = comparison.margins(backbone).to_numpy().tolist()
    for (dataset, metric), values, halves in zip(
        table.index, table.to_numpy().tolist(), margins, strict=True
    ):
        plain = [style.missing if math.isnan(value) else f"{value:.4f}" for value in values]
        shown = plain[: len(samplers)]
        patterns = {"best": style.best, "second": style.second, "": "{}"}
        marks = places(shown, style.missing)
        below = comparison.below_best[stored[metric]].get((dataset, backbone), set())
        marked = [
            patterns[mark].format(text)
            + ("" if math.isnan(half) else style.margin.format(half))
            + (style.worse if sampler in below else "")
            for sampler, text, mark, half in zip(samplers, shown, marks, halves, strict=False)
        ]
        yield [dataset, metric, *marked, *plain[len(samplers) :]]


def _markdown(comparison: Comparison, picture: str) -> str:
    counts = comparison.cells.groupby(["dataset", "backbone", "sampler"])["seed"].nunique()
    lines = [
        f"# {comparison.title}",
        "",
        "Best in bold, second underlined, † significantly below the best (paired t-tests over the "
        "test users, Holm-corrected); RC is recall, NG is NDCG, on the test users, "
        f"ranking the whole catalogue. {seeds_line(counts)}"
        + (" ± is half the 95 % interval over seeds (Student's t)." if counts.max() > 1 else ""),
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
    lines += [f"![test NDCG@10; bars are 95 % t-intervals over seeds]({picture})", ""]
    for backbone, table in comparison.backbones():
        lines += [f"## {backbone}", ""]
        rows = _rows(comparison, backbone, table, MARKDOWN)
        lines += [*markdown_table(["dataset", "metric", *table.columns], rows, n_text=2), ""]
    lines += _peers(comparison) + _choices(comparison) + _masks(comparison)
    lines += ["## Cost", "", comparison.costs_note, ""]
    lines += [*markdown_table(COST_HEADER, _costs(comparison), n_text=3), ""]
    lines += ["## Notes on the data", ""]
    tested = comparison.cells.groupby("dataset")["test_users"].max()
    lines += [f"- {dataset}: {count} test users" for dataset, count in tested.items()]
    for dataset, notes in sorted(comparison.notes.items()):
        lines += [f"- {dataset}: {note}" for note in notes]
    return as_markdown(lines)


COST_HEADER = [*SYSTEM, "models", "targets/s", "epochs", "best epoch", "s to best epoch",
               "CPU s to best epoch", "s in all", "CPU s in all", "peak MB", "NG@10",
               "NG@10 per minute"]  # fmt: skip


def _costs(comparison: Comparison) -> Iterator[list[str]]:
    """A row a system."""
    means = comparison.costs()
    for key, mean in zip(means.index, means.to_dict("records"), strict=True):
        texts = [
            f"{mean['models']:.0f}",
            f"{mean['targets_per_s']:,.0f}",
            f"{mean['epochs']:.0f}",
            f"{mean['best_epoch']:.0f}",
            f"{mean['train_s_to_best']:.1f}",
            f"{mean['cpu_s_to_best']:.1f}",
            f"{mean['wall_s']:.1f}",
            f"{mean['cpu_s']:.1f}",
            f"{mean['peak_mb']:,.0f}",
            f"{mean[HEADLINE]:.4f}",
            f"{mean['per_minute']:.4f}",
        ]
        yield [*map(str, key), *(MARKDOWN.missing if text == "nan" else text for text in texts)]


def _peers(comparison: Comparison) -> list[str]:
    """A section on the systems that train two models: which of them one would use."""
    means = comparison.peers()
    if means.empty:
        return []
    rows = [
        [*map(str, key), *(f"{value:.4f}" for value in values)]
        for key, values in zip(means.index, means.to_numpy().tolist(), strict=True)
    ]
    header = [*SYSTEM, "self", "peer", "ensemble"]
    return [
        "## Self, peer and ensemble",
        "",
        f"{METRICS[HEADLINE]} of the model under test, of the one trained beside it, and of the "
        "two together.",
        "",
        *markdown_table(header, rows, n_text=3),
        "",
    ]


def _choices(comparison: Comparison) -> list[str]:
    """A section on what validation would choose, where there is a choice."""
    found = comparison.choices()
    if found.empty:
        return []
    rows = [
        [*map(str, key), *(f"{each:.4f}" if isinstance(each, float) else str(each) for each in row)]
        for key, row in zip(found.index, found.itertuples(index=False), strict=True)
    ]
    return [
        "## Settings: chosen by validation, and best on test",
        "",
        CHOICES_NOTE,
        "",
        *markdown_table([*CHOICE, *CHOICES], rows, n_text=5),
        "",
    ]


def _masks(comparison: Comparison) -> list[str]:
    """A section on what another way to mask would have shown."""
    means = comparison.masks()
    if means.empty:
        return []
    rows = [
        [
            *map(str, key),
            f"{ours:.4f}",
            f"{theirs:.4f}",
            f"{100 * (theirs / ours - 1):+.1f} %" if ours else "–",
        ]
        for key, (ours, theirs) in zip(means.index, means.to_numpy().tolist(), strict=True)
    ]
    return [
        "## Seen items at zero",
        "",
        f"{METRICS[HEADLINE]} as everywhere here, with the score of what a user has had set to "
        "-∞, and with it set to 0 and the padding row ranked too, as the released code of the "
        "MDCNS paper's baselines does it.  The models are the same.",
        "",
        *markdown_table([*SYSTEM, "-∞", "0", "difference"], rows, n_text=3),
        "",
    ]


def _latex(comparison: Comparison) -> str:
    """See `latex_table`."""
    lines = [PREAMBLE]
    for backbone, table in comparison.backbones():
        rows = _rows(comparison, backbone, table, LATEX)
        header = ["Dataset", "Metric", *table.columns]
        lines += latex_table(f"{backbone}. {comparison.title}", header, rows, n_text=2)
    return "\n".join(lines)


COMMANDS = {"compare": compare_studies.main, "export": export.main}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return COMMANDS[given[0]](given[1:])
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("study", nargs="?", default="quick", help="default: quick")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument(
        "--post-hoc",
        choices=typing.get_args(PostHoc),
        default="wilcoxon",
        help="pairs of samplers over datasets and backbones (default: wilcoxon, Holm-corrected)",
    )
    parser.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    options = parser.parse_args(given)
    try:
        for path in write(
            options.results / options.study, options.reports / options.study, options.post_hoc
        ):
            print(path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

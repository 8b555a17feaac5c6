"""What a command prints when it is done: a small table, the verdict, and where the page is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.analysis.comparison import Comparison
from bench.analysis.fidelity import fidelity
from bench.analysis.verdict import by_rank
from bench.metrics import HEADLINE
from bench.reports.names import Names
from bench.reports.study_report import StudyReport


def closing(report: StudyReport, where: Path, names: Names) -> Iterator[str]:
    """Lines for a terminal.

    Args:
        report: what is reported on a study.
        where: its page, or the folder of a report without one.
        names: what is printed in place of others; documents have them already.
    """
    for document in report.budget:
        yield ""
        yield from document.verdict
    for each in report.compared:
        comparison = each.comparison
        yield ""
        yield names.text(f"Test {HEADLINE.upper()}, {comparison.title}")
        yield _table(comparison, names)
        yield from each.document.verdict
        if comparison.synthetic and (known := fidelity(comparison)):
            mean = sum(one.tau for one in known) / len(known)
            yield (
                f"SYNTHETIC data tell the order of samplers alone, and that about (Kendall's tau "
                f"with real data is {mean:.2f}, mean of {len(known)}), not accuracy on real data."
            )
    for document in report.across:
        yield ""
        yield "Each sampler with the loss and the settings that validation chooses:"
        yield from document.verdict
    yield ""
    yield f"All of it, with plots: {where}"


def _table(comparison: Comparison, names: Names) -> str:
    """Samplers down, the best first; across datasets, or backbones where there are several: means
    over all datasets with a backbone, of no sampler that lacks one of them."""
    cells = comparison.cells
    across = "backbone" if cells["backbone"].nunique() > 1 else "dataset"
    blocks = cells.pivot_table(HEADLINE, ["dataset", "backbone"], "sampler", aggfunc="mean")
    each = blocks.groupby(level=across)
    whole = each.count().eq(each.size(), axis="index")
    means = each.mean().where(whole).T.loc[by_rank(blocks)]
    means.columns.name = "mean of datasets" if across == "backbone" else None
    means.index.name = None
    means = means.rename(index=names.text, columns=names.text)
    table = means.to_string(float_format="{:.4f}".format, na_rep="–")
    partial = sorted(whole.columns[((each.count() > 0) & ~whole).any()])
    not_on_all = ", ".join(map(names.text, partial))
    return f"{table}\nnot on all datasets: {not_on_all}" if partial else table

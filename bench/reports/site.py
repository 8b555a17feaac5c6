"""All studies on one page: their verdicts, their accuracies side by side, and links to their own
pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from bench.analysis.choices import by_validation
from bench.analysis.comparison import Comparison, comparisons
from bench.analysis.verdict import by_rank, verdicts
from bench.errors import UserError
from bench.metrics import HEADLINE, METRICS
from bench.reports import manifest
from bench.reports.document import Table, Value
from bench.reports.render_html import rendered
from bench.reports.tables import placed
from bench.studies.store import Store


@dataclass(frozen=True)
class Study:
    """As the template shows it: what it is called, where its page is, and what it comes to."""

    name: str
    link: str
    verdicts: list[tuple[str, list[str]]]


def write(results: Path, reports: Path, names: Sequence[str] = ()) -> Path:
    """Write the page.

    Args:
        results: directory of all studies.
        reports: directory of all reports; the page is its ``index.html``.
        names: of studies; without, all that have finished cells and a page.

    Raises:
        UserError: there is no such study, none of them has a page, or the directory cannot be
            written.
    """
    found = list(names) or sorted(
        path.name for path in results.glob("*") if (reports / path.name / manifest.PAGE).is_file()
    )
    if not found:
        raise UserError(
            f"--reports: no study in {reports} has a page; python -m bench.report STUDY writes one"
        )
    content = html({name: comparisons(Store(results / name)) for name in found})
    manifest.put(reports, {manifest.PAGE: content.encode()})
    return reports / manifest.PAGE


def html(studies: dict[str, list[Comparison]]) -> str:
    """The page, of the comparisons of each study."""
    shown = [
        Study(
            name,
            f"{quote(name)}/{manifest.PAGE}",
            [
                (one.title, [each for verdict in verdicts(one) for each in verdict.sentences()])
                for one in found
            ],
        )
        for name, found in studies.items()
    ]
    return rendered("site.html", studies=shown, matrices=_matrices(studies))


def _matrices(studies: dict[str, list[Comparison]]) -> list[Table]:
    """A table a backbone: samplers down, the best first (`by_rank`), real datasets across; each
    method at the setting that validation chooses, means over seeds."""
    columns: dict[str, dict[str, pd.Series[float]]] = {}
    for name, found in studies.items():
        for one in found:
            if one.synthetic or one.name != "comparison-bce":
                continue
            for (dataset, backbone), cells in one.cells.groupby(["dataset", "backbone"]):
                chosen = by_validation(one.cells, str(dataset), str(backbone))
                means = cells.groupby("sampler")[HEADLINE].mean()[list(chosen)].rename(chosen)
                columns.setdefault(str(backbone), {})[f"{dataset}, {name}"] = means
    return [_matrix(backbone, pd.DataFrame(its)) for backbone, its in sorted(columns.items())]


def _matrix(backbone: str, means: pd.DataFrame) -> Table:
    names = by_rank(means.T)
    columns = [placed(column) for column in means.loc[names].to_numpy().T]
    rows: list[list[Value]] = [
        [name, *row] for name, row in zip(names, zip(*columns, strict=True), strict=True)
    ]
    caption = (
        f"{METRICS[HEADLINE]} on real data, {backbone}, bce or a loss of its own: means over a "
        "study's seeds, of which some have one; on top who is above the largest share of the "
        "others, each counted in the columns of both"
    )
    return Table(caption, ["sampler", *map(str, means.columns)], rows, n_text=1, kept=(0,))

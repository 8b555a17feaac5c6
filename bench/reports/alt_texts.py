"""A study's figures in words: what each shows, and who is best and worst in it, by how much."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.comparison import SYSTEM, Comparison
from bench.analysis.names import file_stem
from bench.metrics import BASELINE, HEADLINE, METRICS
from bench.reports.cost_report import COSTS, cost_header
from bench.reports.document import Document, Number, Table
from bench.reports.plots import curves, gains
from bench.reports.plots.buckets import FEWEST, KINDS

MOST = 8
"""Panels that are described one by one; of more only the extremes are."""

METRIC = METRICS[HEADLINE]


@dataclass(frozen=True)
class Described:
    """What a page knows of a picture besides its caption.

    Attributes:
        text: in place of it.
        backbone: that it is about; empty where it is about several.
        costs: of the figure of costs the headers of its axes in the table "Cost": across, up.
    """

    text: str
    backbone: str = ""
    costs: tuple[str, str] | None = None


def described(comparison: Comparison, tests: Document | None) -> dict[str, Described]:
    """Name of each picture of a comparison to what it shows.

    Args:
        comparison: the pictures' numbers.
        tests: its report on significance, which may have a picture too.
    """
    name = comparison.name.removeprefix("comparison-")
    found = {comparison.name: Described(_accuracy(comparison))}
    improved = gains.improvements(comparison.cells)
    if not improved.empty:
        found[f"gains-{name}"] = Described(_gains(improved))
    if tests is not None:
        found[tests.name] = Described(_ranks(tests))
    history = curves.histories(comparison)
    for backbone in sorted(set(comparison.trained["backbone"])):
        epochs = pd.DataFrame(history.xs(backbone, level="backbone"))
        axes = cost_header(comparison), COSTS[HEADLINE][0]
        for kind, words, costs in (
            ("costs", _costs(comparison, backbone), axes),
            ("validation", _validation(epochs), None),
            ("loss", _loss(epochs), None),
            ("diagnostics", _diagnostics(epochs), None),
            ("buckets", _buckets(comparison, backbone), None),
        ):
            text = f"{words} Backbone {backbone}."
            found[file_stem(kind, name, backbone)] = Described(text, backbone, costs)
    return found


Rows = list[list[Any]]
"""What names a panel, then the sampler, then the number."""


def _rows(values: pd.DataFrame | pd.Series[Any]) -> Rows:
    """Of numbers by what names the panel and the sampler, those that are known."""
    found: Rows = values.dropna().reset_index().to_numpy().tolist()
    return found


def _by_panel(rows: Rows, pattern: str = "{:.4f}") -> str:
    """Best and worst of each panel; of many panels, of all of them."""
    panels: dict[str, Rows] = {}
    for row in rows:
        panels.setdefault(_shown(row[:-2]), []).append(row)
    if len(panels) <= MOST:
        said = (f"{name}: {_extremes(its, pattern)}." for name, its in panels.items())
        return " ".join(said) or "No number."
    best, worst = (
        Counter(which(its, key=_value)[-2] for its in panels.values()).most_common(1)[0]
        for which in (max, min)
    )
    high, low = (
        f"{pattern.format(row[-1])}, {row[-2]} on {_shown(row[:-2])}"
        for row in (max(rows, key=_value), min(rows, key=_value))
    )
    return (
        f"Of {len(panels)} panels, best on {best[1]}: {best[0]}; worst on {worst[1]}: {worst[0]}. "
        f"Highest {high}; lowest {low}."
    )


def _extremes(rows: Rows, pattern: str) -> str:
    """Best and worst of one panel."""
    best, worst = (
        f"{row[-2]} {pattern.format(row[-1])}"
        for row in (max(rows, key=_value), min(rows, key=_value))
    )
    return f"{best} alone" if len(rows) == 1 else f"best {best}, worst {worst}"


def _value(row: list[Any]) -> float:
    return float(row[-1])


def _shown(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def _accuracy(comparison: Comparison) -> str:
    means = comparison.cells.groupby([*SYSTEM])[HEADLINE].mean()
    return (
        f"Dots: test {METRIC} of every sampler, with 95 % intervals over test users, by dataset "
        f"and backbone. {_by_panel(_rows(means))}"
    )


def _gains(improved: pd.DataFrame) -> str:
    """Args: what `gains.improvements` gives."""
    values = improved.rename_axis(columns="sampler").stack().swaplevel(0, 1)
    return (
        f"Heat map: test {METRIC} of every sampler against {BASELINE}, in %, by dataset and "
        f"backbone. {_by_panel(_rows(values), '{:+.1f} %')}"
    )


def _costs(comparison: Comparison, backbone: str) -> str:
    unit = cost_header(comparison).partition(", ")[2]
    panels: dict[str, Rows] = {}
    for dataset, its, *row in _rows(comparison.costs()[["cost_s", HEADLINE]]):
        if its == backbone:
            panels.setdefault(dataset, []).append(row)
    said = []
    for dataset, rows in sorted(panels.items()):
        # Each row is a sampler, its cost and its accuracy.
        best, worst = (which(rows, key=_value) for which in (max, min))
        cheapest, dearest = (which(rows, key=lambda row: float(row[1])) for which in (min, max))
        ends = ("best", best), ("worst", worst), ("cheapest", cheapest), ("dearest", dearest)
        each = (f"{word} {name}, {y:.4f} at {x:,.0f} {unit}" for word, (name, x, y) in ends)
        said.append(f"{dataset}: {'; '.join(each)}.")
    return (
        f"Points: test {METRIC} against the cost of training, on a logarithmic axis, a panel a "
        f"dataset, with the Pareto front. {' '.join(said)}"
    )


def _validation(epochs: pd.DataFrame) -> str:
    """Args: what `curves.histories` gives, of a backbone."""
    column = f"valid_{HEADLINE}"
    if column not in epochs:
        return ""
    best = epochs[column].groupby(level=["dataset", "sampler"]).max()
    return (
        f"Lines: validation {METRIC} against the epoch. At their highest: {_by_panel(_rows(best))}"
    )


def _loss(epochs: pd.DataFrame) -> str:
    if "loss" not in epochs:
        return ""
    lines = epochs["loss"].groupby(level=["dataset", "sampler"])
    change = lines.last() - lines.first()
    lengths = _rows(lines.size())
    few, most = (which(lengths, key=_value) for which in (min, max))
    return (
        f"Lines: training loss against the epoch; {int((change < 0).sum())} of {len(change)} lines "
        f"end below where they began. Fewest epochs: {few[-1]}, {few[1]} on {few[0]}; most: "
        f"{most[-1]}, {most[1]} on {most[0]}. Losses of several kinds are not to be compared."
    )


def _diagnostics(epochs: pd.DataFrame) -> str:
    ends = epochs.groupby(level=["dataset", "sampler"]).last().groupby(level="sampler").mean()
    said = []
    for name, title in curves.DIAGNOSTICS.items():
        values = ends[name].dropna() if name in ends else pd.Series(dtype=float)
        if len(values):
            shown = title.replace("\n", " ")
            said.append(
                f"{shown}: {values.min():.3g} ({values.idxmin()}) to {values.max():.3g} "
                f"({values.idxmax()})"
            )
    return (
        "Lines: what samplers draw, against the epoch. In their last epochs, means over each one's "
        f"datasets: {'; '.join(said) or 'no number'}."
    )


def _buckets(comparison: Comparison, backbone: str) -> str:
    cells = comparison.trained[comparison.trained["backbone"] == backbone]
    rows = [
        [*name.partition(":")[::2], sampler, bucket[HEADLINE]]
        for key, sampler in zip(cells["key"], cells["sampler"], strict=True)
        for name, bucket in comparison.store.load(key).buckets.items()
        if bucket["users"] >= FEWEST
    ]
    columns = ["kind", "bucket", "sampler", HEADLINE]
    means = pd.DataFrame(rows, columns=columns).groupby(columns[:3], sort=False).mean()
    said = [
        f"By {label}, means over each sampler's datasets: "
        f"{_by_panel([row for kind, *row in _rows(means) if kind == name])}"
        for name, label in KINDS.items()
    ]
    return f"Dots: test {METRIC} by popularity and length. {' '.join(said)}"


def _ranks(tests: Document) -> str:
    """Of the table beside the diagram of critical differences, if there is one."""
    for part in tests.parts:
        if isinstance(part, Table) and part.caption == "Mean ranks":
            shown = [
                f"{row[0]} {row[1].text if isinstance(row[1], Number) else row[1]}"
                for row in (part.rows[0], part.rows[-1])
            ]
            return (
                "Axis of mean ranks, on which bars join samplers that are not shown to differ. "
                f"Best {shown[0]}, worst {shown[1]}, of {len(part.rows)} samplers."
            )
    return ""

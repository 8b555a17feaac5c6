"""What is said about costs, and about systems whose costs nobody measured here."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.analysis.comparison import MEASURE, Comparison
from bench.metrics import HEADLINE, METRICS
from bench.reports.document import Heading, Number, Paragraph, Part, Table, Value
from bench.reports.tables import of_systems

COSTS = {
    "models": ("models", "{:.0f}"),
    "targets_per_s": ("targets/s", "{:,.0f}"),
    "best_epoch": ("best epoch", "{:.0f}"),
    "epochs": ("epochs", "{:.0f}"),
    "cost_s": ("cost", "{:.1f}"),
    "times": (f"x {MEASURE}", "{:.2f}"),
    "peak_mb": ("peak MB", "{:,.0f}"),
    HEADLINE: (METRICS[HEADLINE], "{:.4f}"),
}
"""Of the cost table: column of `Comparison.costs` to its header and format."""

COST = (
    "Means over seeds. Cost is what a user pays: {} of all epochs that were trained, which are "
    "those up to the best and the patience after it, or to the limit; beside it, its multiple of "
    f"what {MEASURE} costs on the same dataset. "
)
COSTS_OF_CELLS = (
    "They are the whole cell's, validation and test included, as it was trained beside others. "
    "Memory is the whole process's."
)
COSTS_IN_TURNS = (
    "They are of training alone, on a CPU, whatever the cells were trained on: the seconds of an "
    "epoch, and targets a second, were measured apart, all systems in turns in one run on one "
    "machine (costs.json), so that they can be compared. Memory is the whole process's."
)


def costs(comparison: Comparison) -> Iterator[Part]:
    """What each system costs."""
    yield Heading("Cost")
    unit = _unit(comparison)
    yield Paragraph(COST.format(unit) + (COSTS_IN_TURNS if comparison.in_turns else COSTS_OF_CELLS))
    found = comparison.costs()
    if elsewhere := sorted(set(found.index[found["cost_s"].isna()].get_level_values(2))):
        yield Paragraph(
            f"Trained on a GPU, whose seconds are not those of a CPU: {', '.join(elsewhere)}."
        )
    patterns = {
        cost_header(comparison) if column == "cost_s" else shown: pattern
        for column, (shown, pattern) in COSTS.items()
    }
    yield of_systems("Cost", found[[*COSTS]], patterns)


def external(comparison: Comparison) -> Iterator[Part]:
    """Where the systems of other libraries are from."""
    if not comparison.external:
        return
    yield Heading("External systems")
    yield Paragraph(
        "Models that another library trained, ranked and measured here on the same test users, "
        "with the same masks and ties; how they were trained, and on what, their users must say. "
        "They take part in all tables and tests, beside each backbone. Where lists end early, a "
        "target beyond counts as a miss, and metrics that this does not give exactly have a dash; "
        "seconds are as their users say, of whatever machine."
    )
    rows: list[list[Value]] = [
        [one.name, one.dataset, str(one.seed), one.source,
         "all, by the user's word" if one.complete else str(one.depth or "all"),
         Number(one.test[HEADLINE]), Number(one.seconds or math.nan, "{:,.0f}")]
        for one in comparison.external.values()
    ]  # fmt: skip
    header = ["system", "dataset", "seed", "from", "ranks known to", METRICS[HEADLINE], "seconds"]
    yield Table("External systems", header, rows, n_text=5, kept=(0,))


def cost_header(comparison: Comparison) -> str:
    """What the column of costs is called in the table "Cost"."""
    return f"{COSTS['cost_s'][0]}, {_unit(comparison)}"


def _unit(comparison: Comparison) -> str:
    return "CPU seconds" if comparison.on_cpu else "seconds"

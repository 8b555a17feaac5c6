"""How a study was tuned, beside its tables: what was chosen, of how many, and how they spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.metrics import SELECT_ON
from bench.reports.tables import as_markdown
from bench.studies import tuning
from bench.studies.store import Store
from bench.studies.tuning import Tuned


def write(study: Path, folder: Path) -> list[Path]:
    """Write Markdown and CSV files on how a study was tuned; returns the files, if any.

    They are ``tuning.md`` and ``tuning.csv``; of synthetic data ``tuning-synthetic.md`` and so on.

    Args:
        study: ``results/<study>``.
        folder: where to write; it exists.

    Raises:
        UserError: ``tuning.json`` cannot be read.
        OSError: the folder cannot be written.
    """
    written = []
    tuned = tuning.read(study) or []
    for synthetic in (False, True):
        systems = [one for one in tuned if one.synthetic == synthetic]
        if not systems:
            continue
        name = f"tuning{'-synthetic' * synthetic}"
        rows = [_row(one, _tested(study, one)) for one in systems]
        table, text = folder / f"{name}.csv", folder / f"{name}.md"
        pd.DataFrame(rows).to_csv(table, index=False)
        text.write_text(_markdown(systems, pd.DataFrame(rows)))
        written += [text, table]
    return written


def _tested(study: Path, tuned: Tuned) -> dict[str, float]:
    """Trial key to test metric; empty unless all trials that succeeded have been tested."""
    tests = Store(study / tuning.TESTS)
    records = {one.key: one for one in tests.records() if one.tested}
    keys = [trial.key for trial in tuned.trials if trial.status == "done"]
    if any(key not in records for key in keys):
        return {}
    return {key: records[key].test[SELECT_ON] for key in keys}


def _row(tuned: Tuned, tested: dict[str, float]) -> dict[str, Any]:
    """A system: what it was given, what was chosen, and the distribution over its trials."""
    winner = tuning.best(tuned.trials)
    valid = {t.key: t.valid[SELECT_ON] for t in tuned.trials if t.status == "done"}
    row = {
        "dataset": tuned.dataset,
        "synthetic": tuned.synthetic,
        "backbone": tuned.backbone,
        "sampler": tuned.sampler,
        "objective": tuned.objective,
        "budget": tuned.budget,
        "trials": len(tuned.trials),
        "failed": len(tuned.trials) - len(valid),
        "space": tuning.size_of(tuned.space),
        "exhausted": tuned.exhausted,
        "chosen": "" if tuned.chosen is None else tuning.shown(tuned.chosen),
    }
    for part, values in (("valid", valid), ("test", tested)):
        row |= {f"{part}_{name}": value for name, value in _spread(list(values.values())).items()}
    row["test_chosen"] = None if winner is None else tested.get(tuned.trials[winner].key)
    return row


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    """Best, median and (of two or more) sample standard deviation."""
    return {
        "best": max(values, default=None),
        "median": statistics.median(values) if values else None,
        "sd": statistics.stdev(values) if len(values) > 1 else None,
    }


def _title(tuned: Tuned) -> str:
    """What is the same for all that stand in one table."""
    protocol = tuned.protocol
    return (
        f"Tuning: {'SYNTHETIC data' if tuned.synthetic else 'Real data'}, "
        f"{tuned.objective} loss, split {protocol['split']}, d={protocol['dim']}, "
        f"window {protocol['window']}, at most {protocol['epochs']} epochs"
    )


def _markdown(tuned: Sequence[Tuned], frame: pd.DataFrame) -> str:
    titles = [_title(one) for one in tuned]
    lines: list[str] = []
    for title in dict.fromkeys(titles):
        lines += _section(title, frame[[title == other for other in titles]])
    spaces = dict.fromkeys(
        f"- {one.sampler} on {one.backbone}, {one.objective} loss: "
        + ("; ".join(f"{name} in {values}" for name, values in one.space.items()) or "nothing")
        for one in tuned
    )
    return as_markdown([*lines, "# Search spaces", "", *spaces])


def _section(title: str, rows: pd.DataFrame) -> list[str]:
    metric = SELECT_ON.upper()
    lines = [
        f"# {title}",
        "",
        "Every system was given the same number of trials, trained at seed 0 without the test "
        f"split; the best validation {metric} was chosen. Fewer trials than the budget: the "
        "search space holds no more configurations. Spread over trials is what choosing the best "
        "of many runs could show, not seed noise.",
        "",
        f"## Validation {metric} over trials",
        "",
        "| dataset | backbone | sampler | trials | best | median | sd | chosen |",
        "|---|---|---|--:|--:|--:|--:|---|",
    ]
    for row in rows.to_dict("records"):
        trials = f"{row['trials']} of {row['budget']}"
        trials += ", space exhausted" if row["exhausted"] else ""
        trials += f", {row['failed']} failed" if row["failed"] else ""
        numbers = [_number(row[f"valid_{name}"]) for name in ("best", "median", "sd")]
        cells = [*_names(row), trials, *numbers, row["chosen"] or "none: no trial succeeded"]
        lines.append(f"| {' | '.join(cells)} |")
    tested = rows.dropna(subset=["test_chosen"])
    if len(tested):
        lines += [
            "",
            f"## Test {metric} over trials: not used for any choice",
            "",
            "Tested after everything was chosen. Best is what a report of the best of many runs "
            "would have shown; chosen is the same configuration, at seed 0, as validation chose.",
            "",
            "| dataset | backbone | sampler | trials | chosen | best | median | sd |",
            "|---|---|---|--:|--:|--:|--:|--:|",
        ]
    for row in tested.to_dict("records"):
        numbers = [_number(row[f"test_{name}"]) for name in ("chosen", "best", "median", "sd")]
        count = str(row["trials"] - row["failed"])
        lines.append(f"| {' | '.join([*_names(row), count, *numbers])} |")
    return [*lines, ""]


def _names(row: dict[Any, Any]) -> list[str]:
    return [str(row[name]) for name in ("dataset", "backbone", "sampler")]


def _number(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.4f}"

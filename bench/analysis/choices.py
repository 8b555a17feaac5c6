"""What validation chooses where a method was run with several settings."""

from __future__ import annotations

from typing import cast

import pandas as pd

from bench.analysis.comparison import SYSTEM
from bench.metrics import HEADLINE, METRICS, SELECT_ON

CHOICE = ("dataset", "backbone", "method")
CHOICES = (
    *("chosen", "best on test", "settings", "seeds"),
    *(f"{which} {METRICS[HEADLINE]}" for which in ("chosen", "best", "median")),
    "sd",
)


def choices_of(cells: pd.DataFrame) -> pd.DataFrame:
    """What validation would choose of methods that were run with several settings.

    Means over the seeds that all settings of a method have, by `CHOICE`: `CHOICES`, which are the
    setting with the best validation and the one with the best test, how many settings and seeds,
    the headline metric on test of the two, and its median and standard deviation over the
    settings.  A method whose settings have no seed in common is left out.

    Args:
        cells: a row a cell, with the columns of `Comparison.cells` that this takes.
    """
    valid, rows = f"valid_{SELECT_ON}", {}
    cells = cells.reindex(columns=["method", *SYSTEM, "seed", valid, HEADLINE])
    for key, its in cells.groupby([*CHOICE]):
        of_cells = its.groupby(["seed", "sampler"])[[valid, HEADLINE]].mean()
        by_seed = cast("pd.DataFrame", of_cells.unstack()).dropna()  # seeds that all have
        means = by_seed.mean().unstack(level=0)
        if by_seed.empty or len(means) == 1:
            continue
        test, chosen = means[HEADLINE], means.nlargest(1, valid).iloc[0]
        numbers = [chosen[HEADLINE], test.max(), test.median(), test.std()]
        rows[key] = [chosen.name, test.idxmax(), len(means), len(by_seed), *numbers]
    index = pd.MultiIndex.from_tuples(rows, names=CHOICE)
    return pd.DataFrame(list(rows.values()), index=index, columns=list(CHOICES))


def by_validation(cells: pd.DataFrame, dataset: str, backbone: str) -> dict[str, str]:
    """Of each method on a dataset with a backbone, the setting that validation chooses, to the
    method's name; by the mean over the seeds that a setting has."""
    valid = f"valid_{SELECT_ON}"
    cells = cells.reindex(columns=["method", *SYSTEM, valid]).fillna({valid: 0.0})
    its = cells[(cells["dataset"] == dataset) & (cells["backbone"] == backbone)]
    means = its.groupby(["method", "sampler"])[valid].mean().reset_index()
    best = means.loc[means.groupby("method")[valid].idxmax()]
    return dict(zip(best["sampler"], best["method"], strict=True))

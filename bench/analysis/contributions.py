"""What each test user contributes to a metric, and how far the metric is known by that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import t

from bench.metrics import EXPECTED, gains
from bench.studies.records import Arrays
from bench.studies.store import Store

PREDICTIONS = "predictions"
"""Beside the metrics of users: how many predictions they have."""


def gains_by_user(store: Store, keys: Iterable[str]) -> pd.DataFrame:
    """What each test user contributes to the metrics of the cells (one a seed); `contributions`."""
    return contributions(pd.concat(map(predictions_of, map(store.arrays, keys))))


def predictions_of(arrays: Arrays) -> pd.DataFrame:
    """``[predictions x metrics]``, by user: in expectation where that is known."""
    expected = {
        name.removeprefix(EXPECTED): np.asarray(array, dtype=np.float64)
        for name, array in arrays.items()
        if name.startswith(EXPECTED)
    }
    return pd.DataFrame(expected or gains(arrays["rank"]), index=arrays["user"])


def contributions(predictions: pd.DataFrame) -> pd.DataFrame:
    """``[users x metrics]`` values whose mean over users is the metric.

    Where users have several predictions, the metric is a ratio of two sums over users, and these
    values are linearised (Cochran, Sampling Techniques, 1977, 6.4): the metric plus what the
    user's predictions are above or below it, so that to have many is no gain by itself.

    Args:
        predictions: ``[predictions x metrics]``, indexed by user.

    Returns:
        Besides the metrics a column `PREDICTIONS`: how many the user has, as a multiple of the
        mean.
    """
    metrics = predictions.mean()
    by_user = (predictions - metrics).groupby(level=0)
    counts = by_user.size()
    values = by_user.sum() / counts.mean() + metrics
    return values.assign(**{PREDICTIONS: counts / counts.mean()})


def half_widths(values: pd.DataFrame) -> pd.Series[float]:
    """Half the widths of the metrics' 95 % t-intervals over test users.

    Args:
        values: what `contributions` gives.
    """
    freedom = effective(values[PREDICTIONS]) - 1
    return cast("pd.Series[float]", t.ppf(0.975, freedom) * values.drop(columns=PREDICTIONS).sem())


def margins_over_users(store: Store, keys: Iterable[str]) -> pd.Series[float]:
    """`half_widths` of cells one a seed."""
    return half_widths(gains_by_user(store, keys))


def effective(predictions: pd.Series[float]) -> float:
    """How many users with equally many predictions would weigh the same (Kish, 1965).

    Args:
        predictions: of each user, in any unit.
    """
    return float(predictions.sum() ** 2 / (predictions**2).sum()) if len(predictions) else 0.0

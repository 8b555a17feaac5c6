"""The k-core of a log: every user and every item left has at least k interactions."""

from __future__ import annotations

import numpy as np
import pandas as pd


def k_core(events: pd.DataFrame, k: int) -> pd.DataFrame:
    """Drop users and items with fewer than ``k`` rows until none is left.

    Args:
        events: columns ``user`` and ``item``, and any others; a row an interaction.
        k: least number of rows.

    Returns:
        The rows kept, in their order.
    """
    codes = [pd.factorize(events[column])[0] for column in ("user", "item")]
    kept = np.arange(len(events))
    while True:
        enough = np.ones(len(kept), dtype=bool)
        for code in codes:
            enough &= np.bincount(code[kept])[code[kept]] >= k if len(kept) else True
        if enough.all():
            return events.iloc[kept]
        kept = kept[enough]

"""The k-core of a log: every user and every item left has at least k interactions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]


def k_core(events: pd.DataFrame, k: int) -> pd.DataFrame:
    """Drop users and items with fewer than ``k`` rows until none is left.

    Args:
        events: columns ``user`` and ``item``, and any others; a row an interaction.
        k: least number of rows.

    Returns:
        The rows kept, in their order.
    """
    codes = [pd.factorize(events[column])[0] for column in ("user", "item")]
    return events.iloc[core_of(codes, np.arange(len(events)), k)]


def core_of(codes: Sequence[npt.NDArray[np.integer]], kept: Ints, k: int) -> Ints:
    """The same for numbered users and items.

    Args:
        codes: ``[n]`` numbers of the users, and of the items.
        kept: rows to begin with.
        k: least number of rows.

    Returns:
        Those of ``kept`` that stay, in their order.
    """
    while True:
        enough = np.ones(len(kept), dtype=bool)
        for code in codes:
            enough &= np.bincount(code[kept])[code[kept]] >= k if len(kept) else True
        if enough.all():
            return kept
        kept = kept[enough]

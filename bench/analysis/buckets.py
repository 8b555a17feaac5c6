"""For whom a system is good: the headline metric by bucket, with intervals over test users."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.contributions import contributions, half_widths
from bench.metrics import HEADLINE, gains
from bench.studies.records import Arrays
from bench.studies.store import Store

SORTED_BY = {"popularity": ("target_count", -1), "length": ("length", 1)}
"""What stands before the colon of a bucket's name, to the array that it goes by and the sign in
which its buckets follow each other: the most popular first, and the shortest."""


def by_bucket(store: Store, keys: Sequence[str]) -> pd.DataFrame:
    """The buckets of a system's cells (one a seed), in the order in which they are stored.

    Buckets are cut from the predictions in their order, by the sizes that cells store.  That is
    how lengths were cut; items of equal counts across the cut of two thirds of popularity may
    change places, which moves an interval a little, and the mean, which is stored, not at all.

    Returns:
        By bucket (``popularity:head``): ``users``, test predictions, the most of any seed; the
        headline metric, mean over seeds; ``half``, half the width of its 95 % interval over test
        users, NaN of cells without the arrays that it takes.
    """
    records = [store.load(key) for key in keys]
    arrays = [store.arrays(key) for key in keys]
    parts: dict[str, list[pd.DataFrame]] = {}
    for record, its in zip(records, arrays, strict=True):
        for name, chosen in _members(its, record.buckets):
            values = {HEADLINE: gains(its["rank"][chosen])[HEADLINE]}
            parts.setdefault(name, []).append(pd.DataFrame(values, index=its["user"][chosen]))
    rows = {}
    for name in dict.fromkeys(name for record in records for name in record.buckets):
        stored = pd.DataFrame([r.buckets[name] for r in records if name in r.buckets])
        half = math.nan
        if name in parts:
            half = float(half_widths(contributions(pd.concat(parts[name])))[HEADLINE])
        size, mean = int(stored["users"].max()), float(stored[HEADLINE].mean())
        rows[name] = {"users": size, HEADLINE: mean, "half": half}
    return pd.DataFrame.from_dict(rows, orient="index")


def _members(
    arrays: Arrays, buckets: Mapping[str, Mapping[str, float]]
) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Each bucket with its predictions, where the arrays tell them."""
    for kind, (array, sign) in SORTED_BY.items():
        its = [name for name in buckets if name.startswith(f"{kind}:")]
        if array in arrays and its:
            order = np.argsort(sign * arrays[array], kind="stable")
            ends = np.cumsum([int(buckets[name]["users"]) for name in its])
            yield from zip(its, np.split(order, ends)[: len(its)], strict=True)

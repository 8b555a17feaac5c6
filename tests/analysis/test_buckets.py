"""Accuracy by bucket, with its interval."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t
from support import cell_of
from support.results import result_of

from bench.analysis.buckets import by_bucket
from bench.metrics import by_bucket as buckets_of
from bench.metrics import gains
from bench.studies.store import Store


def with_buckets(seed, n_items=30, n=400):
    """A cell's result with ranks, buckets and what they are cut by; every item its own count."""
    rng = np.random.default_rng(seed)
    counts = np.concatenate([[0], 1 + np.random.default_rng(7).permutation(n_items)])
    targets = np.random.default_rng(8).integers(1, n_items + 1, n).astype(np.int32)
    lengths = np.random.default_rng(9).integers(1, 60, n)
    ranks = rng.integers(1, 25, n).astype(float)
    arrays = {"rank": ranks, "user": np.arange(n), "target": targets, "length": lengths}
    arrays["target_count"] = counts[targets]
    found = buckets_of(ranks, targets, lengths, counts)
    return replace(result_of(cell_of(seed=seed)), arrays=arrays, buckets=found)


def test_intervals_are_of_the_users_in_the_bucket(tmp_path):
    store, results = Store(tmp_path), [with_buckets(seed) for seed in (0, 1)]
    for result in results:
        store.save(result)
    found = by_bucket(store, [result.cell.key for result in results])
    assert list(found.index) == list(results[0].buckets)
    arrays = results[0].arrays
    values = np.mean([gains(result.arrays["rank"])["ndcg@10"] for result in results], axis=0)
    members = {
        "length:6-10": (arrays["length"] > 5) & (arrays["length"] <= 10),
        "length:>50": arrays["length"] > 50,
        # A third of 465 interactions is what the items of the six highest counts hold.
        "popularity:head": arrays["target_count"] >= 25,
    }
    for name, chosen in members.items():
        users, mean, half = found.loc[name]
        assert users == chosen.sum()
        assert mean == pytest.approx(values[chosen].mean())
        deviation = values[chosen].std(ddof=1) / np.sqrt(users)
        assert half == pytest.approx(t.ppf(0.975, users - 1) * deviation)


def test_cells_without_arrays_have_buckets_without_intervals(tmp_path):
    store, result = Store(tmp_path), with_buckets(0)
    store.save(replace(result, arrays={k: result.arrays[k] for k in ("rank", "user")}))
    found = by_bucket(store, [result.cell.key])
    assert found["half"].isna().all() and found["ndcg@10"].notna().all()

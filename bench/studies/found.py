"""What is kept of a ranking of the test split, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.metrics import EXPECTED, accuracy, beyond_accuracy, by_bucket
from bench.studies.records import Arrays
from bench.training.evaluation import Ranking


@dataclass(frozen=True)
class Found:
    """What a result holds beyond training: parts of its data, metrics, buckets and arrays."""

    data: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    buckets: dict[str, dict[str, float]]
    arrays: Arrays


def expected_of(ranking: Ranking) -> Arrays:
    """What each prediction contributes to metrics in expectation, where that is known."""
    return {
        f"{EXPECTED}{name}": each.astype(np.float32)
        for name, each in (ranking.expected or {}).items()
    }


def found_by(ranking: Ranking, test: Examples, data: TrainingData) -> Found:
    """Numbers of users and targets, metrics, the headline metric by bucket, and what is kept of
    each test prediction.

    Args:
        ranking: of ``test``; coverage and popularity are of its lists, if it has any.
        test: held-out predictions.
        data: what was trained on.
    """
    counts = np.bincount(data.train.items, minlength=data.n_items + 1)
    lengths, new = np.diff(test.offsets), ~test.repeated
    apart = {"test_new": accuracy(ranking.ranks[new])} if 0 < new.sum() < len(new) else {}
    if ranking.expected is not None:
        apart["test_sampled"] = accuracy(ranking.ranks)
    beyond = beyond_accuracy(ranking.top, counts) if ranking.top.size else {}
    return Found(
        data={
            "test_users": len(np.unique(test.users)),
            "test_targets": len(test.targets),
            "test_repeated": int(test.repeated.sum()),
        },
        metrics={"test": ranking.accuracy | beyond, **apart},
        buckets=by_bucket(ranking.ranks, test.targets, lengths, counts),
        arrays={
            "rank": ranking.ranks,
            **expected_of(ranking),
            "user": test.users,
            "target": test.targets,
            "length": lengths,
            "target_count": counts[test.targets],
        },
    )

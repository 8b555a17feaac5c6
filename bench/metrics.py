"""Metrics that follow from ranks, and which of them tables, choices and baselines go by."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

METRICS = {
    "recall@5": "RC@5",
    "recall@10": "RC@10",
    "recall@20": "RC@20",
    "ndcg@5": "NG@5",
    "ndcg@10": "NG@10",
    "ndcg@20": "NG@20",
}
"""Stored metric to its name in the paper's Table 3."""


HEADLINE = "ndcg@10"


BASELINE = "uniform"


SELECT_ON = "ndcg@20"
"""The validation metric that early stopping and the choice of the best epoch go by."""


CUTOFFS = (5, 10, 20)


FROM_RANKS = [*(f"{m}@{K}" for m in ("recall", "ndcg") for K in CUTOFFS), "mrr"]
"""All that follows from ranks, and so can be had of any stored cell."""


EXPECTED = "expected_"
"""Before a metric's name: what each prediction contributes to it in expectation."""


MISSED = float(2**31)
"""Rank of a held-out item that cannot be recommended, as the user has had it: no metric counts it,
however small the catalogue."""


TOP = 10
"""Length of the list over which coverage and popularity of recommendations are measured."""


def accuracy(ranks: Floats) -> dict[str, float]:
    """Recall@K and NDCG@K for K in CUTOFFS, and MRR, from ranks ``[U]``.

    With one relevant item a user, NDCG@K is 1 / log2(rank + 1) for rank <= K, else 0.
    """
    return {name: float(each.mean()) for name, each in gains(ranks).items()}


def gains(ranks: Floats) -> dict[str, Floats]:
    """What a held-out item at each of ``ranks`` contributes to each metric."""
    found = {}
    for K in CUTOFFS:
        hit = ranks <= K
        found[f"recall@{K}"] = hit.astype(np.float64)
        found[f"ndcg@{K}"] = np.where(hit, 1 / np.log2(ranks + 1), 0.0)
    found["mrr"] = np.where(ranks < MISSED, 1 / ranks, 0.0)
    return found


def expected_in_order(scores: Floats, probabilities: Floats) -> dict[str, Floats]:
    """What predictions contribute to each metric in expectation, ``[P]``; ties count half.

    Args:
        scores: ``[P, n]`` of the items, best first; -inf, at the end, of what is not recommended:
            should it come next, it is a miss.
        probabilities: ``[P, n]`` that what comes next is each of the items, in the same order.
    """
    n = scores.shape[1]
    probabilities = np.where(scores > -np.inf, probabilities, 0.0)
    found = _summed(probabilities, gains(np.arange(1.0, n + 1)))
    same = (scores[:, 1:] == scores[:, :-1]) & (scores[:, 1:] > -np.inf)
    tied = np.flatnonzero(same.any(axis=1))
    if len(tied):
        at_rank = _at_half_ranks(same[tied], probabilities[tied])
        for name, each in _summed(at_rank, gains(np.arange(1, 2 * n + 1) / 2)).items():
            found[name][tied] = each
    return found


def _at_half_ranks(same: npt.NDArray[np.bool_], probabilities: Floats) -> Floats:
    """``[P, 2 n]`` probability that the target has the mean rank 1/2, 1, 3/2, ...

    Args:
        same: ``[P, n - 1]`` whether each item but the first scores as the one before it.
        probabilities: ``[P, n]`` of the items in their order.
    """
    P, n = probabilities.shape
    in_turn = np.arange(1, n + 1)
    begins = np.insert(~same, 0, True, axis=1)
    ends = np.roll(begins, -1, axis=1)  # the first begins a run, and the last ends one
    first = np.maximum.accumulate(np.where(begins, in_turn, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, in_turn, n)[:, ::-1], axis=1)[:, ::-1]
    # The mean rank of equals is half the sum of the first's and the last's.
    place = first + last - 1 + 2 * n * np.arange(P)[:, None]
    summed = np.bincount(place.ravel(), probabilities.ravel(), minlength=2 * n * P)
    return np.asarray(summed, dtype=np.float64).reshape(P, 2 * n)


def _summed(probabilities: Floats, worth: dict[str, Floats]) -> dict[str, Floats]:
    """``[P]`` of each metric: what a target at each rank is worth, times how probable it is there.

    A product of BLAS has last digits that hang on its threads and on where an array begins.
    """
    found = {}
    for name, each in worth.items():
        ranks = np.flatnonzero(each)[-1] + 1  # those beyond are worth nothing
        found[name] = (probabilities[:, :ranks] * each[:ranks]).sum(axis=1)
    return found


def beyond_accuracy(top: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """What the first TOP recommendations are made of.

    Args:
        top: ``[U, TOP]`` recommended items; 0 where a user has had so many that none is left.
        counts: ``[n_items + 1]`` training interactions of each item.

    Returns:
        ``coverage@10``, the share of the catalogue recommended to anybody; ``popularity@10``, the
        mean number of training interactions of a recommended item; nothing of no items.
    """
    top = top[top > 0]
    if not len(top):
        return {}
    return {
        f"coverage@{TOP}": float(len(np.unique(top)) / (len(counts) - 1)),
        f"popularity@{TOP}": float(counts[top].mean()),
    }


def by_bucket(
    ranks: Floats,
    targets: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> dict[str, dict[str, float]]:
    """NDCG@10 by the target's popularity and by the input's length.

    Popularity buckets: ``head``, ``torso`` and ``tail`` are the most, less and least popular
    items, each holding about a third of the training interactions.

    Args:
        ranks: ``[U]``.
        targets: ``[U]`` held-out items.
        lengths: ``[U]`` items in the user's input.
        counts: ``[n_items + 1]`` training interactions of each item.

    Returns:
        Bucket name to ``{"users": how many, "ndcg@10": ...}``; empty buckets are left out.
    """
    order = np.argsort(-counts[1:], kind="stable") + 1
    before = np.cumsum(counts[order]) - counts[order]
    third = np.empty(len(counts), dtype=np.int64)
    third[order] = np.minimum(2, 3 * before // max(1, counts.sum()))
    buckets = {
        f"popularity:{name}": third[targets] == i
        for i, name in enumerate(("head", "torso", "tail"))
    }
    edges = [0, 5, 10, 20, 50, np.inf]
    for low, high in itertools.pairwise(edges):
        name = f"length:{low + 1}-{high}" if np.isfinite(high) else f"length:>{low}"
        buckets[name] = (lengths > low) & (lengths <= high)
    return {
        name: {"users": int(chosen.sum()), "ndcg@10": accuracy(ranks[chosen])["ndcg@10"]}
        for name, chosen in buckets.items()
        if chosen.any()
    }

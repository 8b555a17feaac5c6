"""Full-catalogue ranking and the metrics that follow from ranks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backbones.base import Backbone, last_states
from bench.datasets.splits import Examples

CUTOFFS = (5, 10, 20)
TOP = 10
"""Length of the list over which coverage and popularity of recommendations are measured."""

SCORES_AT_ONCE = 2**23
"""Upper bound on users x items scored in one go (32 MB of float32: they stay near the caches)."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Where the held-out items came.

    Attributes:
        ranks: ``[U]`` rank of each target from 1, a tie counting half.
        top: ``[U, TOP]`` int64 item ids recommended first (fewer columns in a tiny catalogue).
    """

    ranks: Floats
    top: npt.NDArray[np.int64]


@torch.no_grad()
def rank_users(model: Backbone, examples: Examples, device: torch.device) -> Ranking:
    """Rank every held-out item among the whole catalogue.

    Items already in the user's input are masked with -inf, as is the padding row.  A target that
    the input holds already is masked too, so it ranks among the last: recommending what the user
    has had is not counted as a success.

    Args:
        model: put into evaluation mode for the call, and back after it.
        examples: held-out predictions.
        device: where the model lives.

    Raises:
        FloatingPointError: a score is not finite (the model has diverged).
    """
    was_training = model.training
    model.eval()
    table = model.items.weight
    n_items = len(table) - 1
    items = torch.as_tensor(examples.items, dtype=torch.int64, device=device)
    offsets = torch.as_tensor(examples.offsets, device=device)
    targets = torch.as_tensor(examples.targets, dtype=torch.int64, device=device)
    # Users of like length together: little padding to encode.
    order = torch.argsort(offsets.diff(), stable=True)
    ranks = torch.empty(len(targets), dtype=torch.float64, device=device)
    top = torch.empty((len(targets), min(TOP, n_items)), dtype=torch.int64, device=device)
    for users in order.split(max(1, min(512, SCORES_AT_ONCE // len(table)))):
        states = _encode(model, items, offsets, users)
        scores = states @ table.t()
        if not torch.isfinite(scores).all():
            raise FloatingPointError("scores are not finite: the model has diverged")
        rows, seen = _history(items, offsets, users)
        scores[rows, seen] = -torch.inf
        scores[:, 0] = -torch.inf
        target = scores.gather(1, targets[users][:, None])
        above = (scores > target).sum(1)
        # Without the target itself and, should it be masked, the padding row.
        tied = (scores == target).sum(1) - 1 - torch.isneginf(target).squeeze(1).long()
        ranks[users] = 1 + above.double() + tied.double() / 2
        top[users] = scores.topk(top.shape[1], dim=1).indices
    model.train(was_training)
    return Ranking(ranks.cpu().numpy(), top.cpu().numpy())


def _encode(model: Backbone, items: Tensor, offsets: Tensor, users: Tensor) -> Tensor:
    """``[U, d]`` state after each user's last ``window`` items."""
    lengths = (offsets[users + 1] - offsets[users]).clamp(max=model.window)
    start = offsets[users + 1] - lengths
    position = torch.arange(int(lengths.max()), device=items.device)
    index = (start[:, None] + position).clamp_(max=len(items) - 1)
    inputs = items[index] * (position < lengths[:, None])
    return last_states(model(inputs, lengths), lengths)


def _history(items: Tensor, offsets: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (row, item) of all that each user has seen, beyond the window too."""
    counts = offsets[users + 1] - offsets[users]
    rows = torch.repeat_interleave(torch.arange(len(users), device=items.device), counts)
    nth = torch.arange(len(rows), device=items.device) - (counts.cumsum(0) - counts)[rows]
    return rows, items[offsets[users][rows] + nth]


def accuracy(ranks: Floats) -> dict[str, float]:
    """Recall@K and NDCG@K for K in CUTOFFS, and MRR, from ranks ``[U]``.

    With one relevant item a user, NDCG@K is 1 / log2(rank + 1) for rank <= K, else 0.
    """
    metrics = {}
    for K in CUTOFFS:
        hit = ranks <= K
        metrics[f"recall@{K}"] = float(hit.mean())
        metrics[f"ndcg@{K}"] = float(np.where(hit, 1 / np.log2(ranks + 1), 0.0).mean())
    metrics["mrr"] = float((1 / ranks).mean())
    return metrics


def beyond_accuracy(top: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """What the first TOP recommendations are made of.

    Args:
        top: ``[U, TOP]`` recommended items.
        counts: ``[n_items + 1]`` training interactions of each item.

    Returns:
        ``coverage@10``, the share of the catalogue recommended to anybody; ``popularity@10``, the
        mean number of training interactions of a recommended item.
    """
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

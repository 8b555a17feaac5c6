"""Accuracy of a reference on held-out predictions, ranked as those of a trained model are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.datasets.splits import Examples
from bench.errors import UserError
from bench.metrics import MISSED, accuracy, expected_in_order
from bench.references.base import Floats, Ints, Items, Reference

SCORES_AT_ONCE, FEWEST_AT_ONCE = 2**20, 8
"""Predictions x items scored in one go, 8 MB; and predictions, whatever the catalogue."""


@dataclass(frozen=True)
class _Piece:
    """Some of the examples, and their scores ``[P, n_items + 1]``."""

    chosen: slice
    items: Items
    offsets: Ints
    scores: Floats


def measure(reference: Reference, examples: Examples, n_items: int) -> dict[str, float]:
    """Accuracy of a fitted reference: where the true distribution of what comes next is known, its
    expectation, else that on what came.

    Raises:
        UserError: what it gives are no scores of all items.
    """
    probabilities = examples.probabilities
    if probabilities is None:
        return accuracy(ranks(reference, examples, n_items))
    expected = [
        _expected(piece.scores, probabilities[piece.chosen])
        for piece in _masked(reference, examples, n_items)
    ]
    return {
        name: float(np.concatenate([each[name] for each in expected]).mean())
        for name in expected[0]
    }


def _expected(scores: Floats, probabilities: Floats) -> dict[str, Floats]:
    order = np.argsort(-scores, axis=1)  # it does not matter which of equals comes first
    in_order = (np.take_along_axis(each, order, axis=1) for each in (scores, probabilities))
    return expected_in_order(*in_order)


def ranks(reference: Reference, examples: Examples, n_items: int) -> Floats:
    """``[P]`` rank of each held-out item among the whole catalogue, from 1, a tie counting half.

    What the input holds is masked, unless the examples say otherwise; a target that is has the rank
    `MISSED`, as in `bench.training.evaluation.rank_predictions`.

    Raises:
        UserError: what it gives are no scores of all items.
    """
    found = np.empty(len(examples.targets))
    for piece in _masked(reference, examples, n_items):
        found[piece.chosen] = target_ranks(piece.scores, examples.targets[piece.chosen])
    if examples.masked:
        found[examples.repeated] = MISSED
    return found


def target_ranks(scores: Floats, targets: Items) -> Floats:
    """``[P]`` rank of each target from 1, a tie counting half.

    Args:
        scores: ``[P, n_items + 1]``, -inf of what is masked.
        targets: ``[P]``.
    """
    target = scores[np.arange(len(scores)), targets][:, None]
    above = np.count_nonzero(scores > target, axis=1)
    tied = np.count_nonzero(scores == target, axis=1) - 1  # without the target itself
    return 1 + above + tied / 2


def _masked(reference: Reference, examples: Examples, n_items: int) -> Iterator[_Piece]:
    """All examples, in pieces; padding scores -inf, and so does what the input holds, unless the
    examples are not ``masked``."""
    for piece in _pieces(reference, examples, n_items):
        if examples.masked:
            rows = np.repeat(np.arange(len(piece.scores)), np.diff(piece.offsets))
            piece.scores[rows, piece.items] = -np.inf
        piece.scores[:, 0] = -np.inf
        yield piece


def _pieces(reference: Reference, examples: Examples, n_items: int) -> Iterator[_Piece]:
    at_once = max(FEWEST_AT_ONCE, SCORES_AT_ONCE // (n_items + 1))
    for start in range(0, len(examples.targets), at_once):
        chosen = slice(start, start + at_once)
        users = examples.users[chosen]
        offsets = examples.offsets[start : start + len(users) + 1]
        items = examples.items[offsets[0] : offsets[-1]]
        scores = reference.scores(items, offsets - offsets[0], users)
        shape = (len(users), n_items + 1)
        if getattr(scores, "shape", None) != shape:
            given = list(scores.shape) if hasattr(scores, "shape") else type(scores).__name__
            raise UserError(
                f"reference {reference.name!r}: scores() gave {given}; it must give an array "
                f"[P, n_items + 1] = {list(shape)}"
            )
        if not np.isfinite(scores).all():
            raise UserError(
                f"reference {reference.name!r}: scores() gave what is not a finite number"
            )
        yield _Piece(chosen, items, offsets, np.array(scores))

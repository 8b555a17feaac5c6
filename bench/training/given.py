"""Held-out items ranked by what another library's model recommends, as trained models rank them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.datasets.reading.predictions import Floats, Ints, Predictions
from bench.datasets.splits import Examples
from bench.errors import UserError
from bench.metrics import CUTOFFS, FROM_RANKS, MISSED, TOP, expected_in_order
from bench.references.ranking import FEWEST_AT_ONCE, SCORES_AT_ONCE, target_ranks
from bench.training.evaluation import Ranking


@dataclass(frozen=True)
class Given:
    """Where held-out items come in another model's order.

    Attributes:
        ranking: its ranks; `MISSED` of an item that is beyond its list.
        depth: ranks are known so far of everybody, as the shortest list ends there; None where
            all are.
    """

    ranking: Ranking
    depth: int | None

    @property
    def known(self) -> list[str]:
        """The metrics that these ranks give exactly: those at K up to the depth."""
        if self.depth is None:
            return FROM_RANKS
        return [f"{m}@{K}" for m in ("recall", "ndcg") for K in CUTOFFS if self.depth >= K]


def rank_given(
    predictions: Predictions,
    labels: npt.NDArray[np.str_],
    examples: Examples,
    n_items: int,
    complete: bool = False,
) -> Given:
    """Rank every held-out item as `bench.training.evaluation.rank_predictions` does.

    What the user has had is masked, and an item of it in a list gives way to the next, and a target
    that the user has had is a miss, unless the examples say otherwise; ties count half.

    Args:
        predictions: of exactly these examples.
        labels: ``[P]`` what each example goes by.
        examples: held-out predictions.
        n_items: catalogue size.
        complete: what is not listed is never recommended, so that it is a miss at any rank.

    Raises:
        UserError: predictions are missing, or are of others, or a list is too short for the
            metrics at 10.
    """
    rows = _rows(predictions, labels)
    ranks = np.empty(len(rows))
    lengths = np.empty(len(rows), dtype=np.int64)
    whole = np.empty(len(rows), dtype=bool)
    probabilities = examples.probabilities
    tops, likely = [], None if probabilities is None else probabilities.copy()
    ordered = np.empty((0 if likely is None else len(rows), n_items + 1))
    at_once = max(FEWEST_AT_ONCE, SCORES_AT_ONCE // (n_items + 1))
    for start in range(0, len(rows), at_once):
        chosen = slice(start, start + at_once)
        scores, candidates = _masked(predictions, rows[chosen], examples, chosen, n_items)
        targets = examples.targets[chosen]
        listed = scores > -np.inf
        ranks[chosen] = target_ranks(scores, targets)
        ranks[chosen][~listed[np.arange(len(scores)), targets]] = MISSED
        lengths[chosen] = listed.sum(axis=1)
        whole[chosen] = lengths[chosen] == candidates
        order = np.argsort(-scores, axis=1, kind="stable")
        beyond = np.arange(n_items + 1) >= lengths[chosen, None]
        tops.append(np.where(beyond, 0, order)[:, : min(TOP, n_items)])
        if likely is not None:
            sorted_ = np.take_along_axis(likely[chosen], order, axis=1)
            sorted_[beyond & ~whole[chosen, None]] = 0
            likely[chosen] = sorted_
            ordered[chosen] = np.take_along_axis(scores, order, axis=1)
    if examples.masked:
        ranks[examples.repeated] = MISSED
    depth = None if complete or whole.all() else int(lengths[~whole].min())
    if depth is not None and depth < TOP:
        raise _too_short(predictions, labels, np.where(whole, n_items, lengths))
    expected = None
    if likely is not None:  # by now in the order of the items' ranks
        expected = expected_in_order(ordered, likely)
    top = np.concatenate(tops) if (whole | (lengths >= TOP)).all() else np.empty((len(rows), 0))
    return Given(Ranking(ranks, top.astype(np.int64), expected), depth)


def _rows(predictions: Predictions, labels: npt.NDArray[np.str_]) -> Ints:
    """``[P]`` row of the predictions of each example.

    Raises:
        UserError: they are not one to one.
    """
    source, given = predictions.source, predictions.labels
    remedy = "; python -m bench.data export writes whom to predict (test_inputs.csv)"
    if given is None:
        if predictions.count != len(labels):
            raise UserError(
                f"{source}: {predictions.count} rows for {len(labels)} test predictions{remedy}"
            )
        return np.arange(len(labels))
    place = {label: row for row, label in enumerate(given.tolist())}
    missing = [label for label in labels.tolist() if label not in place]
    others = place.keys() - set(labels.tolist())
    if missing or others:
        wrong = [
            f"{len(those)} {what}, such as {min(those)!r}"
            for those, what in (
                (missing, f"of {len(labels)} test users are missing"),
                (others, "users are not tested on"),
            )
            if those
        ]
        raise UserError(f"{source}: {'; '.join(wrong)}{remedy}")
    return np.array([place[label] for label in labels.tolist()])


def _masked(
    predictions: Predictions, rows: Ints, examples: Examples, chosen: slice, n_items: int
) -> tuple[Floats, Ints]:
    """``[p, n_items + 1]`` scores of some examples, -inf of padding, of what is not listed
    and, where examples are ``masked``, of what the input holds; and how many items may be
    recommended to each."""
    scores = predictions.dense(rows, n_items)
    left_out = np.zeros(scores.shape, dtype=bool)
    left_out[:, 0] = True
    if examples.masked:
        offsets = examples.offsets[chosen.start : chosen.start + len(rows) + 1]
        row = np.repeat(np.arange(len(rows)), np.diff(offsets))
        left_out[row, examples.items[offsets[0] : offsets[-1]]] = True
    scores[left_out] = -np.inf
    return scores, (~left_out).sum(axis=1)


def _too_short(predictions: Predictions, labels: npt.NDArray[np.str_], lengths: Ints) -> UserError:
    row = int(lengths.argmin())
    return UserError(
        f"{predictions.source}: the list of user {str(labels[row])!r} has {lengths[row]} items "
        f"that the user has not had, of at least {TOP} ({CUTOFFS[-1]} for metrics at "
        f"{CUTOFFS[-1]}); ask the library for as many more as the user has had, or say --complete "
        "(complete=True) if it would never recommend anything else"
    )

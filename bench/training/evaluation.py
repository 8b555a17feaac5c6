"""Full-catalogue ranking of held-out predictions, and where the held-out items came."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backbones.base import Backbone
from bench.datasets.splits import Examples
from bench.metrics import MISSED, accuracy, expected_in_order

ENCODED_AT_ONCE = 256
SCORES_AT_ONCE = {"cpu": 2**20, "cuda": 2**26}
"""Predictions encoded, and predictions x items scored, in one go.  4 MB of scores stay in a CPU's
caches."""
FEWEST_AT_ONCE = 8
"""Predictions scored in one go whatever the catalogue, as each piece goes over the whole item
table; memory of 64 bytes an item."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Where the held-out items came.

    Attributes:
        ranks: ``[P]`` rank of each held-out item from 1, a tie counting half; `MISSED` of what
            the user has had.
        top: ``[P, top]`` int64 item ids recommended first, 0 after the last that a user has not
            had (fewer columns in a tiny catalogue).
        expected: metric to ``[P]``, what each prediction contributes in expectation; None where
            the true distribution of what comes next is not known.
    """

    ranks: Floats
    top: npt.NDArray[np.int64]
    expected: dict[str, Floats] | None

    @property
    def accuracy(self) -> dict[str, float]:
        """Metrics, in expectation where that is known."""
        if self.expected is None:
            return accuracy(self.ranks)
        return {name: float(each.mean()) for name, each in self.expected.items()}


@torch.no_grad()
def rank_predictions(
    models: Sequence[Backbone],
    examples: Examples,
    device: torch.device,
    top: int = 0,
    seen_as: float = -torch.inf,
    cut: int = 1,
) -> Ranking:
    """Rank every held-out item among the whole catalogue, or all items where any may come.

    Items already in the user's input are masked with -inf, as is the padding row.  A target that
    the input holds already has the rank `MISSED`: what the user has had is not recommended, so
    it is a miss, however small the catalogue.  Examples that are not ``masked`` have the padding
    row masked alone.

    Args:
        models: one, or several whose scores are added up (an ensemble); each is put into
            evaluation mode for the call, and back after it.
        examples: held-out predictions.
        device: where the model lives.
        top: length of the recommendation lists to return.
        seen_as: the score of what the user has had.  With 0 the padding row, of score 0, is ranked
            too, as in the released code of the MDCNS paper's baselines; for comparison only.
        cut: how many times fewer are encoded and scored in one go, for less memory; scores are the
            same to rounding, so ranks are, but for ties.

    Raises:
        FloatingPointError: the model holds or computes what is not a finite number.
    """
    items = torch.as_tensor(examples.items, dtype=torch.int64, device=device)
    offsets = torch.as_tensor(examples.offsets, device=device)
    targets = torch.as_tensor(examples.targets, dtype=torch.int64, device=device)
    n_items = models[0].n_items
    ranks = torch.empty(len(targets), dtype=torch.float64, device=device)
    lists = torch.empty((len(targets), min(top, n_items)), dtype=torch.int64, device=device)
    likely = _copied(examples.probabilities, device)
    ordered = torch.empty((0 if likely is None else len(targets), n_items + 1), device=device)
    seen = seen_as if examples.masked else None
    for piece, scores, counts in scored_pieces(models, items, offsets, seen, cut):
        target = scores.gather(1, targets[piece][:, None])
        ranks[piece] = _ranks(scores, target, counts)
        if top:
            best = scores.topk(lists.shape[1], dim=1)
            lists[piece] = best.indices.masked_fill_(best.values == -torch.inf, 0)
        if likely is not None:
            order = scores.argsort(dim=1, descending=True, stable=True)
            likely[piece] = likely[piece].gather(1, order)
            ordered[piece] = scores.gather(1, order)
    found = ranks.cpu().numpy()
    if examples.masked and seen_as == -torch.inf:
        found[examples.repeated] = MISSED
    expected = None
    if likely is not None:  # by now in the order of the items' ranks
        expected = expected_in_order(ordered.cpu().numpy(), likely.cpu().numpy())
    return Ranking(found, lists.cpu().numpy(), expected)


@torch.no_grad()
def scored_pieces(
    models: Sequence[Backbone],
    items: Tensor,
    offsets: Tensor,
    seen_as: float | None = -torch.inf,
    cut: int = 1,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Scores of the whole catalogue, piece after piece of the predictions.

    Args:
        models: as for `rank_predictions`.
        items: ``[n]`` int64 inputs, one after another, oldest item first.
        offsets: ``[P + 1]`` where each starts; none is empty.
        seen_as: the score of what the input holds and of the padding row; None leaves what was
            seen its own score, and gives -inf to the padding row alone.
        cut: as for `rank_predictions`.

    Yields:
        ``[p]`` which predictions, ``[p, n_items + 1]`` their scores, and a buffer as large as
        these to work in; the latter two are written over by the next piece.

    Raises:
        FloatingPointError: the model holds or computes what is not a finite number.
    """
    device, P = items.device, len(offsets) - 1
    states, table = _factors(models, items, offsets, ENCODED_AT_ONCE // cut)
    at_once = max(FEWEST_AT_ONCE, SCORES_AT_ONCE[device.type] // len(table) // cut)
    buffers = torch.empty((2, min(at_once, P), len(table)), device=device)
    for piece in torch.arange(P, device=device).split(at_once):
        scores, work = buffers[:, : len(piece)]
        torch.mm(states[piece], table.t(), out=scores)
        if seen_as is not None:
            rows, seen = _history(items, offsets, piece)
            scores[rows, seen] = seen_as
        scores[:, 0] = -torch.inf if seen_as is None else seen_as
        yield piece, scores, work


@torch.no_grad()
def encode(
    model: Backbone, items: Tensor, offsets: Tensor, at_once: int = ENCODED_AT_ONCE
) -> Tensor:
    """``[P, d]`` state after each input's last ``window`` items, in evaluation mode.

    Args:
        model: whose window it is.
        items: ``[n]`` int64 inputs, one after another, oldest item first.
        offsets: ``[P + 1]`` where each starts; none is empty.
        at_once: inputs in one go.
    """
    lengths = offsets.diff().clamp(max=model.window)
    states = torch.empty((len(lengths), model.dim), device=items.device)
    with evaluating(model):
        # Inputs of like length together: little padding to encode.
        for piece in torch.argsort(lengths, stable=True).split(at_once):
            length = lengths[piece]
            position = torch.arange(int(length.max()), device=items.device)
            index = ((offsets[piece + 1] - length)[:, None] + position).clamp_(max=len(items) - 1)
            inputs = items[index] * (position < length[:, None])
            states[piece] = model.last(inputs, length)
    return states


def _factors(
    models: Sequence[Backbone], items: Tensor, offsets: Tensor, at_once: int
) -> tuple[Tensor, Tensor]:
    """``[P, D]`` states and ``[n_items + 1, D]`` item table whose product is the scores, added up
    over the models.

    Raises:
        FloatingPointError: one of them is not finite, or their product may not be.
    """
    # Adding up products is the product of what is laid side by side.
    tables = [model.items.weight for model in models]
    table = tables[0] if len(tables) == 1 else torch.cat(tables, dim=1)
    states = torch.cat([encode(model, items, offsets, at_once) for model in models], dim=1)
    largest = table.shape[1] * float(states.abs().max()) * float(table.abs().max())
    if not largest <= torch.finfo(torch.float32).max:  # NaN is not, either
        raise FloatingPointError("scores are not finite: the model has diverged")
    return states, table


def _copied(array: Floats | None, device: torch.device) -> Tensor | None:
    return None if array is None else torch.tensor(array, device=device)


def _ranks(scores: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """``[P]`` rank of each target from 1, a tie counting half.

    Args:
        scores: ``[P, n_items + 1]``.
        target: ``[P, 1]`` score of each target.
        counts: as large as the scores, to work in.
    """
    # Ones in float32, exact to 2^24: comparing to bool takes several times as long.
    above = torch.gt(scores, target, out=counts).sum(1)
    tied = torch.eq(scores, target, out=counts).sum(1) - 1  # without the target itself
    return 1 + above.double() + tied.double() / 2


@contextlib.contextmanager
def evaluating(model: Backbone) -> Iterator[None]:
    """In evaluation mode, and after it each part of the model in the mode that it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _history(items: Tensor, offsets: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (row, item) of all that is in the inputs chosen, beyond the window too."""
    counts = offsets[chosen + 1] - offsets[chosen]
    rows = torch.repeat_interleave(torch.arange(len(chosen), device=items.device), counts)
    nth = torch.arange(len(rows), device=items.device) - (counts.cumsum(0) - counts)[rows]
    return rows, items[offsets[chosen][rows] + nth]

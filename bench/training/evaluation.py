"""Full-catalogue ranking and the metrics that follow from ranks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backbones.base import Backbone
from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.metrics import accuracy, gains

if TYPE_CHECKING:
    from bench.datasets.training_data import TrainingData


USERS_AT_ONCE = 256
SCORES_AT_ONCE = {"cpu": 2**20, "cuda": 2**26}
"""Users encoded, and users x items scored, in one go.  4 MB of scores stay in a CPU's caches."""
FEWEST_USERS = 8
"""Users scored in one go whatever the catalogue, as each piece goes over the whole item table;
memory of 64 bytes an item."""

_pieces = 1
"""Into how many each of the pieces above is cut once more."""

Floats = npt.NDArray[np.float64]


@contextlib.contextmanager
def smaller_pieces() -> Iterator[None]:
    """Encode and score an eighth of the users at a time, for less memory.

    A user's scores are the same to rounding, so ranks are, but for scores that tie to rounding.
    """
    global _pieces
    _pieces = 8
    try:
        yield
    finally:
        _pieces = 1


@dataclass(frozen=True)
class Ranking:
    """Where the held-out items came.

    Attributes:
        ranks: ``[U]`` rank of each target from 1, a tie counting half.
        top: ``[U, top]`` int64 item ids recommended first (fewer columns in a tiny catalogue).
    """

    ranks: Floats
    top: npt.NDArray[np.int64]


@torch.no_grad()
def rank_users(
    models: Sequence[Backbone],
    examples: Examples,
    device: torch.device,
    top: int = 0,
    seen_as: float = -torch.inf,
) -> Ranking:
    """Rank every held-out item among the whole catalogue.

    Items already in the user's input are masked with -inf, as is the padding row.  A target that
    the input holds already is masked too, so it ranks among the last: recommending what the user
    has had is not counted as a success.

    Args:
        models: one, or several whose scores are added up (an ensemble); each is put into
            evaluation mode for the call, and back after it.
        examples: held-out predictions.
        device: where the model lives.
        top: length of the recommendation lists to return.
        seen_as: the score of what the user has had.  With 0 the padding row, of score 0, is ranked
            too, as in the released code of the MDCNS paper's baselines; for comparison only.

    Raises:
        FloatingPointError: the model holds or computes what is not a finite number.
    """
    # Adding up products is the product of what is laid side by side.
    tables = [model.items.weight for model in models]
    table = tables[0] if len(tables) == 1 else torch.cat(tables, dim=1)
    items = torch.as_tensor(examples.items, dtype=torch.int64, device=device)
    offsets = torch.as_tensor(examples.offsets, device=device)
    targets = torch.as_tensor(examples.targets, dtype=torch.int64, device=device)
    states = torch.cat([_encode(model, items, offsets) for model in models], dim=1)
    if not (torch.isfinite(states).all() and torch.isfinite(table).all()):
        raise FloatingPointError("scores are not finite: the model has diverged")

    ranks = torch.empty(len(targets), dtype=torch.float64, device=device)
    lists = torch.empty((len(targets), min(top, len(table) - 1)), dtype=torch.int64, device=device)
    at_once = max(FEWEST_USERS, SCORES_AT_ONCE[device.type] // len(table) // _pieces)
    buffers = torch.empty((2, min(at_once, len(targets)), len(table)), device=device)
    for users in torch.arange(len(targets), device=device).split(at_once):
        scores, counts = buffers[:, : len(users)]
        torch.mm(states[users], table.t(), out=scores)
        rows, seen = _history(items, offsets, users)
        scores[rows, seen] = seen_as
        scores[:, 0] = seen_as
        target = scores.gather(1, targets[users][:, None])
        # Ones in float32, exact to 2^24: comparing to bool takes several times as long.
        above = torch.gt(scores, target, out=counts).sum(1)
        # Without the target itself and, should it be masked, the padding row.
        tied = torch.eq(scores, target, out=counts).sum(1) - 1
        tied -= torch.isneginf(target).squeeze(1).float()
        ranks[users] = 1 + above.double() + tied.double() / 2
        if top:
            lists[users] = scores.topk(lists.shape[1], dim=1).indices
    return Ranking(ranks.cpu().numpy(), lists.cpu().numpy())


def _encode(model: Backbone, items: Tensor, offsets: Tensor) -> Tensor:
    """``[U, d]`` state after each user's last ``window`` items, in evaluation mode."""
    was_training = model.training
    model.eval()
    lengths = offsets.diff().clamp(max=model.window)
    states = torch.empty((len(lengths), model.dim), device=items.device)
    # Users of like length together: little padding to encode.
    for users in torch.argsort(lengths, stable=True).split(USERS_AT_ONCE // _pieces):
        length = lengths[users]
        position = torch.arange(int(length.max()), device=items.device)
        index = ((offsets[users + 1] - length)[:, None] + position).clamp_(max=len(items) - 1)
        inputs = items[index] * (position < length[:, None])
        states[users] = model.last(inputs, length)
    model.train(was_training)
    return states


def _history(items: Tensor, offsets: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates (row, item) of all that each user has seen, beyond the window too."""
    counts = offsets[users + 1] - offsets[users]
    rows = torch.repeat_interleave(torch.arange(len(users), device=items.device), counts)
    nth = torch.arange(len(rows), device=items.device) - (counts.cumsum(0) - counts)[rows]
    return rows, items[offsets[users][rows] + nth]


def references(data: TrainingData, test: Examples) -> dict[str, dict[str, float]]:
    """What accuracy is to be measured against on the test users; trains nothing.

    Returns:
        ``popularity``: everybody is recommended the most popular training items that they have
        not had.  ``oracle`` (synthetic data only): the ranking by the true distribution of the
        next item, and as its metrics their expectation: the best that any model can reach.
    """
    counts = np.bincount(data.train.items, minlength=data.n_items + 1)
    ordered = np.sort(counts[1:])
    ranks = np.empty(len(test.targets))
    expected: list[dict[str, float]] = []
    for i, (target, user) in enumerate(zip(test.targets, test.users, strict=True)):
        history = test.items[test.offsets[i] : test.offsets[i + 1]]
        seen, count = np.unique(history), counts[target]
        if target in seen:  # masked, and level with all else that is
            above, tied = data.n_items - len(seen), len(seen) - 1
        else:
            below, upto = np.searchsorted(ordered, [count, count + 1])
            above = data.n_items - upto - (counts[seen] > count).sum()
            tied = upto - below - 1 - (counts[seen] == count).sum()
        ranks[i] = 1 + above + tied / 2
        if data.truth is not None:
            p = np.sort(data.truth(int(user), history))[::-1]
            each = np.arange(1, len(p) + 1, dtype=np.float64)
            expected.append({name: float(p @ gain) for name, gain in gains(each).items()})
    found = {"popularity": accuracy(ranks)}
    if expected:
        found["oracle"] = {
            name: float(np.mean([one[name] for one in expected])) for name in expected[0]
        }
    return found

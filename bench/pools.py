"""Legal negatives: what may be drawn for a target, and candidate pools drawn from it.

Legal for a target is the catalogue without the positive and without everything the user has
interacted with before it.  Items the user takes *later* are legal, as in the paper: a sampler
cannot know the future, and the share of such false negatives is a thing to be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

MAX_ROUNDS = 200

Proposal = Callable[[Tensor, int], Tensor]
"""Rows of the batch ``[R]`` and K to item ids ``[R, K]``: independent draws from a proposal q."""


class History:
    """Answers "has this sequence met this item by then?" for many (sequence, item, time) at once.

    Holds one sorted key per distinct (sequence, item) with the position of its first occurrence,
    so its size is that of the data, whatever the size of the catalogue.
    """

    def __init__(self, items: Tensor, offsets: Tensor, n_items: int) -> None:
        """
        Args:
            items: ``[n]`` item ids of all sequences, one after another.
            offsets: ``[n_sequences + 1]`` where each sequence starts.
            n_items: catalogue size.
        """
        self.n_items = n_items
        lengths = offsets.diff()
        sequence = torch.repeat_interleave(torch.arange(len(lengths), device=items.device), lengths)
        position = torch.arange(len(items), device=items.device) - offsets[sequence]
        # A stable sort keeps time order within equal keys, so the first of each run is earliest.
        keys, order = torch.sort(sequence * (n_items + 1) + items.long(), stable=True)
        first = torch.ones_like(keys, dtype=torch.bool)
        first[1:] = keys[1:] != keys[:-1]
        self._keys, self._first_position = keys[first], position[order][first]
        self._distinct = torch.bincount(
            self._keys.div(n_items + 1, rounding_mode="floor"), minlength=len(lengths)
        )

    def met(self, sequences: Tensor, until: Tensor, ids: Tensor) -> Tensor:
        """
        Args:
            sequences: ``[T]`` which sequence.
            until: ``[T]`` last position that counts.
            ids: ``[T, K]`` item ids.

        Returns:
            ``[T, K]`` bool: the item occurs in the sequence at a position <= ``until``.
        """
        keys = sequences[:, None] * (self.n_items + 1) + ids
        index = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        return (self._keys[index] == keys) & (self._first_position[index] <= until[:, None])

    def met_among(self, sequences: Tensor, until: Tensor, ids: Tensor) -> Tensor:
        """As :meth:`met`, for items that all the rows share: walks histories, not the items.

        Args:
            sequences: ``[T]`` which sequence.
            until: ``[T]`` last position that counts.
            ids: ``[K]`` item ids.

        Returns:
            ``[T, K]`` bool.
        """
        T, device = len(sequences), ids.device
        distinct, column = ids.unique(return_inverse=True)
        column_of = torch.full((self.n_items + 1,), -1, device=device)
        column_of[distinct] = torch.arange(len(distinct), device=device)
        count = self._distinct[sequences]
        row = torch.repeat_interleave(torch.arange(T, device=device), count)
        start = (self._distinct.cumsum(0) - self._distinct)[sequences]
        entry = start[row] + torch.arange(len(row), device=device) - (count.cumsum(0) - count)[row]
        hit = column_of[self._keys[entry] % (self.n_items + 1)]
        counts = (hit >= 0) & (self._first_position[entry] <= until[row])
        met = torch.zeros((T, len(distinct)), dtype=torch.bool, device=device)
        met[row[counts], hit[counts]] = True
        return met[:, column]


@dataclass
class Targets:
    """T next-item predictions: what came next, for whom, and what may be drawn against it.

    Attributes:
        positives: ``[T]`` int64.
        users: ``[T]`` row of the user in the dataset.
        sequences: ``[T]`` row of the training sequence.
        positions: ``[T]`` position of the positive in its sequence.
        history: of the training sequences.
        generator: the sampler's random stream.
        epoch: from 1.
    """

    positives: Tensor
    users: Tensor
    sequences: Tensor
    positions: Tensor
    history: History
    generator: torch.Generator
    epoch: int = 1
    _pools: dict[int, Tensor] = field(default_factory=dict)

    def illegal(self, ids: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """``[R, K]`` bool: the item is the positive of its row, or the user has met it already.

        Args:
            ids: ``[R, K]``.
            rows: which of the T targets the R rows are; all of them by default.
        """
        # The positive stands at `positions`, so one look-up covers it and the history.
        return self.history.met(self.sequences[rows], self.positions[rows], ids)

    def legal_among(self, ids: Tensor) -> Tensor:
        """``[T, K]`` bool: which of the items ``ids [K]``, shared by all rows, are legal."""
        return ~self.history.met_among(self.sequences, self.positions, ids)

    def pool(self, N: int) -> Tensor:
        """``[T, N]`` distinct legal items, every N-subset equally likely; drawn once a batch."""
        if N not in self._pools:
            # Redrawing is wasteful where a pool takes most of a small catalogue.
            dense = self.history.n_items < 4 * N
            self._pools[N] = self._pool_by_keys(N) if dense else self._pool_by_redrawing(N)
        return self._pools[N]

    def draw(self, K: int, propose: Proposal, rounds: int = MAX_ROUNDS) -> Tensor:
        """``[T, K]`` independent legal draws: proposals, with the illegal ones redrawn.

        A row whose proposals are illegal still after ``rounds`` rounds (most of the mass of q lies
        on its history) falls back to uniform draws.
        """
        ids = propose(torch.arange(len(self.positives), device=self.positives.device), K)
        return self._redraw(ids, self.illegal, propose, rounds)

    def uniform(self, rows: Tensor, K: int) -> Tensor:
        """``[R, K]`` item ids drawn uniformly from the whole catalogue, for any ``rows [R]``."""
        return torch.randint(
            1,
            self.history.n_items + 1,
            (len(rows), K),
            generator=self.generator,
            device=self.positives.device,
        )

    def _pool_by_redrawing(self, N: int) -> Tensor:
        # Why this is uniform over N-subsets: the procedure treats legal items alike (renaming
        # two of them changes nothing), so no subset can be likelier than another.
        def bad(ids: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
            return self.illegal(ids, rows) | _repeats(ids)

        return self._redraw(self.uniform(self.positives, N), bad, self.uniform, MAX_ROUNDS)

    def _pool_by_keys(self, N: int) -> Tensor:
        T, n_items, device = len(self.positives), self.history.n_items, self.positives.device
        keys = torch.rand((T, n_items), generator=self.generator, device=device)
        catalogue = torch.arange(1, n_items + 1, device=device).expand(T, n_items)
        keys.masked_fill_(self.illegal(catalogue), -1.0)
        return keys.topk(N, dim=1).indices + 1

    def _redraw(
        self,
        ids: Tensor,
        bad: Callable[..., Tensor],
        propose: Proposal,
        rounds: int,
    ) -> Tensor:
        """``ids`` with its bad entries redrawn until none is left."""
        wrong = bad(ids)
        for round_ in range(rounds + MAX_ROUNDS):
            rows = wrong.any(dim=1).nonzero().squeeze(1)
            if not len(rows):
                return ids
            source = propose if round_ < rounds else self.uniform
            redrawn = torch.where(wrong[rows], source(rows, ids.shape[1]), ids[rows])
            ids[rows] = redrawn
            wrong.zero_()
            wrong[rows] = bad(redrawn, rows)
        raise RuntimeError(
            f"{len(rows)} rows still hold illegal negatives after {MAX_ROUNDS} rounds: the "
            f"catalogue of {self.history.n_items} items is too small for these histories"
        )


def _repeats(ids: Tensor) -> Tensor:
    """``[T, N]`` bool: all but one of the equal entries of a row."""
    values, order = ids.sort(dim=1, stable=True)
    repeated = torch.zeros_like(ids, dtype=torch.bool)
    repeated[:, 1:] = values[:, 1:] == values[:, :-1]
    return torch.zeros_like(repeated).scatter_(1, order, repeated)

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
"""Redraws before what is left is drawn from an explicit list of legal items."""

DENSE_BELOW = 16
"""With fewer items for each place in a pool, the pool is drawn from the whole catalogue by keys."""

ENTRIES_AT_ONCE = 2**22
"""Targets x items of such lists in one go."""

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

    @property
    def longest(self) -> int:
        """Most distinct items in a sequence."""
        return int(self._distinct.max())

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
        count = self._distinct[sequences]
        if int(count.sum()) > T * len(ids):  # few items, long histories
            return self.met(sequences, until, ids.expand(T, -1))
        distinct, column = ids.unique(return_inverse=True)
        column_of = torch.full((self.n_items + 1,), -1, device=device)
        column_of[distinct] = torch.arange(len(distinct), device=device)
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
            # Redrawing is wasteful where a pool takes much of a small catalogue.
            dense = self.history.n_items < DENSE_BELOW * N
            if dense:
                rows = torch.arange(len(self.positives), device=self.positives.device)
                parts = [self._pool_by_keys(some, N) for some in self._pieces(rows)]
                self._pools[N] = torch.cat(parts)
            else:
                self._pools[N] = self._pool_by_redrawing(N)
        return self._pools[N]

    def peek(self, N: int, rows: Tensor) -> Tensor:
        """``[R, N]`` pools of these rows, the batch's own where it has some of that size.

        The random stream and later calls are as if it had not been.
        """
        if N in self._pools:
            return self._pools[N][rows]
        state = self.generator.get_state()
        some = Targets(
            self.positives[rows],
            self.users[rows],
            self.sequences[rows],
            self.positions[rows],
            self.history,
            self.generator,
        )
        pool = some.pool(N)
        self.generator.set_state(state)
        return pool

    def draw(self, K: int, propose: Proposal, rounds: int = MAX_ROUNDS) -> Tensor:
        """``[T, K]`` independent legal draws: proposals, with the illegal ones redrawn.

        A row whose proposals are illegal still after ``rounds`` rounds (most of the mass of q lies
        on its history) falls back to uniform draws.

        Raises:
            RuntimeError: a target has no legal item.
        """
        ids = propose(torch.arange(len(self.positives), device=self.positives.device), K)
        wrong, rows = self._redraw(ids, self.illegal, propose, rounds)
        for some in self._pieces(rows):
            legal = self._legal(some)
            if not legal.any(dim=1).all():
                raise RuntimeError(self._too_small(1))
            fresh = torch.multinomial(legal.float(), K, replacement=True, generator=self.generator)
            ids[some] = torch.where(wrong[some], fresh, ids[some])
        return ids

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

        ids = self.uniform(self.positives, N)
        _, rows = self._redraw(ids, bad, self.uniform, MAX_ROUNDS)
        for some in self._pieces(rows):
            ids[some] = self._pool_by_keys(some, N)
        return ids

    def _pool_by_keys(self, rows: Tensor, N: int) -> Tensor:
        """``[R, N]`` pools of these rows: the legal items with the N largest random keys."""
        legal = self._legal(rows)[:, 1:]
        keys = torch.rand(legal.shape, generator=self.generator, device=rows.device)
        keys.masked_fill_(~legal, -1.0)
        if self.history.n_items < N:
            raise RuntimeError(self._too_small(N))
        best, item = keys.topk(N, dim=1)
        if (best < 0).any():
            raise RuntimeError(self._too_small(N))
        return item + 1

    def _legal(self, rows: Tensor) -> Tensor:
        """``[R, n_items + 1]`` bool: which items are legal for these rows; padding is not."""
        catalogue = torch.arange(self.history.n_items + 1, device=rows.device)
        met = self.history.met_among(self.sequences[rows], self.positions[rows], catalogue)
        met[:, 0] = True
        return ~met

    def _pieces(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Rows, so many at a time that lists of their legal items fit into memory."""
        return rows.split(max(1, ENTRIES_AT_ONCE // (self.history.n_items + 1)))

    def _too_small(self, wanted: int) -> str:
        return (
            f"a target has fewer than {wanted} legal items: the catalogue of "
            f"{self.history.n_items} items is too small for these histories"
        )

    def _redraw(
        self,
        ids: Tensor,
        bad: Callable[..., Tensor],
        propose: Proposal,
        rounds: int,
    ) -> tuple[Tensor, Tensor]:
        """Redraw bad entries of ``ids [T, K]``, in place, for so many rounds.

        Returns:
            ``[T, K]`` bool, which entries are bad still, and the rows ``[R]`` that have any.
        """
        wrong = bad(ids)
        rows = wrong.any(dim=1).nonzero().squeeze(1)
        for _ in range(rounds):
            if not len(rows):
                break
            redrawn = torch.where(wrong[rows], propose(rows, ids.shape[1]), ids[rows])
            ids[rows] = redrawn
            wrong.zero_()
            wrong[rows] = bad(redrawn, rows)
            rows = rows[wrong[rows].any(dim=1)]
        return wrong, rows


def _repeats(ids: Tensor) -> Tensor:
    """``[T, N]`` bool: all but one of the equal entries of a row."""
    values, order = ids.sort(dim=1, stable=True)
    repeated = torch.zeros_like(ids, dtype=torch.bool)
    repeated[:, 1:] = values[:, 1:] == values[:, :-1]
    return torch.zeros_like(repeated).scatter_(1, order, repeated)

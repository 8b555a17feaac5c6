"""Legal negatives: what may be drawn for a target, and candidate pools drawn from it.

Legal for a target is the catalogue without the positive and without everything the user has
interacted with before it.  Items the user takes *later* are legal, as in the paper: a sampler
cannot know the future, and the share of such false negatives is a thing to be measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.history import History, SortedRows, at_hand

MAX_ROUNDS = 200
"""Redraws before what is left is drawn from an explicit list of legal items."""

DENSE_BELOW = 8
"""With fewer items for each place in a pool, the pool is drawn from the whole catalogue by keys."""

POOL_ROUNDS = 5
"""Tries again at a pool by rejection; what fails so often is drawn from such a list, too."""

LISTED_ABOVE = 8
"""Where more than the n-th part of the catalogue's size would be drawn in vain, so is a pool."""

ENTRIES_AT_ONCE = 2**22
"""Targets x items of such lists in one go."""

Proposal = Callable[[Tensor, int], Tensor]
"""Rows of the batch ``[R]`` and K to item ids ``[R, K]``: independent draws from a proposal q."""


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
        row, column = self.illegal(ids).nonzero(as_tuple=True)
        for _ in range(rounds):
            if not len(row):
                return ids
            fresh = propose(row, 1)
            ids[row, column] = fresh.squeeze(1)
            still = self.illegal(fresh, row).squeeze(1).nonzero().squeeze(1)
            row, column = row[still], column[still]
        for some in self._pieces(torch.arange(len(row), device=row.device)):
            legal = self._legal(row[some])
            if not legal.any(dim=1).all():
                raise RuntimeError(self._too_small(1))
            fresh = torch.multinomial(legal.float(), 1, generator=self.generator)
            ids[row[some], column[some]] = fresh.squeeze(1)
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
        # A row's pool is the first N distinct legal items of somewhat more uniform draws; a row
        # that has fewer starts again.  Every N-subset is equally likely: the procedure treats
        # legal items alike (renaming two of them changes nothing).
        pool = self.positives.new_empty((len(self.positives), N))
        for rows, spare in self._with_spare(N):
            for _ in range(1 + POOL_ROUNDS):
                if spare is None or not len(rows):
                    break
                pool[rows], short = self._try_pools(rows, N, spare)
                rows = rows[short]
            for some in self._pieces(rows):
                pool[some] = self._pool_by_keys(some, N)
        return pool

    def _with_spare(self, N: int) -> Iterator[tuple[Tensor, int | None]]:
        """Rows, and how many draws beyond N they get: enough for a history of usual length; for
        longer ones twice or four times as many, ...; None where a list of legal items is less."""
        history = self.history
        rows = torch.arange(len(self.positives), device=self.positives.device)
        lost = N * (N / 2 + history.usual) / history.n_items  # of N draws, about
        spare = 3 + math.ceil(lost + 3 * math.sqrt(lost))
        # The few long ones of many short may try again; a GPU would have to be waited for.
        if history.usual < N or not at_hand(rows):
            yield rows, spare
            return
        met = history.count(self.sequences, self.positions).double()
        left = (history.n_items - met).clamp(min=1)
        lost_of = N * (N / 2 + met) / left  # of as many draws as leave N
        needed = torch.where(lost_of <= spare, 0.0, lost_of + 3 * lost_of.sqrt())
        while len(rows) and spare < history.n_items // LISTED_ABOVE:
            enough = needed <= spare
            yield rows[enough], spare
            rows, needed, spare = rows[~enough], needed[~enough], 2 * spare
        yield rows, None

    def _try_pools(self, rows: Tensor, N: int, spare: int) -> tuple[Tensor, Tensor]:
        """``[R, N]`` pools of these rows, and ``[R']`` which of them are not to be used."""
        drawn = self.uniform(rows, N + spare)
        ordered = SortedRows(drawn, self.history.n_items)
        bad = self.history.met(self.sequences[rows], self.positions[rows], drawn, ordered)
        ordered.mark_repeats(bad)
        # The n-th bad entry of a row is replaced by its n-th good spare one.  Numbers count from 1,
        # and what is no good spare entry is put at 0.
        wanted, good = bad[:, :N], ~bad[:, N:]
        nth, nth_good = wanted.cumsum(1), good.cumsum(1)
        spares = drawn.new_zeros((len(rows), spare + 1))
        spares.scatter_(1, nth_good * good, drawn[:, N:])
        pool = torch.where(wanted, spares.gather(1, nth.clamp(max=spare)), drawn[:, :N])
        return pool, (wanted.sum(1) > good.sum(1)).nonzero().squeeze(1)

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
        met = self.history.met_of_all(self.sequences[rows], self.positions[rows])
        met[:, 0] = True
        return ~met

    def _pieces(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Rows, so many at a time that lists of their legal items fit into memory."""
        at_once = max(1, ENTRIES_AT_ONCE // (self.history.n_items + 1))
        return rows.split(at_once) if len(rows) else ()

    def _too_small(self, wanted: int) -> str:
        return (
            f"a target has fewer than {wanted} legal items: the catalogue of "
            f"{self.history.n_items} items is too small for these histories"
        )

"""Legal negatives: what may be drawn for a target, and candidate pools drawn from it.

Legal for a target is the catalogue without the positive and without everything the user has
interacted with before it.  Items the user takes *later* are legal, as in the paper: a sampler
cannot know the future, and the share of such false negatives is a thing to be measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

TABLE_BELOW = 8
"""Entries of a table of what was met, for each id looked up, up to which it beats searches."""

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


class History:
    """Answers "has this sequence met this item by then?" for many (sequence, item, time) at once.

    Holds the distinct items of each sequence in the order in which they were first met, and one
    sorted key for each, so its size is that of the data, whatever the size of the catalogue.
    """

    def __init__(self, items: Tensor, offsets: Tensor, n_items: int) -> None:
        """
        Args:
            items: ``[n]`` item ids of all sequences, one after another.
            offsets: ``[n_sequences + 1]`` where each sequence starts.
            n_items: catalogue size.
        """
        self.n_items, self._offsets = n_items, offsets
        lengths = offsets.diff()
        sequence = torch.repeat_interleave(torch.arange(len(lengths), device=items.device), lengths)
        position = torch.arange(len(items), device=items.device) - offsets[sequence]
        # A stable sort keeps time order within equal keys, so the first of each run is earliest.
        keys, order = torch.sort(sequence * (n_items + 1) + items.long(), stable=True)
        first = torch.ones_like(keys, dtype=torch.bool)
        first[1:] = keys[1:] != keys[:-1]
        self._keys, self._first_position = keys[first], position[order][first]
        is_first = torch.zeros_like(first)
        is_first[order[first]] = True
        self._firsts, self._firsts_at = items[is_first].long(), position[is_first].int()
        self._firsts_before = F.pad(is_first.cumsum(0), (1, 0))

    @cached_property
    def usual(self) -> float:
        """Distinct items in a sequence, on average."""
        return len(self._firsts) / (len(self._offsets) - 1)

    def count(self, sequences: Tensor, until: Tensor) -> Tensor:
        """``[T]`` distinct items that these sequences meet up to these positions."""
        return self._stretch(sequences, until)[1]

    @property
    def longest(self) -> int:
        """Most distinct items in a sequence."""
        return int(self._firsts_before[self._offsets].diff().max())

    def met(
        self, sequences: Tensor, until: Tensor, ids: Tensor, ordered: SortedRows | None = None
    ) -> Tensor:
        """
        Args:
            sequences: ``[T]`` which sequence.
            until: ``[T]`` last position that counts.
            ids: ``[T, K]`` item ids.
            ordered: of the ids, if it is at hand.

        Returns:
            ``[T, K]`` bool: the item occurs in the sequence at a position <= ``until``.
        """
        # A table of the batch's sequences takes a look for each id, walking the histories a step
        # for each of their items and a sort of the ids, looking up a search for each id.  How many
        # and how long the sequences are is known on a CPU without a wait.
        if ids.device.type == "cpu":
            distinct, row = sequences.unique_consecutive(return_inverse=True)
            start, count = self._stretch(sequences, until)
            size, short = len(distinct) * (self.n_items + 1), 2 * int(count.sum()) < ids.numel()
            if size <= (1 if short else TABLE_BELOW) * ids.numel():
                return self._table(distinct)[row[:, None], ids] <= until[:, None]
            if short:
                met = torch.zeros(ids.shape, dtype=torch.bool)
                ordered = ordered or SortedRows(ids, self.n_items)
                met[ordered.find(*self._walk(start, count))] = True
                return met
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
        start, count = self._stretch(sequences, until)
        if int(count.sum()) > T * len(ids):  # few items, long histories
            return self.met(sequences, until, ids.expand(T, -1))
        distinct, column = ids.unique(return_inverse=True)
        column_of = torch.full((self.n_items + 1,), -1, device=device)
        column_of[distinct] = torch.arange(len(distinct), device=device)
        row, item = self._walk(start, count)
        hit = column_of[item]
        met = torch.zeros((T, len(distinct)), dtype=torch.bool, device=device)
        met[row[hit >= 0], hit[hit >= 0]] = True
        return met[:, column]

    def _table(self, sequences: Tensor) -> Tensor:
        """``[S, n_items + 1]`` int32: the position at which each first meets each item, or more."""
        end = torch.full_like(sequences, torch.iinfo(torch.int64).max)
        start, count = self._stretch(sequences, end)
        row, nth = _spread(count)
        first = start[row] + nth
        table = torch.full(
            (len(sequences), self.n_items + 1), torch.iinfo(torch.int32).max, dtype=torch.int32
        )
        table[row, self._firsts[first]] = self._firsts_at[first]
        return table

    def _stretch(self, sequences: Tensor, until: Tensor) -> tuple[Tensor, Tensor]:
        """``[T]`` where among all distinct items those met by then start, and their number."""
        begin, end = self._offsets[sequences], self._offsets[sequences + 1]
        start = self._firsts_before[begin]
        stop = begin + torch.minimum(until, end - begin - 1) + 1
        return start, self._firsts_before[stop] - start

    def _walk(self, start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """``[E]`` row and ``[E]`` item of every item met, row by row."""
        row, nth = _spread(count)
        return row, self._firsts[start[row] + nth]


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
            still = self.illegal(fresh, row).squeeze(1)
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
        if history.usual < N or rows.device.type != "cpu":
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
        bad[ordered.repeats()] = True
        pool = drawn[:, :N].contiguous()
        spare_row, column = (~bad[:, N:]).nonzero(as_tuple=True)
        spares, good = torch.bincount(spare_row, minlength=len(rows)), drawn[spare_row, N + column]
        row, column = bad[:, :N].nonzero(as_tuple=True)
        wanted = torch.bincount(row, minlength=len(rows))
        # The n-th bad entry of a row is replaced by the n-th good spare one.
        nth = torch.arange(len(row), device=row.device) - (wanted.cumsum(0) - wanted)[row]
        some = nth < spares[row]
        source = (spares.cumsum(0) - spares)[row] + nth
        pool[row[some], column[some]] = good[source[some]]
        return pool, (wanted > spares).nonzero().squeeze(1)

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
        at_once = max(1, ENTRIES_AT_ONCE // (self.history.n_items + 1))
        return rows.split(at_once) if len(rows) else ()

    def _too_small(self, wanted: int) -> str:
        return (
            f"a target has fewer than {wanted} legal items: the catalogue of "
            f"{self.history.n_items} items is too small for these histories"
        )


class SortedRows:
    """The entries of ``ids [T, K]`` in rising order within each row, to find equal ones by."""

    def __init__(self, ids: Tensor, n_items: int) -> None:
        T, K = ids.shape
        self._n_items, self._bits = n_items, (K - 1).bit_length()
        # Row, item and column in one number, so that all the entries rise from first to last.
        row, column = (torch.arange(n, device=ids.device) for n in (T, K))
        place = (row * (n_items + 1) << self._bits)[:, None] + column
        keys = place.add_(ids, alpha=1 << self._bits)
        if keys.device.type == "cpu":
            keys.numpy().sort(axis=1)  # in place; NumPy sorts short rows with vector instructions
            self._keys = keys.flatten()
        else:
            self._keys = keys.flatten().sort().values

    def repeats(self) -> tuple[Tensor, Tensor]:
        """``[E]`` rows and ``[E]`` columns of all but the first of equal entries of a row."""
        entry = self._keys >> self._bits
        return self._place((entry[1:] == entry[:-1]).nonzero().squeeze(1) + 1)

    def find(self, row: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """``[E]`` rows and ``[E]`` columns where any of these items stands in its row.

        Args:
            row: ``[n]``.
            item: ``[n]`` what to look for in each.
        """
        wanted = (row * (self._n_items + 1) + item) << self._bits
        low = torch.searchsorted(self._keys, wanted)
        there = (self._keys[low.clamp(max=len(self._keys) - 1)] ^ wanted) >> self._bits == 0
        low, wanted = low[there], wanted[there]
        high = torch.searchsorted(self._keys, wanted + (1 << self._bits))
        which, nth = _spread(high - low)  # it may stand in several columns
        return self._place(low[which] + nth)

    def _place(self, index: Tensor) -> tuple[Tensor, Tensor]:
        key = self._keys[index]
        row = (key >> self._bits).div(self._n_items + 1, rounding_mode="floor")
        return row, key & ((1 << self._bits) - 1)


def _spread(count: Tensor) -> tuple[Tensor, Tensor]:
    """``[E]`` index i and ``[E]`` number 0, 1, .. among i's own, each i ``count[i]`` times."""
    index = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    first = count.cumsum(0) - count
    return index, torch.arange(len(index), device=count.device) - first[index]

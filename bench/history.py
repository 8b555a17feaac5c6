"""What sequences have met by when: the look-ups behind every question of what is legal."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TABLE_AT_MOST = 2**25
"""Sequences x items up to which a table of all first meetings is kept: 64 MB of int16."""

TABLE_BELOW = 8
"""Entries of a table of what was met, for each id looked up, up to which it beats searches."""


class History:
    """Answers "has this sequence met this item by then?" for many (sequence, item, time) at once.

    Holds the distinct items of each sequence in the order in which they were first met, and one
    sorted key for each, so its size is that of the data, whatever the size of the catalogue; and
    where sequences x items are few enough, a table of when each met each.
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
        if self._tabled:
            return _look_up(self._table_of_all, sequences, until, ids)
        # A table of the batch's sequences takes a look for each id, walking the histories a step
        # for each of their items and a sort of the ids, looking up a search for each id.  How many
        # and how long the sequences are is known on a CPU without a wait.
        if at_hand(ids):
            distinct, row = sequences.unique_consecutive(return_inverse=True)
            start, count = self._stretch(sequences, until)
            total = int(count.sum())
            size, short = len(distinct) * (self.n_items + 1), 2 * total < ids.numel()
            if size <= (1 if short else TABLE_BELOW) * ids.numel():
                return _look_up(self._table(distinct), row, until, ids)
            if short:
                met = torch.zeros(ids.shape, dtype=torch.bool)
                ordered = ordered or SortedRows(ids, self.n_items)
                met[ordered.find(*self._walk(start, count, total))] = True
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
        T, K, device = len(sequences), len(ids), ids.device
        if self._tabled:
            return self.met(sequences, until, ids.expand(T, -1))
        start, count = self._stretch(sequences, until)
        total = int(count.sum())
        if total > T * K:  # few items, long histories
            return self.met(sequences, until, ids.expand(T, -1))
        # Of an item that stands in several columns any one is hit, and read for all of them; what
        # is none of the items hits a column more, which nobody reads.
        column_of = torch.full((self.n_items + 1,), K, device=device)
        column_of[ids] = torch.arange(K, device=device)
        row, item = self._walk(start, count, total)
        met = torch.zeros((T, K + 1), dtype=torch.bool, device=device)
        met[row, column_of[item]] = True
        return met.gather(1, column_of[ids].expand(T, -1))

    def met_of_all(self, sequences: Tensor, until: Tensor) -> Tensor:
        """``[T, n_items + 1]`` bool: as :meth:`met`, of the whole catalogue and the padding."""
        if self._tabled:
            table = self._table_of_all[sequences]
            return table <= _as_in(table, until)
        start, count = self._stretch(sequences, until)
        shape, device = (len(sequences), self.n_items + 1), sequences.device
        met = torch.zeros(shape, dtype=torch.bool, device=device)
        met[self._walk(start, count, int(count.sum()))] = True
        return met

    @property
    def _tabled(self) -> bool:
        """Whether a table of all sequences is kept."""
        return (len(self._offsets) - 1) * (self.n_items + 1) <= TABLE_AT_MOST

    @cached_property
    def _table_of_all(self) -> Tensor:
        return self._table(torch.arange(len(self._offsets) - 1, device=self._offsets.device))

    @cached_property
    def _kind(self) -> torch.dtype:
        """The smaller type that all positions fit in, and one later than them all."""
        last = int(self._firsts_at.max()) if len(self._firsts_at) else 0
        return torch.int16 if last < torch.iinfo(torch.int16).max else torch.int32

    def _table(self, sequences: Tensor) -> Tensor:
        """``[S, n_items + 1]``: the position at which each first meets each item, or more."""
        end = torch.full_like(sequences, torch.iinfo(torch.int64).max)
        start, count = self._stretch(sequences, end)
        row, nth = _spread(count)
        first, never = start[row] + nth, torch.iinfo(self._kind).max
        shape, device = (len(sequences), self.n_items + 1), sequences.device
        table = torch.full(shape, never, dtype=self._kind, device=device)
        table[row, self._firsts[first]] = self._firsts_at[first].to(self._kind)
        return table

    def _stretch(self, sequences: Tensor, until: Tensor) -> tuple[Tensor, Tensor]:
        """``[T]`` where among all distinct items those met by then start, and their number."""
        begin, end = self._offsets[sequences], self._offsets[sequences + 1]
        start = self._firsts_before[begin]
        stop = begin + torch.minimum(until, end - begin - 1) + 1
        return start, self._firsts_before[stop] - start

    def _walk(self, start: Tensor, count: Tensor, total: int) -> tuple[Tensor, Tensor]:
        """``[E]`` row and ``[E]`` item of every item met, row by row; ``total`` is E."""
        row, nth = _spread(count, total)
        return row, self._firsts[start[row] + nth]


class SortedRows:
    """The entries of ``ids [T, K]`` in rising order within each row, to find equal ones by."""

    def __init__(self, ids: Tensor, n_items: int) -> None:
        K = ids.shape[1]
        self._n_items, self._bits = n_items, (K - 1).bit_length()
        # Item and column in one number, the smaller the faster to sort.
        kind = torch.int32 if (n_items + 1) << self._bits < 2**31 else torch.int64
        keys = ids.to(kind, copy=True, memory_format=torch.contiguous_format)
        keys <<= self._bits
        keys += torch.arange(K, dtype=kind, device=ids.device)
        if at_hand(keys):
            keys.numpy().sort(axis=1)  # in place; NumPy sorts short rows with vector instructions
        else:
            keys = keys.sort(dim=1).values
        self._keys = keys

    def mark_repeats(self, marks: Tensor) -> None:
        """Set, in ``marks [T, K]`` bool, all but the first of equal entries of a row."""
        keys, last = self._keys, (1 << self._bits) - 1
        repeated = (keys[:, 1:] ^ keys[:, :-1]) <= last
        if at_hand(keys):
            place = torch.from_numpy(np.flatnonzero(repeated.numpy()))
            row = place.div(max(1, keys.shape[1] - 1), rounding_mode="floor")
            marks[row, keys.view(-1)[place + row + 1] & last] = True
        else:
            marks |= torch.empty_like(marks).scatter_(
                1, (keys & last).long(), F.pad(repeated, (1, 0))
            )

    def find(self, row: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """``[E]`` rows and ``[E]`` columns where any of these items stands in its row.

        Args:
            row: ``[n]``.
            item: ``[n]`` what to look for in each.
        """
        # With the row before item and column, all the entries rise from first to last.
        first_of = torch.arange(len(self._keys)) * (self._n_items + 1) << self._bits
        keys = (self._keys + first_of[:, None]).flatten()
        wanted = (row * (self._n_items + 1) + item) << self._bits
        low = torch.searchsorted(keys, wanted)
        there = (keys[low.clamp(max=len(keys) - 1)] ^ wanted) >> self._bits == 0
        low, wanted, row = low[there], wanted[there], row[there]
        high = torch.searchsorted(keys, wanted + (1 << self._bits))
        which, nth = _spread(high - low)  # it may stand in several columns
        return row[which], keys[low[which] + nth] & ((1 << self._bits) - 1)


def at_hand(tensor: Tensor) -> bool:
    """Whether its values can be looked at without a wait for a device."""
    return tensor.device.type == "cpu"


def _look_up(table: Tensor, row: Tensor, until: Tensor, ids: Tensor) -> Tensor:
    """``[T, K]`` bool: what a table's rows ``[T]`` hold for ``ids [T, K]`` is ``until [T]`` or
    less."""
    place = ids + (row * table.shape[1])[:, None]
    at = table.view(-1).index_select(0, place.view(-1)).view(ids.shape)
    return at <= _as_in(table, until)


def _as_in(table: Tensor, until: Tensor) -> Tensor:
    """``[T, 1]``: in the type of a table of positions, and below its "never"."""
    return until.clamp(max=torch.iinfo(table.dtype).max - 1).to(table.dtype)[:, None]


def _spread(count: Tensor, total: int | None = None) -> tuple[Tensor, Tensor]:
    """``[E]`` index i and ``[E]`` number 0, 1, .. among i's own, each i ``count[i]`` times.

    ``total`` is E, for where it is known: else a device is waited for.
    """
    each = torch.arange(len(count), device=count.device)
    index = torch.repeat_interleave(each, count, output_size=total)
    first = count.cumsum(0) - count
    return index, torch.arange(len(index), device=count.device) - first[index]

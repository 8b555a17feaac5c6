"""Training batches: which positions of which windows are trained together.

A window is a stretch of one training sequence that the backbone encodes in one go.  One-pass
training (causal backbones) trains every position of a window; prefix training encodes each
prefix on its own and trains its last position.  The table of windows is all that differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.datasets.splits import Sequences
from bench.history import History
from bench.pools import Targets
from bench.seeding import seed_for

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """One row a window; positions count from the start of the window's sequence.

    Attributes:
        sequence: ``[n]`` row of the training sequence.
        start: ``[n]`` position of the first input.
        length: ``[n]`` number of inputs.
        first: ``[n]`` offset in the window of the first input whose next item is trained; all
            inputs from there on are.
    """

    sequence: Ints
    start: Ints
    length: Ints
    first: Ints

    @property
    def n_targets(self) -> Ints:
        return self.length - self.first


def one_pass_windows(lengths: Ints, window: int) -> Windows:
    """Windows that train each (prefix -> next item) pair of each sequence exactly once.

    A sequence longer than ``window`` inputs is cut into windows that overlap by half or more, so
    that every pair beyond the first window is trained with at least ``window // 2`` inputs.

    Args:
        lengths: ``[n_sequences]`` items per sequence, at least 2 each.
        window: longest input.
    """
    inputs = lengths - 1
    step = max(1, window - window // 2)
    pieces = 1 + np.maximum(0, -((window - inputs) // step))
    sequence = np.repeat(np.arange(len(lengths)), pieces)
    piece = np.arange(len(sequence)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    end = np.minimum(window + piece * step, inputs[sequence])
    trained_before = np.where(piece == 0, 0, window + (piece - 1) * step)
    start = np.maximum(0, end - window)
    return Windows(sequence, start, end - start, trained_before - start)


def prefix_windows(lengths: Ints, window: int) -> Windows:
    """One window for each (prefix -> next item) pair: the prefix's last ``window`` items."""
    inputs = lengths - 1
    sequence = np.repeat(np.arange(len(lengths)), inputs)
    end = 1 + np.arange(len(sequence)) - np.repeat(np.cumsum(inputs) - inputs, inputs)
    length = np.minimum(end, window)
    return Windows(sequence, end - length, length, length - 1)


@dataclass(frozen=True)
class Batch:
    """Windows to encode, and where in the result the T targets stand.

    Attributes:
        items: ``[B, L]`` left-aligned inputs, 0 after the end.
        lengths: ``[B]``.
        places: ``[T]`` index into the flattened ``[B * L]`` states.
        targets: what comes next at those places.
    """

    items: Tensor
    lengths: Tensor
    places: Tensor
    targets: Targets


class Batches:
    """Shuffled batches of about ``batch_targets`` targets, windows of like length together.

    Attributes:
        items: ``[n]`` int64, the training sequences one after another, on the device.
        offsets: ``[n_sequences + 1]`` where each starts.
        history: of these sequences.
    """

    def __init__(
        self,
        sequences: Sequences,
        windows: Windows,
        n_items: int,
        batch_targets: int,
        seed: int,
        device: torch.device,
        alike: bool = True,
    ) -> None:
        """
        Args:
            sequences: to train on.
            windows: of these sequences.
            n_items: catalogue size.
            batch_targets: targets in a batch, about.
            seed: of the order.
            device: where batches are made.
            alike: windows of like length share a batch, which saves padding.
        """
        self._windows, self._batch_targets, self._seed = windows, batch_targets, seed
        self._alike = alike
        self._device = device
        columns = np.stack([windows.sequence, windows.start, windows.length, windows.first])
        self._columns = torch.from_numpy(columns).to(device)
        self.items = torch.as_tensor(sequences.items, dtype=torch.int64, device=device)
        self.offsets = torch.as_tensor(sequences.offsets, device=device)
        self._users = torch.as_tensor(sequences.users, device=device)
        self.history = History(self.items, self.offsets, n_items)

    @property
    def n_targets(self) -> int:
        """(prefix -> next item) pairs in an epoch."""
        return int(self._windows.n_targets.sum())

    @property
    def n_batches(self) -> int:
        """Batches in an epoch, about: windows are not cut to fill them."""
        return max(1, round(self.n_targets / self._batch_targets))

    def longest(self, n: int) -> Batch:
        """Windows of the greatest length there is, ``n`` of them or fewer."""
        length = self._windows.length
        rows = np.flatnonzero(length == length.max())[:n]
        return self._build(rows, 1, torch.Generator(self._device))

    def epoch(self, epoch: int, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of one epoch; their make-up and order depend on seed and epoch alone.

        Args:
            epoch: from 1.
            generator: the stream that pools are to be drawn from.
        """
        for rows in self._plan(epoch):
            yield self._build(rows, epoch, generator)

    def _plan(self, epoch: int) -> list[Ints]:
        """Rows of the window table, batch by batch."""
        rng = np.random.default_rng(seed_for(self._seed, "batches", epoch))
        rows = rng.permutation(len(self._windows.length))
        if self._alike:  # stable, so windows of one length meet in a new order every epoch
            rows = rows[np.argsort(self._windows.length[rows], kind="stable")]
        end = np.cumsum(self._windows.n_targets[rows])
        cuts = np.flatnonzero(np.diff((end - 1) // self._batch_targets)) + 1
        plan = np.split(rows, cuts)
        return [plan[i] for i in rng.permutation(len(plan))]

    def _build(self, rows: Ints, epoch: int, generator: torch.Generator) -> Batch:
        table = self._windows
        chosen = torch.from_numpy(rows).to(self._device, non_blocking=True)
        sequence, start, length, first = self._columns[:, chosen]
        L, T = int(table.length[rows].max()), int(table.n_targets[rows].sum())

        begin = self.offsets[sequence] + start
        offset = torch.arange(L, device=self._device)
        # Beyond a window's end this reads its neighbours' items, which the mask then drops.
        index = (begin[:, None] + offset).clamp_(max=len(self.items) - 1)
        items = self.items[index] * (offset < length[:, None])

        count = length - first
        row = torch.repeat_interleave(
            torch.arange(len(rows), device=self._device), count, output_size=T
        )
        nth = torch.arange(T, device=self._device) - (count.cumsum(0) - count)[row]
        column = first[row] + nth
        targets = Targets(
            positives=self.items[begin[row] + column + 1],
            users=self._users[sequence[row]],
            sequences=sequence[row],
            positions=start[row] + column + 1,
            history=self.history,
            generator=generator,
            epoch=epoch,
        )
        return Batch(items, length, row * L + column, targets)

"""Pools are, to the last id, those that a plain loop draws from the same random stream.

Stored results hold what was trained on them: whatever is made faster, the same draws are to be
asked of the generator in the same order, and the same ids to be kept of them.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from support import random_sequences, targets_of
from torch.utils._python_dispatch import TorchDispatchMode

from bench import history, pools

AT_ONCE = 3000
"""Entries of lists of legal items in one go, here."""


class PlainPools:
    """The same pools by loops over rows, draws and sets."""

    def __init__(self, sequences, n_items, rows, positions, generator, device=False):
        self.n_items, self.generator, self.device = n_items, generator, device
        self.met = [
            set(np.asarray(sequences[r])[: p + 1].tolist())
            for r, p in zip(rows, positions, strict=True)
        ]
        self.usual = sum(len(set(np.asarray(s).tolist())) for s in sequences) / len(sequences)

    def pool(self, N):
        """``{target: ids}``."""
        self.N, self.found = N, {}
        if self.n_items < 8 * N:
            self.by_keys(range(len(self.met)))
            return self.found
        for targets, spare in self.groups():
            for _ in range(6):
                if spare is None or not targets:
                    break
                targets = self.tried(targets, spare)
            self.by_keys(targets)
        return self.found

    def groups(self):
        N, n_items = self.N, self.n_items
        lost = N * (N / 2 + self.usual) / n_items
        spare = 3 + math.ceil(lost + 3 * math.sqrt(lost))
        left = list(range(len(self.met)))
        if self.usual < N or self.device:
            yield left, spare
            return
        needed = []
        for met in self.met:
            lost = N * (N / 2 + len(met)) / max(1, n_items - len(met))
            needed.append(0 if lost <= spare else lost + 3 * math.sqrt(lost))
        while left and spare < n_items // 8:
            yield [t for t in left if needed[t] <= spare], spare
            left = [t for t in left if needed[t] > spare]
            spare *= 2
        yield left, None

    def tried(self, targets, spare):
        """Keep the pools that one try gives; the targets that it leaves without one."""
        shape, N, short = (len(targets), self.N + spare), self.N, []
        drawn = torch.randint(1, self.n_items + 1, shape, generator=self.generator)
        for t, ids in zip(targets, drawn.tolist(), strict=True):
            good = [i not in self.met[t] and i not in ids[:at] for at, i in enumerate(ids)]
            spares = itertools.compress(ids[N:], good[N:])
            pool = [
                i if fine else next(spares, None) for i, fine in zip(ids[:N], good, strict=False)
            ]
            if None in pool:
                short.append(t)
            else:
                self.found[t] = pool
        return short

    def by_keys(self, targets):
        at_once = max(1, AT_ONCE // (self.n_items + 1))
        for start in range(0, len(targets), at_once):
            some = targets[start : start + at_once]
            keys = torch.rand((len(some), self.n_items), generator=self.generator)
            for row, t in zip(keys, some, strict=True):
                row[[i - 1 for i in self.met[t]]] = -1
            for t, best in zip(some, keys.topk(self.N, dim=1).indices.tolist(), strict=True):
                self.found[t] = [i + 1 for i in best]


def histories(n_items, n_users, shortest, longest, again=False, seed=0):
    """Of lengths of like logarithm, items without or with repeats."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.uniform(np.log(shortest), np.log(longest + 1), n_users)).astype(int)
    if again:
        return [rng.integers(1, n_items + 1, length) for length in lengths]
    return [1 + rng.permutation(n_items)[:length] for length in lengths]


def every_target(sequences, window=None):
    return [
        (row, position)
        for row, sequence in enumerate(sequences)
        for position in range(1, len(sequence))
        if window is None or position >= len(sequence) - window
    ]


CASES = {
    "short": (histories(900, 60, 3, 12), 900, 100),
    "short, one candidate": (histories(300, 60, 3, 12), 300, 1),
    "short, no candidate": (histories(300, 60, 3, 12), 300, 0),
    "short, one of them long": (
        [*histories(500, 60, 3, 12), *histories(500, 1, 440, 450)],
        500,
        50,
    ),
    "long": (histories(900, 25, 20, 850), 900, 60),
    "long, few candidates": (histories(900, 25, 20, 850), 900, 3),
    "long, with repeats": (histories(600, 25, 100, 1500, again=True), 600, 30),
    "all but the pool is met": (histories(200, 6, 150, 185), 200, 14),
    "many of a small catalogue": (histories(60, 40, 2, 30), 60, 20),
    "a tiny catalogue": (histories(9, 30, 2, 7), 9, 1),
    "a tiny catalogue, with repeats": (histories(16, 30, 2, 9, again=True), 16, 2),
}
WAYS = {
    "a table of all": {},
    "a table of the batch's": {"TABLE_AT_MOST": 0, "TABLE_BELOW": 10**6},
    "walked through, or searched": {"TABLE_AT_MOST": 0, "TABLE_BELOW": 0},
    "on a device": {"TABLE_AT_MOST": 0, "at_hand": lambda tensor: False},
}
ORDERS = ["in order", "of the last window", "shuffled"]


def look(monkeypatch, way):
    for name, value in WAYS[way].items():
        monkeypatch.setattr(history, name, value)
    if "at_hand" in WAYS[way]:
        monkeypatch.setattr(pools, "at_hand", WAYS[way]["at_hand"])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_pools_are_those_of_a_plain_loop(monkeypatch, case, way, order):
    """And the generator is left in the same state, from which the next pool is drawn."""
    look(monkeypatch, way)
    monkeypatch.setattr(pools, "ENTRIES_AT_ONCE", AT_ONCE)
    sequences, n_items, N = CASES[case]
    chosen = every_target(sequences, window=4 if order == "of the last window" else None)
    if order == "shuffled":
        chosen = [chosen[i] for i in np.random.default_rng(1).permutation(len(chosen))]
    rows, positions = map(list, zip(*chosen[:700], strict=True))
    generator = torch.Generator().manual_seed(7)
    plain = PlainPools(sequences, n_items, rows, positions, generator, way == "on a device")
    targets = targets_of(sequences, n_items, rows, positions, seed=7)
    for size in (N, N + 1):
        expected = plain.pool(size)
        assert targets.pool(size).tolist() == [expected[t] for t in range(len(rows))]
        assert torch.equal(targets.generator.get_state(), generator.get_state())


def test_the_cases_try_again_and_take_lists(monkeypatch):
    """Else the test above would not see all that there is."""
    taken = []
    for name in ("_try_pools", "_pool_by_keys"):
        before = getattr(pools.Targets, name)

        def spy(self, rows, *given, name=name, before=before):
            if len(rows):
                taken.append((name, *given[1:]))
            return before(self, rows, *given)

        monkeypatch.setattr(pools.Targets, name, spy)
    sequences, n_items, N = CASES["long"]
    targets_of(sequences, n_items, *zip(*every_target(sequences), strict=True)).pool(N)
    tries = [spare[0] for name, *spare in taken if name == "_try_pools"]
    assert len(tries) > len(set(tries)) > 1 and ("_pool_by_keys",) in taken


def test_pools_do_not_depend_on_the_number_of_threads():
    sequences, n_items, N = CASES["long"]
    rows, positions = map(list, zip(*every_target(sequences), strict=True))
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            found.append(targets_of(sequences, n_items, rows, positions).pool(N))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


class Waits(TorchDispatchMode):
    """Counts the operations whose result's size or value a device would be waited for."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operation, types, given=(), options=None):
        name = operation.name().removeprefix("aten::")
        masks = name.startswith("index") and any(
            getattr(index, "dtype", None) is torch.bool
            for index in (given[1] if isinstance(given[1], list) else [])
        )
        unsized = name == "repeat_interleave.Tensor" and not (options or {}).get("output_size")
        asks = ("nonzero", "_local_scalar_dense", "masked_select", "_unique", "unique", "bincount")
        if masks or unsized or name.startswith(asks):
            self.names.append(name)
        return operation(*given, **(options or {}))


@pytest.mark.parametrize("way", ["a table of all", "on a device"])
def test_a_try_at_pools_asks_a_device_once(monkeypatch, way):
    """How many rows are to try again; and a redraw, which entries are still illegal."""
    tries, before = [], pools.Targets._try_pools
    monkeypatch.setattr(
        pools.Targets, "_try_pools", lambda *given: tries.append(given) or before(*given)
    )
    look(monkeypatch, way)
    monkeypatch.setattr(history, "at_hand", lambda tensor: False)
    monkeypatch.setattr(pools, "at_hand", lambda tensor: False)
    sequences = random_sequences(n_users=60, n_items=900)
    targets = targets_of(sequences, 900, *zip(*every_target(sequences), strict=True))
    targets.illegal(targets.positives[:, None])  # a table is made once
    with Waits() as waits:
        targets.pool(50)
    assert tries and waits.names == ["nonzero"] * len(tries)
    rounds = 0

    def propose(rows, K):
        nonlocal rounds
        rounds += 1
        return targets.uniform(rows, K)

    with Waits() as waits:
        targets.draw(30, propose)
    assert rounds > 1 and waits.names == ["nonzero"] * rounds
    with Waits() as waits:
        targets.legal_among(torch.arange(1, 300))
    assert len(waits.names) == (0 if way == "a table of all" else 1)

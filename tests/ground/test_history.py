"""What a history says was met, against a search through the sequence, in each way of looking."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import random_sequences

from bench import history as history_module
from bench.history import History, SortedRows

N_ITEMS = 40


@pytest.fixture(scope="module")
def sequences():
    return random_sequences(n_users=30, n_items=N_ITEMS, longest=15)


def test_history_says_when_an_item_was_first_met():
    items, offsets = torch.tensor([3, 1, 3, 2, 3, 3]), torch.tensor([0, 4, 6])
    history = History(items, offsets, 3)
    sequences = torch.tensor([0, 0, 0, 1])
    until = torch.tensor([0, 1, 3, 0])
    ids = torch.tensor([[1, 2, 3]]).expand(4, 3)
    assert history.met(sequences, until, ids).tolist() == [
        [False, False, True],
        [True, False, True],
        [True, True, True],
        [False, False, True],
    ]


WAYS = {
    "a table of all": {},
    "a table of the batch's": {"TABLE_AT_MOST": 0, "TABLE_BELOW": 10**6},
    "walked through, or searched": {"TABLE_AT_MOST": 0, "TABLE_BELOW": 0},
    "on a device": {"TABLE_AT_MOST": 0, "at_hand": lambda tensor: False},
}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(history_module, name, value)


# Few ids are looked up; of many, those of short histories are walked through.
@pytest.mark.parametrize(("K", "few"), [(1, 30), (3, 30), (40, 30), (40, 3)])
def test_the_history_equals_a_search_through_the_sequence(way, sequences, K, few):
    items = torch.as_tensor(np.concatenate(sequences))
    repeated = torch.cat([items, items[:20]])  # the last sequence meets some items twice
    offsets = torch.as_tensor(np.cumsum([0, *map(len, sequences)]))
    offsets[-1] += 20
    history = History(repeated, offsets, N_ITEMS)
    rng = torch.Generator().manual_seed(0)
    which = torch.randint(len(sequences), (50,), generator=rng)
    which[:5] = len(sequences) - 1
    which = which.clamp(min=len(sequences) - few)
    until = torch.randint(40, (50,), generator=rng)
    until[::7] = torch.iinfo(torch.int64).max
    ids = torch.randint(1, N_ITEMS + 1, (50, K), generator=rng)
    met_by = [
        set(repeated[offsets[s] : offsets[s + 1]][: u + 1].tolist())
        for s, u in zip(which, until.clamp(max=99), strict=True)
    ]
    expected = [[i in met for i in row] for met, row in zip(met_by, ids.tolist(), strict=True)]
    assert history.met(which, until, ids).tolist() == expected
    shared = [[i in met for i in ids[0].tolist()] for met in met_by]
    assert history.met_among(which, until, ids[0]).tolist() == shared
    everything = [[i in met for i in range(N_ITEMS + 1)] for met in met_by]
    assert history.met_of_all(which, until).tolist() == everything


def test_an_item_first_met_after_many_thousands_is_met_then():
    """Positions that two bytes do not hold, and the last one that they hold."""
    last = torch.iinfo(torch.int16).max
    for at in (last - 1, last, last + 1):
        items = torch.ones(at + 2, dtype=torch.int64)
        items[at] = 2
        history = History(items, torch.tensor([0, len(items)]), 3)
        until = torch.tensor([at - 1, at, at + 1])
        met = history.met(torch.zeros_like(until), until, torch.tensor([[1, 2, 3]]).expand(3, 3))
        assert met.tolist() == [[True, False, False], [True, True, False], [True, True, False]]


# The last catalogue's keys need more than four bytes.
@pytest.mark.parametrize("n_items", [9, 10**9])
def test_sorted_rows_find_all_of_equal_entries(n_items):
    ordered = SortedRows(torch.tensor([[4, 2, 4, 4], [1, 2, 3, 1], [7, 6, 5, 4]]), n_items)
    marks = torch.zeros(3, 4, dtype=torch.bool)
    marks[2, 0] = True
    ordered.mark_repeats(marks)
    assert marks.nonzero().tolist() == [[0, 2], [0, 3], [1, 3], [2, 0]]
    found = ordered.find(torch.tensor([0, 0, 1, 2]), torch.tensor([4, 1, 1, 9]))
    assert set(zip(*map(torch.Tensor.tolist, found), strict=True)) == {
        (0, 0), (0, 2), (0, 3), (1, 0), (1, 3)
    }  # fmt: skip

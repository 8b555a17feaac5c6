"""Training batches: every (prefix -> next item) pair once, whatever the window."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from support import CPU, cell_of, dataset_of, random_sequences

from bench.cell import Cell
from bench.datasets.splits import Sequences, make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.training.batches import Batches, one_pass_windows, prefix_windows
from bench.training.loop import Trainer

WINDOW = 6
LENGTHS = [2, 3, 6, 7, 8, 9, 13, 26, 40]


def sequences_of(lengths=LENGTHS, n_items=60):
    rng = np.random.default_rng(0)
    items = [1 + rng.permutation(n_items)[:n] for n in lengths]
    made = Sequences(
        np.concatenate(items).astype(np.int32),
        np.cumsum([0, *lengths]),
        np.arange(10, 10 + len(lengths)),
    )
    return items, made


@pytest.mark.parametrize("cut", [one_pass_windows, prefix_windows])
@pytest.mark.parametrize("window", [1, 2, 5, 6, 50])
def test_every_pair_is_trained_once_with_context(cut, window):
    table = cut(np.array(LENGTHS), window)
    trained = Counter()
    for s, start, length, first in zip(
        table.sequence, table.start, table.length, table.first, strict=True
    ):
        assert 1 <= length <= window
        assert 0 <= first < length
        for offset in range(first, length):
            position = start + offset + 1  # of the item to be predicted
            trained[s, position] += 1
            context = offset + 1
            best = min(position, window)
            assert context == best if cut is prefix_windows else context >= min(best, window // 2)
    assert trained == {(s, p): 1 for s, n in enumerate(LENGTHS) for p in range(1, n)}


@pytest.mark.parametrize("cut", [one_pass_windows, prefix_windows])
def test_a_batch_holds_the_items_it_says(cut):
    items, made = sequences_of()
    batches = Batches(made, cut(np.array(LENGTHS), WINDOW), 60, 16, seed=1, device=CPU)
    seen = Counter()
    for batch in batches.epoch(1, torch.Generator()):
        B, L = batch.items.shape
        for place, positive, user, row, position in zip(
            batch.places.tolist(),
            batch.targets.positives.tolist(),
            batch.targets.users.tolist(),
            batch.targets.sequences.tolist(),
            batch.targets.positions.tolist(),
            strict=True,
        ):
            assert user == row + 10
            assert positive == items[row][position]
            b, offset = divmod(place, L)
            context = batch.items[b, : offset + 1].tolist()
            assert context == items[row][position - len(context) : position].tolist()
            seen[row, position] += 1
        for b in range(B):
            assert (batch.items[b, batch.lengths[b] :] == 0).all()
            assert (batch.items[b, : batch.lengths[b]] > 0).all()
    assert sum(seen.values()) == batches.n_targets == sum(n - 1 for n in LENGTHS)
    assert set(seen.values()) == {1}


def test_batches_are_of_about_the_size_asked_for_and_of_like_length():
    lengths = [len(s) for s in random_sequences(n_users=400, longest=30)]
    _, made = sequences_of(lengths)
    batches = Batches(made, one_pass_windows(np.array(lengths), 50), 60, 256, seed=1, device=CPU)
    built = list(batches.epoch(1, torch.Generator()))
    sizes = [len(batch.places) for batch in built]
    assert np.mean(sizes[:-1]) == pytest.approx(256, rel=0.1)
    real = sum(int(batch.lengths.sum()) for batch in built)
    assert real > 0.9 * sum(batch.items.numel() for batch in built)  # little padding


def test_order_depends_on_seed_and_epoch_and_nothing_else():
    _, made = sequences_of()
    table = one_pass_windows(np.array(LENGTHS), WINDOW)

    def order(seed, epoch):
        batches = Batches(made, table, 60, 16, seed, CPU)
        return [b.targets.positives.tolist() for b in batches.epoch(epoch, torch.Generator())]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(1, 2)
    assert order(1, 1) != order(2, 1)


def test_shuffled_prefixes_are_each_trained_once_whatever_their_length():
    """As the released code of the MDCNS paper has it: rows of all lengths in a batch."""
    split = make_split(dataset_of(random_sequences(n_users=60)), "user", 0)
    data = TrainingData(split.train, n_items=60)
    trained = {}
    for batches in ("one-pass", "prefix-shuffled"):
        trainer = Trainer(cell_of(batches=batches, batch_targets=32), data, CPU)
        found = list(trainer.batches.epoch(1, trainer.generator))
        lengths = [batch.lengths.tolist() for batch in found]
        pairs = [
            (int(s), int(p))
            for batch in found
            for s, p in zip(batch.targets.sequences, batch.targets.positions, strict=True)
        ]
        assert len(set(pairs)) == len(pairs)
        trained[batches] = set(pairs)
        spread = max(max(each) - min(each) for each in lengths)
        assert (spread > 5) == (batches == "prefix-shuffled")
        assert np.isfinite(trainer.epoch(1)["loss"])
    assert trained["one-pass"] == trained["prefix-shuffled"]


def test_other_ways_to_make_batches_are_refused():
    with pytest.raises(UserError, match="batches=sorted: expected one-pass or prefix-shuffled"):
        cell_of(batches="sorted")


def test_a_setting_that_came_later_changes_no_key_of_cells_without_it():
    usual = cell_of()
    assert "batches" not in usual.config()["protocol"]
    assert Cell.from_config(usual.config()) == usual
    other = cell_of(batches="prefix-shuffled")
    assert other.config()["protocol"]["batches"] == "prefix-shuffled"
    assert Cell.from_config(other.config()) == other
    assert other.key != usual.key

"""Sparse candidate scoring against the plain form."""

from __future__ import annotations

import pytest
import torch
from support import CPU, cell_of, dataset_of, random_sequences

from bench import scoring
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.scoring import look_up, score_candidates
from bench.training.loop import Trainer

DATASET = dataset_of(random_sequences(n_users=60, n_items=200, longest=8))


@pytest.mark.parametrize("large", [False, True])  # a sparse gradient of the table
@pytest.mark.parametrize("K", [1, 7, 30, 50])  # few of the items, all, and more
@pytest.mark.parametrize("repeats", [False, True])
def test_scores_and_gradients_equal_gather_and_multiply(K, repeats, large, monkeypatch):
    monkeypatch.setattr(scoring, "LARGE", 10 if large else 1000)
    torch.manual_seed(0)
    T, d, n_items = 13, 5, 30
    ids = torch.randint(1, 3 if repeats else n_items + 1, (T, K))
    upstream = torch.randn(T, K)
    results = []
    for form in (score_candidates, lambda h, E, i: (h[:, None, :] * E[i]).sum(-1)):
        states = torch.randn(T, d, generator=torch.Generator().manual_seed(1)).requires_grad_()
        table = torch.randn(n_items + 1, d, generator=torch.Generator().manual_seed(2))
        table.requires_grad_()
        scores = form(states, table, ids)
        scores.backward(upstream)
        results.append((scores.detach(), states.grad, table.grad))
    assert results[0][2].is_sparse == (large and n_items >= K)
    results[0] = (*results[0][:2], results[0][2].to_dense())
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_no_gradient_is_computed_where_none_is_asked_for():
    states, table = torch.randn(3, 4), torch.randn(6, 4, requires_grad=True)
    score_candidates(states, table, torch.tensor([[1, 2]] * 3)).sum().backward()
    assert states.grad is None
    assert table.grad[3:].abs().sum() == 0


def test_a_look_up_in_a_large_table_has_a_sparse_gradient(monkeypatch):
    monkeypatch.setattr(scoring, "LARGE", 10)
    table = torch.randn(30, 4, requires_grad=True)
    look_up(torch.tensor([[3, 5], [3, 7]]), table).sum().backward()
    assert table.grad.is_sparse
    expected = torch.zeros(30, 4)
    expected[3], expected[5], expected[7] = 2, 1, 1
    torch.testing.assert_close(table.grad.to_dense(), expected)


@pytest.mark.parametrize("objective", ["bce", "ce"])  # few items touched, and all of them
def test_a_step_moves_the_rows_of_a_large_table_that_it_touches(objective, monkeypatch):
    """By lazy Adam: the first step of either kind moves what has a gradient by the rate."""
    monkeypatch.setattr(scoring, "LARGE", 10)
    data = TrainingData.of(DATASET, make_split(DATASET, "user", 0))
    trainer = Trainer(cell_of(objective=objective), data, CPU)
    table = trainer.models[0].items.weight
    before = table.detach().clone()
    batch = next(trainer.batches.epoch(1, trainer.generator))
    trainer.step(batch)
    moved = (table != before).any(dim=1)
    assert not moved[0]
    assert (table - before).detach().abs().max().item() == pytest.approx(1e-3, rel=0.01)
    touched = set(batch.items.flatten().tolist()) | set(batch.targets.positives.tolist())
    assert touched - {0} <= set(moved.nonzero().squeeze(1).tolist())
    assert bool(moved[1:].all()) == (objective == "ce")

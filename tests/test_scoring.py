"""Sparse candidate scoring against the plain form."""

from __future__ import annotations

import pytest
import torch

from bench.scoring import score_candidates


@pytest.mark.parametrize("n_items", [30, 300])  # dense and sparse
@pytest.mark.parametrize("K", [1, 7])
@pytest.mark.parametrize("repeats", [False, True])
def test_scores_and_gradients_equal_gather_and_multiply(K, repeats, n_items):
    torch.manual_seed(0)
    T, d = 13, 5
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
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_no_gradient_is_computed_where_none_is_asked_for():
    states, table = torch.randn(3, 4), torch.randn(6, 4, requires_grad=True)
    score_candidates(states, table, torch.tensor([[1, 2]] * 3)).sum().backward()
    assert states.grad is None
    assert table.grad[3:].abs().sum() == 0

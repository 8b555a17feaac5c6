"""The training loop's optimisers take the steps of torch's own."""

from __future__ import annotations

import pytest
import torch

from bench.training import optimisers


def run(kind, sparse, resumed_after=None, **options):
    """A table and a matrix after five steps from the same start, along the same gradients."""
    torch.manual_seed(0)
    shapes = [(7, 3)] if sparse else [(7, 3), (3, 3)]
    weights = [torch.randn(shape).requires_grad_() for shape in shapes]
    optimiser = kind(weights, lr=0.01, **options)
    for step in range(5):
        if step == resumed_after:
            state = optimiser.state_dict()
            optimiser = kind(weights, lr=0.5, **options)
            optimiser.load_state_dict(state)
        optimiser.zero_grad()
        assert all(weight.grad is None for weight in weights)
        for weight in weights:
            gradient = torch.randn_like(weight)
            gradient[step % len(gradient)] = 0
            weight.grad = gradient.to_sparse(1) if sparse else gradient
        optimiser.step()
    return weights


KINDS = [("Adam", False, {"fused": True}), ("SparseAdam", True, {})]


@pytest.mark.parametrize("name, sparse, options", KINDS)
@pytest.mark.parametrize("resumed_after", [None, 3])
def test_their_steps_are_torchs_to_the_last_bit(name, sparse, options, resumed_after):
    want = run(getattr(torch.optim, name), sparse, **options)
    got = run(getattr(optimisers, name), sparse, resumed_after, **options)
    for ours, theirs in zip(got, want, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.grad_fn is None


def test_torchs_own_are_left_as_they_are():
    assert optimisers.Adam.zero_grad is not torch.optim.Adam.zero_grad
    assert issubclass(optimisers.Adam, torch.optim.Adam)
    assert hasattr(torch.optim.Adam.zero_grad, "__wrapped__")

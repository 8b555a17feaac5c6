"""The training loop's optimisers take the steps of torch's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.training import optimisers

STEPS, ROWS, DIM = 5, 7, 3


def gradients(touched):
    """One a step, zero in the rows that it does not touch."""
    torch.manual_seed(1)
    for rows in touched:
        gradient = torch.zeros(ROWS, DIM)
        gradient[rows] = torch.randn(len(rows), DIM)
        yield gradient


def made(kind, table, lr):
    options = {} if kind is optimisers.LazyAdam else {"fused": True}
    return kind([table], lr=lr, **options)


def moved(kind, touched, sparse=False, resumed_after=None, device="cpu"):
    """A table after steps along these gradients."""
    torch.manual_seed(0)
    table = torch.randn(ROWS, DIM).to(device).requires_grad_()
    optimiser = made(kind, table, 0.01)
    for step, gradient in enumerate(gradients(touched)):
        if step == resumed_after:
            state = optimiser.state_dict()
            optimiser = made(kind, table, 0.5)
            optimiser.load_state_dict(state)
        optimiser.zero_grad()
        assert table.grad is None
        table.grad = (gradient.to_sparse(1) if sparse else gradient).to(device)
        optimiser.step()
    assert table.grad_fn is None
    return table.detach().cpu()


ALL = [list(range(ROWS))] * STEPS
SOME = [[0, 3], [3], [1, 2, 6], [], [0, 3, 6]]


@pytest.mark.parametrize("resumed_after", [None, 3])
def test_adam_is_torchs_to_the_last_bit(resumed_after):
    got = moved(optimisers.Adam, ALL, resumed_after=resumed_after)
    assert torch.equal(got, moved(torch.optim.Adam, ALL))


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("at_once", [2, 100])
def test_lazy_adam_is_adam_where_all_rows_are_touched(monkeypatch, sparse, at_once):
    monkeypatch.setattr(optimisers, "ROWS_AT_ONCE", at_once)
    assert torch.equal(moved(optimisers.LazyAdam, ALL, sparse), moved(torch.optim.Adam, ALL))


@pytest.mark.parametrize("resumed_after", [None, 2, 4])
@pytest.mark.parametrize("sparse", [True, False])
def test_lazy_adam_moves_touched_rows_alone(sparse, resumed_after):
    """By hand, in double precision: moments wait, and the bias is that of all steps so far."""
    torch.manual_seed(0)
    want = torch.randn(ROWS, DIM).double().numpy()
    first, second = np.zeros_like(want), np.zeros_like(want)
    for step, (rows, gradient) in enumerate(zip(SOME, gradients(SOME), strict=True), start=1):
        g = gradient.double().numpy()[rows]
        first[rows] = 0.9 * first[rows] + 0.1 * g
        second[rows] = 0.999 * second[rows] + 0.001 * g**2
        unbiased = second[rows] / (1 - 0.999**step)
        want[rows] -= 0.01 * first[rows] / (1 - 0.9**step) / (np.sqrt(unbiased) + 1e-8)
    got = moved(optimisers.LazyAdam, SOME, sparse, resumed_after)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5, atol=1e-7)


def test_a_gradient_in_parts_is_their_sum():
    """Look-ups and products each add theirs; an item may be in both, the other way too."""
    tables = [torch.ones(ROWS, 1, requires_grad=True) for _ in range(2)]
    for table, rows, values in zip(
        tables, ([2, 5, 2], [2, 5]), ([-3.0, 1, 1], [-2.0, 1]), strict=True
    ):
        columns = torch.tensor(values)[:, None]
        table.grad = torch.sparse_coo_tensor([rows], columns, (ROWS, 1), check_invariants=True)
        optimisers.LazyAdam([table], 0.1).step()
    assert torch.equal(*tables)


def test_the_state_of_torchs_sparse_adam_is_refused():
    """A checkpoint of an earlier version: half of a training by each rule would be neither's."""
    table = torch.ones(ROWS, 1, requires_grad=True)
    earlier = torch.optim.SparseAdam([table], lr=0.1)
    with pytest.raises(ValueError, match="LazyAdam"):
        optimisers.LazyAdam([table], 0.1).load_state_dict(earlier.state_dict())


@pytest.mark.gpu
@pytest.mark.parametrize("resumed_after", [None, 2])
@pytest.mark.parametrize("sparse", [True, False])
def test_lazy_adam_takes_the_same_steps_on_a_gpu(sparse, resumed_after):
    got = moved(optimisers.LazyAdam, SOME, sparse, resumed_after, device="cuda")
    want = moved(optimisers.LazyAdam, SOME, sparse)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-7)


def test_torchs_own_is_left_as_it_is():
    assert hasattr(torch.optim.Adam.zero_grad, "__wrapped__")


def test_a_model_that_is_its_item_table_alone_has_one_optimiser_whatever_its_size():
    for sparse, kind in ((True, optimisers.LazyAdam), (False, optimisers.Adam)):
        model = torch.nn.Module()
        model.items = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        (only,) = optimisers.optimisers([model], 0.01)
        assert type(only) is kind
        (table,) = only.param_groups[0]["params"]
        assert table is model.items.weight

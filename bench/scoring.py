"""Scores of candidate items and their gradient: the hot code of every hard sampler.

The obvious form gathers ``[T, N, d]`` item vectors and multiplies; its backward pass scatters
as many into the table's gradient.  Seen as a sparse T x items matrix with N entries a row,
the scores are a *sampled* product (only the entries wanted are computed) and both gradients are
sparse-times-dense products, with nothing of size T x N x d ever stored.  Those are written as
weighted bags of vectors, for which PyTorch has its fastest kernel.  ``bench.speed`` has the ratio;
tests hold the two forms equal.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

warnings.filterwarnings("ignore", message="Sparse (CSR|CSC) tensor support is in beta")


LARGE = 50_000
"""With more items than these, the gradient of the item table holds only the rows that a step
touches, and only they are updated: a step's cost is that of its batch, whatever the catalogue.  An
untouched row's moments then wait unchanged for its next turn (`bench.training.optimisers`),
where Adam would have let them decay and would have moved the row on."""


def is_large(n_rows: int) -> bool:
    """Whether a table of so many rows is trained sparsely."""
    return n_rows > LARGE


def look_up(ids: Tensor, table: Tensor) -> Tensor:
    """``[..., d]`` rows ``ids [...]`` of ``table [n_items + 1, d]``; differentiable."""
    return F.embedding(ids, table, sparse=is_large(len(table)))


def score_candidates(states: Tensor, table: Tensor, ids: Tensor) -> Tensor:
    """Scores s(u, i) = h_u . E_i of K candidates a row.

    Args:
        states: ``[T, d]``.
        table: ``[n_items + 1, d]``.
        ids: ``[T, K]`` int64, rows of the table.

    Returns:
        ``[T, K]``, differentiable with respect to states and table.
    """
    if states.device.type != "cpu":
        # GPUs have the bandwidth for the gather, and their sparse kernels want sorted columns.
        return torch.einsum("td,tkd->tk", states, look_up(ids, table))
    if len(table) < ids.shape[1]:  # a row of so many entries is no sparse row
        return (states @ table.t()).gather(1, ids)
    scores: Tensor = _SampledProduct.apply(states, table, ids)
    return scores


class _SampledProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(states, table, ids)
        T, K = ids.shape
        pattern = torch.sparse_csr_tensor(
            torch.arange(0, T * K + 1, K),
            ids.reshape(-1),
            states.new_zeros(T * K),
            (T, len(table)),
            check_invariants=False,
        )
        product = torch.sparse.sampled_addmm(pattern, states, table.t(), beta=0.0)
        return product.values().view(ids.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        states, table, ids = ctx.saved_tensors
        values = grads[0].contiguous()
        need_states, need_table, _ = ctx.needs_input_grad
        grad_states = None
        if need_states:  # a weighted bag of item vectors
            grad_states = F.embedding_bag(ids, table, per_sample_weights=values, mode="sum")
        grad_table = None
        if need_table and is_large(len(table)):
            distinct, column = ids.unique(return_inverse=True)
            touched = _gradient_of_items(states, column, values, len(distinct))
            grad_table = torch.sparse_coo_tensor(
                distinct[None], touched, table.shape, is_coalesced=True, check_invariants=False
            )
        elif need_table:
            grad_table = _gradient_of_items(states, ids, values, len(table))
        return grad_states, grad_table, None


def _gradient_of_items(states: Tensor, ids: Tensor, values: Tensor, n_rows: int) -> Tensor:
    """``[n_rows, d]``: an item's gradient is a weighted bag of the states that it was scored with.

    Args:
        states: ``[T, d]``.
        ids: ``[T, K]`` rows of the table.
        values: ``[T, K]`` gradients of the scores.
        n_rows: of the table.
    """
    T, K = ids.shape
    by_row = (values.numpy().reshape(-1), ids.numpy().reshape(-1), np.arange(0, T * K + 1, K))
    by_item = sp.csr_array(by_row, shape=(T, n_rows)).tocsc()
    rows, offsets, weights = map(torch.from_numpy, (by_item.indices, by_item.indptr, by_item.data))
    return F.embedding_bag(
        rows, states, offsets, per_sample_weights=weights, mode="sum", include_last_offset=True
    )

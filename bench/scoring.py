"""Scores of candidate items and their gradient: the hot code of every hard sampler.

The obvious form gathers ``[T, N, d]`` item vectors and multiplies; its backward pass scatters
as many into the table's gradient.  Seen as a sparse T x items matrix with N entries a row,
the scores are a *sampled* product (only the entries wanted are computed) and both gradients are
sparse-times-dense products, with nothing of size T x N x d ever stored.  ``bench.speed`` has the
ratio; tests hold the two forms equal.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

warnings.filterwarnings("ignore", message="Sparse (CSR|CSC) tensor support is in beta")


DENSE_BELOW = 10
"""With so many items a candidate, or fewer, scoring them all and picking is faster on a CPU."""


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
        return torch.einsum("td,tkd->tk", states, torch.nn.functional.embedding(ids, table))
    if len(table) <= DENSE_BELOW * ids.shape[1]:
        return (states @ table.t()).gather(1, ids)
    scores: Tensor = _SampledProduct.apply(states, table, ids)
    return scores


class _SampledProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(states, table, ids)
        pattern = _rows(ids, states.new_zeros(ids.numel()), len(table))
        product = torch.sparse.sampled_addmm(pattern, states, table.t(), beta=0.0)
        return product.values().view(ids.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        states, table, ids = ctx.saved_tensors
        values = grads[0].reshape(-1)
        need_states, need_table, _ = ctx.needs_input_grad
        grad_states = _rows(ids, values, len(table)) @ table if need_states else None
        grad_table = None
        if need_table:
            transposed = torch.sparse_csc_tensor(
                *_structure(ids), values, (len(table), len(ids)), check_invariants=False
            )
            grad_table = transposed @ states
        return grad_states, grad_table, None


def _structure(ids: Tensor) -> tuple[Tensor, Tensor]:
    T, K = ids.shape
    return torch.arange(0, T * K + 1, K, device=ids.device), ids.reshape(-1)


def _rows(ids: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """The sparse ``[T, n_columns]`` matrix with ``values`` at columns ``ids`` of each row."""
    return torch.sparse_csr_tensor(
        *_structure(ids), values, (len(ids), n_columns), check_invariants=False
    )

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.objectives.base import Objective, register
from samplers.base import Scored

LOGITS_AT_ONCE = {"cpu": 2**21, "cuda": 2**26}
FEWEST_ROWS = 32
"""Targets x items whose logits exist at a time, but no fewer targets, as each piece goes over the
whole item table: memory does not grow with the number of targets."""


@register("ce")
class CrossEntropy(Objective):
    """Full softmax: -log softmax(s)(positive) over the whole catalogue; needs no negatives.

    What the user has had already is not masked, as is usual.  Loss and gradients are computed
    together, a chunk of targets at a time, and the T x I logits are never held whole.

    Source: the cross-entropy of GRU4Rec's and SASRec's successors; chunked as in Wijmans et al.,
    Cut Your Losses, ICLR 2025.
    Cost: three products of T x I x d.
    """

    needs_negatives = False

    def loss(self, scored: Scored) -> Tensor:
        view = scored.view
        loss: Tensor = _ChunkedCrossEntropy.apply(view.states, view.table, view.positives)
        return loss


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, table: Tensor, positives: Tensor) -> Tensor:
        T = len(states)
        loss = states.new_zeros(())
        grad_states, grad_table = torch.empty_like(states), torch.zeros_like(table)
        at_once = max(FEWEST_ROWS, LOGITS_AT_ONCE[states.device.type] // len(table))
        for rows in torch.arange(T, device=states.device).split(at_once):
            logits = states[rows] @ table.t()
            logits[:, 0] = -torch.inf  # padding is no item
            column = positives[rows, None]
            own, largest = logits.gather(1, column), logits.amax(dim=1, keepdim=True)
            shares = logits.sub_(largest).exp_()  # in place: the logits are what takes memory
            total = shares.sum(dim=1, keepdim=True)
            loss += (total.log() + largest - own).sum()
            gradient = shares.div_(total)  # of the loss with respect to the logits
            gradient.scatter_add_(1, column, -torch.ones_like(column, dtype=gradient.dtype))
            grad_states[rows] = gradient @ table
            grad_table.addmm_(gradient.t(), states[rows])
        ctx.save_for_backward(grad_states / T, grad_table / T)
        return loss / T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_states, grad_table = ctx.saved_tensors
        return grads[0] * grad_states, grads[0] * grad_table, None

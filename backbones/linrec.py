"""LinRec: linear attention."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.base import Backbone, last_states, register
from backbones.layers import (
    LAYER_NORM_EPS,
    Dropout,
    FeedForward,
    PositionalInput,
    check_hyper_parameters,
    initialise,
    real_items,
)

SHORTEST = 1e-12
"""What a head's length is taken to be at least; PyTorch's for `normalize`."""


@register("linrec")
class LinRec(Backbone):
    """Linear attention over the whole input (Liu et al., LinRec, SIGIR 2023).

    SASRec with its attention replaced by ``Q' (K'ᵀ V) / sqrt(dh)``, Q' and K' being ELU of the
    projections, each position of each head scaled to length one.  Every position sees every
    other, so it is trained on one prefix at a time.  Padding is left out of ``K'ᵀ V``; in the
    released code it takes part.  Position ids count from the start of the input.

    Without the item table: ``window·d + 2d + layers·(12d² + 13d)`` parameters.
    """

    causal: ClassVar[bool] = False
    search_space = {"dropout": [0.2, 0.5]}

    def __init__(
        self,
        n_items: int,
        dim: int,
        window: int,
        *,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.5,
    ) -> None:
        """
        Args:
            layers: blocks of attention and feed-forward.
            heads: attention heads; they share ``dim``.
            dropout: on the input and both residual branches.

        Raises:
            ValueError: a value no model can be built from.
        """
        check_hyper_parameters(dim, window, layers=layers, heads=heads, dropout=dropout)
        super().__init__(n_items, dim, window)
        self.input = PositionalInput(dim, window, dropout=dropout)
        self.attention = nn.ModuleList(
            LinearAttention(dim, heads=heads, dropout=dropout) for _ in range(layers)
        )
        self.feed_forward = nn.ModuleList(FeedForward(dim, dropout=dropout) for _ in range(layers))
        initialise(self)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, L, dim]``; see `Backbone.forward`."""
        x, real = self._below_the_top(items, lengths)
        return self.feed_forward[-1](self.attention[-1](x, x, real))

    def last(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, dim]``; in the top layer one position alone asks."""
        x, real = self._below_the_top(items, lengths)
        query = last_states(x, lengths).unsqueeze(1)
        return self.feed_forward[-1](self.attention[-1](query, x, real)).squeeze(1)

    def _below_the_top(self, items: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        x, real = self.input(self.items(items)), real_items(items, lengths)
        for attend, feed in zip(self.attention[:-1], self.feed_forward[:-1], strict=True):
            x = feed(attend(x, x, real))
        return x, real


class LinearAttention(nn.Module):
    """``LN(q + dropout(W·linear_attention(q, x)))``: positions ``q`` of ``x`` ask about ``x``."""

    def __init__(self, dim: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def forward(self, queries: Tensor, x: Tensor, real: Tensor | None) -> Tensor:
        """``[B, Q, dim], [B, L, dim] -> [B, Q, dim]``; ``real [B, L, 1]`` is true at items, None
        where all are."""
        q = directions(self.q(queries), self.heads)
        k, v = self.kv(x).chunk(2, dim=-1)
        k = directions(k, self.heads)
        if real is not None:
            k = k * real
        dh = x.shape[2] // self.heads
        mixed = torch.cat(
            [associated(*head) for head in zip(*(t.split(dh, -1) for t in (q, k, v)), strict=True)],
            dim=-1,
        )
        return self.norm(queries + self.dropout(self.out(mixed * dh**-0.5)))


def associated(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``q kᵀ v [B, Q, dh]``, of the two ways to bracket it by the one with fewer products; that of
    a short input is the attention matrix, which LinRec is there to avoid for a long one.

    Args:
        q: ``[B, Q, dh]``.
        k, v: ``[B, L, dh]``.
    """
    if k.shape[1] < k.shape[2]:
        return (q @ k.transpose(1, 2)) @ v
    return q @ (k.transpose(1, 2) @ v)


def directions(x: Tensor, heads: int) -> Tensor:
    """``[..., dim] -> [..., dim]``: ELU, then each head scaled to length one, or zero if it is.

    The released code lacks the least length that is divided by here: ELU(0) = 0 has no direction.
    """
    scaled: Tensor = _Directions.apply(x, heads)
    return scaled


class _Directions(torch.autograd.Function):
    """``normalize(elu(x))`` and its gradient in few operations.

    With e = elu(x), y = e / |e| and g the gradient reaching y: (g - (g·y) y) / |e| reaches e, and
    e's slope is 1 where x is positive, e + 1 elsewhere.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, heads: int) -> Tensor:
        e = F.elu(x).unflatten(-1, (heads, -1))
        length = torch.linalg.vector_norm(e, dim=-1, keepdim=True).clamp_(min=SHORTEST)
        y = e / length
        ctx.save_for_backward(e, y, length)
        return y.flatten(-2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        e, y, length = ctx.saved_tensors
        g = grads[0].unflatten(-1, e.shape[-2:])
        across = torch.addcmul(g, (g * y).sum(-1, keepdim=True), y, value=-1)
        slope = e.clamp(max=0).add_(1).div_(length)
        return across.mul_(slope).flatten(-2), None

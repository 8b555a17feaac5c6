"""LinRec: linear attention."""

from __future__ import annotations

from typing import ClassVar

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
    padding_mask,
)


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
        x, real = self._below_the_top(items)
        return self.feed_forward[-1](self.attention[-1](x, x, real))

    def last(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, dim]``; in the top layer one position alone asks."""
        x, real = self._below_the_top(items)
        query = last_states(x, lengths).unsqueeze(1)
        return self.feed_forward[-1](self.attention[-1](query, x, real)).squeeze(1)

    def _below_the_top(self, items: Tensor) -> tuple[Tensor, Tensor]:
        x, real = self.input(self.items(items)), padding_mask(items)
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

    def forward(self, queries: Tensor, x: Tensor, real: Tensor) -> Tensor:
        """``[B, Q, dim], [B, L, dim] -> [B, Q, dim]``; ``real [B, L, 1]`` is true at items."""
        B, L, dim = x.shape
        dh = dim // self.heads
        q = self.q(queries).view(B, -1, self.heads, dh).transpose(1, 2)  # [B, H, Q, dh]
        k, v = self.kv(x).view(B, L, 2, self.heads, dh).permute(2, 0, 3, 1, 4)  # [B, H, L, dh]
        # normalize has the eps that the released code lacks: ELU(0) = 0 has no direction.
        q, k = F.normalize(F.elu(q), dim=-1), F.normalize(F.elu(k), dim=-1)
        k = k * real.unsqueeze(1)
        mixed = q @ (k.transpose(2, 3) @ v) * dh**-0.5
        mixed = mixed.transpose(1, 2).reshape(B, -1, dim)
        return self.norm(queries + self.dropout(self.out(mixed)))

"""SASRec: self-attention over the past."""

from __future__ import annotations

from typing import ClassVar

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
    drop,
    initialise,
)


@register("sasrec")
class SASRec(Backbone):
    """Causal self-attention (Kang & McAuley, Self-Attentive Sequential Recommendation, 2018).

    Post-norm blocks as in the paper on MDCNS and in RecBole.  Position ids count from the start
    of the window, as in RecBole, so that one pass gives the state of every prefix; the code of
    the MDCNS paper counts from the end of a left-padded window instead.

    Without the item table: ``window·d + 2d + layers·(12d² + 13d)`` parameters.
    """

    causal: ClassVar[bool] = True
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
            dropout: on the input, the attention weights and both residual branches.

        Raises:
            ValueError: a value no model can be built from.
        """
        check_hyper_parameters(dim, window, layers=layers, heads=heads, dropout=dropout)
        super().__init__(n_items, dim, window)
        self.input = PositionalInput(dim, window, dropout=dropout)
        self.blocks = nn.Sequential(
            *(
                part
                for _ in range(layers)
                for part in (
                    CausalAttention(dim, heads=heads, dropout=dropout),
                    FeedForward(dim, dropout=dropout),
                )
            )
        )
        initialise(self)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, L, dim]``; see `Backbone.forward`."""
        # No key mask: padding follows the items, and the past never holds what follows.
        return self.blocks(self.input(self.items(items)))

    def last(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, dim]``; in the top block one position alone asks."""
        x = self.blocks[:-2](self.input(self.items(items)))
        attention = self.blocks[-2]
        assert isinstance(attention, CausalAttention)
        return self.blocks[-1](attention.last(x, lengths))


class CausalAttention(nn.Module):
    """``LN(x + dropout(W·attention(x)))``, each position attending to itself and the past."""

    def __init__(self, dim: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.weight_dropout = dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, L, dim] -> [B, L, dim]``."""
        B, L, dim = x.shape
        qkv = self.qkv(x).view(B, L, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each [B, H, L, d/H]
        mixed = causal_attention(q, k, v, self.weight_dropout if self.training else 0.0)
        return self.norm(x + self.dropout(self.out(mixed.transpose(1, 2).reshape(B, L, dim))))

    def last(self, x: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L, dim] -> [B, dim]``: the output at each sequence's last item alone."""
        B, L, dim = x.shape
        query, dh = last_states(x, lengths), dim // self.heads
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(query, weight[:dim], bias[:dim]).view(B, self.heads, 1, dh)
        k, v = F.linear(x, weight[dim:], bias[dim:]).view(B, L, 2, self.heads, dh).unbind(2)
        logits = q @ k.permute(0, 2, 3, 1) * dh**-0.5  # [B, H, 1, L]
        padding = torch.arange(L, device=x.device) >= lengths[:, None]
        weights = logits.masked_fill(padding[:, None, None], -torch.inf).softmax(-1)
        if self.training:
            weights = drop(weights, self.weight_dropout)
        mixed = (weights @ v.transpose(1, 2)).reshape(B, dim)
        return self.norm(query + self.dropout(self.out(mixed)))


def causal_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """``softmax(q kᵀ / sqrt(dh)) v`` over the past, with dropout on the weights.

    Args:
        q, k, v: ``[B, H, L, dh]``.
        dropout: probability of dropping a weight.

    Returns:
        ``[B, H, L, dh]``.
    """
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    # On a CPU PyTorch's fused kernel is the slower one at these lengths, and takes no dropout.
    L, dh = q.shape[-2:]
    future = q.new_full((L, L), float("-inf")).triu(1)
    logits = torch.baddbmm(future, q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), alpha=dh**-0.5)
    weights = logits.softmax(-1)
    if dropout > 0:
        weights = drop(weights, dropout)
    return torch.bmm(weights, v.flatten(0, 1)).view_as(q)

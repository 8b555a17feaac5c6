"""FMLP4Rec: learnable filters in the frequency domain."""

from __future__ import annotations

from typing import ClassVar

import torch
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


@register("fmlp4rec")
class FMLP4Rec(Backbone):
    """Filter-enhanced MLP (Zhou et al., FMLP-Rec, WWW 2022).

    SASRec with its attention replaced by ``irfft(W rfft(x))`` over the window, a circular
    convolution with a learnt kernel per channel.  The circle lets every position see every other,
    so it is trained on one prefix at a time.  Padding is zero at each filter's input; in the
    released code it takes part.  Position ids count from the start of the input.

    Without the item table: ``window·d + 2d + layers·(2d·(window//2 + 1) + 8d² + 9d)``.
    """

    causal: ClassVar[bool] = False
    search_space = {"dropout": [0.2, 0.5]}

    def __init__(
        self, n_items: int, dim: int, window: int, *, layers: int = 2, dropout: float = 0.5
    ) -> None:
        """
        Args:
            layers: blocks of filter and feed-forward.
            dropout: on the input and both residual branches.

        Raises:
            ValueError: a value no model can be built from.
        """
        check_hyper_parameters(dim, window, layers=layers, dropout=dropout)
        super().__init__(n_items, dim, window)
        self.input = PositionalInput(dim, window, dropout=dropout)
        self.filters = nn.ModuleList(Filter(dim, window, dropout=dropout) for _ in range(layers))
        self.feed_forward = nn.ModuleList(FeedForward(dim, dropout=dropout) for _ in range(layers))
        initialise(self)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, L, dim]``; see `Backbone.forward`."""
        x, real = self._below_the_top(items, lengths)
        return self.feed_forward[-1](self.filters[-1](x, real))

    def last(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, dim]``; the top filter is one product with the kernel."""
        x, real = self._below_the_top(items, lengths)
        top = self.filters[-1]
        assert isinstance(top, Filter)
        return self.feed_forward[-1](top.last(x, real, lengths))

    def _below_the_top(self, items: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        x, real = self.input(self.items(items)), real_items(items, lengths)
        for mix, feed in zip(self.filters[:-1], self.feed_forward[:-1], strict=True):
            x = feed(mix(x, real))
        return x, real


class Filter(nn.Module):
    """``LN(x + dropout(irfft(W rfft(x))))`` over a circle of ``window`` positions.

    Computed in the time domain: with zeros beyond the L positions given, the circular convolution
    is an L x L matrix for each channel, so short inputs cost little.
    """

    def __init__(self, dim: int, window: int, *, dropout: float) -> None:
        super().__init__()
        self.window = window
        # Real and imaginary part of W, by frequency and channel.
        self.weight = nn.Parameter(0.02 * torch.randn(window // 2 + 1, dim, 2))
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        """``[B, L, dim] -> [B, L, dim]``; ``real [B, L, 1]`` is true at items, None where all
        are."""
        position = torch.arange(x.shape[1], device=x.device)
        # [dim, L, L], each channel's matrix in one piece, or the product copies them one by one.
        kernel = self._kernel().t().contiguous()
        matrix = kernel[:, (position[:, None] - position) % self.window]
        mixed = matrix @ masked(x, real).permute(2, 1, 0).contiguous()  # [dim, L, B]
        return self.norm(x + self.dropout(mixed.permute(2, 1, 0)))

    def last(self, x: Tensor, real: Tensor | None, lengths: Tensor) -> Tensor:
        """``[B, L, dim] -> [B, dim]``: the output at each sequence's last item alone."""
        position = torch.arange(x.shape[1], device=x.device)
        if real is None:  # one kernel for all, turned to their common length
            weight = self._kernel()[(x.shape[1] - 1 - position) % self.window]  # [L, dim]
        else:
            weight = self._kernel()[(lengths[:, None] - 1 - position) % self.window]  # [B, L, dim]
        mixed = (weight * masked(x, real)).sum(dim=1)
        return self.norm(last_states(x, lengths) + self.dropout(mixed))

    def _kernel(self) -> Tensor:
        """``[window, dim]``: the filter as a convolution over the circle."""
        return torch.fft.irfft(torch.view_as_complex(self.weight), n=self.window, dim=0)


def masked(x: Tensor, real: Tensor | None) -> Tensor:
    """``[B, L, dim]``: zero where ``real [B, L, 1]`` is false."""
    return x if real is None else x * real

"""Mamba4Rec: a selective state space."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.base import Backbone, register
from backbones.layers import (
    LAYER_NORM_EPS,
    Dropout,
    FeedForward,
    check_hyper_parameters,
    initialise,
)

DT_RANGE = (1e-3, 0.1)
"""Native range of the initial step sizes, log-uniform (Gu & Dao, Mamba, 2023)."""

TOKENS_AT_ONCE = 2048
"""Sequences x positions scanned together on a CPU; more would leave its caches."""


@register("mamba4rec")
class Mamba4Rec(Backbone):
    """Selective state space (Liu et al., Mamba4Rec, 2024), as in the paper on MDCNS.

    ``x = LN(dropout(E))``, then per layer ``LN(x + dropout(Mamba(x)))`` and a feed-forward block;
    no positions, and no residual when there is one layer.  State starts at zero at the first
    item; the paper's code first runs over the padding.

    Without the item table: ``2d + layers·(Mamba + 2d + 8d² + 7d)`` parameters, with 32,640 of
    them in a Mamba block of d = 64 and d_state = 16.
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
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dropout: float = 0.5,
        dt_init: Literal["reset", "native"] = "reset",
    ) -> None:
        """
        Args:
            layers: blocks of state space and feed-forward.
            d_state: numbers kept for each channel.
            d_conv: width of the convolution, in items.
            expand: inner width, in multiples of ``dim``.
            dropout: on the input, after each block, and twice in the feed-forward.
            dt_init: step sizes start at softplus(0) = 0.69 (``reset``: what Mamba4Rec's own
                initialiser leaves) or log-uniform in [0.001, 0.1] (``native``: as in Mamba).

        Raises:
            ValueError: a value no model can be built from.
        """
        check_hyper_parameters(dim, window, layers=layers, dropout=dropout)
        for name, value in (("d_state", d_state), ("d_conv", d_conv), ("expand", expand)):
            if value < 1:
                raise ValueError(f"{name}={value}: at least 1 is needed")
        super().__init__(n_items, dim, window)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.blocks = nn.Sequential(
            *(
                part
                for _ in range(layers)
                for part in (
                    MambaLayer(
                        MambaBlock(dim, d_state=d_state, d_conv=d_conv, expand=expand),
                        dim,
                        dropout=dropout,
                        residual=layers > 1,
                    ),
                    FeedForward(dim, dropout=dropout, inner_dropout=dropout),
                )
            )
        )
        initialise(self)
        if dt_init == "native":
            for part in self.modules():
                if isinstance(part, MambaBlock):
                    part.reset_step_sizes()

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """``[B, L] -> [B, L, dim]``; see `Backbone.forward`."""
        return self.blocks(self.norm(self.dropout(self.items(items))))


class MambaLayer(nn.Module):
    """``LN(x + dropout(Mamba(x)))``, or without ``x``."""

    def __init__(self, block: MambaBlock, dim: int, *, dropout: float, residual: bool) -> None:
        super().__init__()
        self.block = block
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """``[B, L, dim] -> [B, L, dim]``."""
        y = self.dropout(self.block(x))
        return self.norm(y + x if self.residual else y)


class MambaBlock(nn.Module):
    """Mamba's block: gate, short convolution and selective scan (Gu & Dao, 2023)."""

    def __init__(self, dim: int, *, d_state: int, d_conv: int, expand: int) -> None:
        super().__init__()
        inner = expand * dim
        self.rank, self.d_state = math.ceil(dim / 16), d_state
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, d_conv, groups=inner)
        self.x_proj = nn.Linear(inner, self.rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner)
        self.A_log = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def reset_step_sizes(self) -> None:
        """Mamba's own initialisation of the step sizes."""
        low, high = (math.log(bound) for bound in DT_RANGE)
        with torch.no_grad():
            self.dt_proj.weight.uniform_(-(self.rank**-0.5), self.rank**-0.5)
            dt = torch.empty_like(self.dt_proj.bias).uniform_(low, high).exp_()
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # inverse of softplus

    def forward(self, x: Tensor) -> Tensor:
        """``[B, L, dim] -> [B, L, dim]``."""
        u, gate = self.in_proj(x).chunk(2, dim=-1)
        u = F.silu(self._convolved(u))
        dt, B, C = self.x_proj(u).split([self.rank, self.d_state, self.d_state], dim=-1)
        dt = F.softplus(self.dt_proj(dt))
        y = selective_scan(u, dt, -torch.exp(self.A_log), B, C) + self.D * u
        return self.out_proj(y * F.silu(gate))

    def _convolved(self, u: Tensor) -> Tensor:
        # A grouped convolution is slow on a CPU; this is its sum of shifted products.
        width = self.conv.weight.shape[-1]
        padded = F.pad(u, (0, 0, width - 1, 0))
        assert self.conv.bias is not None
        out = self.conv.bias
        for j in range(width):
            out = torch.addcmul(out, padded[:, j : j + u.shape[1]], self.conv.weight[:, 0, j])
        return out


def selective_scan(u: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """``y_t = C_t h_t`` with ``h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t`` and h_0 = 0.

    Uses the ``mamba_ssm`` kernel where it is installed and the tensors are on a GPU.

    Args:
        u: ``[B, L, D]`` inputs.
        dt: ``[B, L, D]`` step sizes, positive.
        A: ``[D, n]`` decay rates, negative.
        B: ``[B, L, n]`` input weights.
        C: ``[B, L, n]`` output weights.

    Returns:
        ``[B, L, D]``.
    """
    if u.is_cuda:
        try:
            from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
        except ImportError:
            at_once = len(u)
        else:
            arguments = (t.transpose(1, 2).contiguous() for t in (u, dt))
            y = selective_scan_fn(
                *arguments, A, B.transpose(1, 2).contiguous(), C.transpose(1, 2).contiguous()
            )
            return y.transpose(1, 2)
    else:
        at_once = max(1, TOKENS_AT_ONCE // u.shape[1])
    pieces = [
        _Scan.apply(*parts, A)
        for parts in zip(*(t.split(at_once) for t in (u, dt, B, C)), strict=True)
    ]
    return torch.cat(pieces)


class _Scan(torch.autograd.Function):
    """The scan.  Only the recurrence itself is a loop, one operation a step.

    With g_t the gradient reaching h_t: g_t = C_t dy_t + exp(dt_{t+1} A) g_{t+1}; all else is a
    sum over g and h.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, dt: Tensor, B: Tensor, C: Tensor, A: Tensor) -> Tensor:
        decay = (dt.unsqueeze(-1) * A).exp_()  # [B, L, D, n]
        h = (dt * u).unsqueeze(-1) * B.unsqueeze(2)
        for t in range(1, h.shape[1]):
            h[:, t].addcmul_(decay[:, t], h[:, t - 1])
        ctx.save_for_backward(u, dt, B, C, A, h)
        return (h @ C.unsqueeze(-1)).squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        u, dt, B, C, A, h = ctx.saved_tensors
        (dy,) = grads
        decay = (dt.unsqueeze(-1) * A).exp_()
        g = dy.unsqueeze(-1) * C.unsqueeze(2)
        for t in range(g.shape[1] - 2, -1, -1):
            g[:, t].addcmul_(decay[:, t + 1], g[:, t + 1])
        d_input = (g @ B.unsqueeze(-1)).squeeze(-1)  # of dt u
        d_B = ((dt * u).unsqueeze(2) @ g).squeeze(2)
        d_exponent = decay  # of dt A; in place, as fresh memory costs more than the arithmetic
        d_exponent[:, 0] = 0
        d_exponent[:, 1:].mul_(g[:, 1:]).mul_(h[:, :-1])
        d_dt = d_input * u + torch.mul(d_exponent, A, out=g).sum(-1)
        d_A = d_exponent.mul_(dt.unsqueeze(-1)).sum((0, 1))
        return d_input * dt, d_dt, d_B, (dy.unsqueeze(2) @ h).squeeze(2), d_A

"""What several backbones share: dropout, the feed-forward block, initialisation, checks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-12


def check_hyper_parameters(
    dim: int, window: int, *, layers: int, dropout: float, heads: int = 1
) -> None:
    """Refuse values no backbone can be built from.

    Raises:
        ValueError: naming the hyper-parameter and what it may be.
    """
    if dim < 1 or window < 1:
        raise ValueError(f"dim={dim} and window={window} must be at least 1")
    if layers < 1:
        raise ValueError(f"layers={layers}: at least 1 is needed")
    if heads < 1 or dim % heads:
        raise ValueError(f"heads={heads} must be a positive divisor of dim={dim}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout} must lie in [0, 1)")


def drop(x: Tensor, p: float) -> Tensor:
    """Inverted dropout of every element of ``x`` with probability ``p``, unconditionally."""
    if x.device.type != "cpu":
        return F.dropout(x, p)
    # On a CPU, Bernoulli draws cost four times what uniform ones do, and with F.dropout they
    # are the largest single cost of a small transformer.
    return x * torch.rand_like(x).ge_(p).mul_(1 / (1 - p))


class Dropout(nn.Module):
    """``nn.Dropout``, by way of `drop`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p) if self.training and self.p > 0 else x

    def extra_repr(self) -> str:
        return f"p={self.p}"


class FeedForward(nn.Module):
    """``LN(x + dropout(W2 gelu(W1 x)))`` with an inner width of ``4 dim`` and the exact GELU."""

    def __init__(self, dim: int, *, dropout: float, inner_dropout: float = 0.0) -> None:
        """
        Args:
            dropout: before the residual sum.
            inner_dropout: after the GELU.
        """
        super().__init__()
        self.widen = nn.Linear(dim, 4 * dim)
        self.inner_dropout = Dropout(inner_dropout)
        self.narrow = nn.Linear(4 * dim, dim)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., dim] -> [..., dim]``."""
        inner = self.inner_dropout(F.gelu(self.widen(x)))
        return self.norm(x + self.dropout(self.narrow(inner)))


class PositionalInput(nn.Module):
    """``dropout(LN(item + position))``, positions counted from the start of the window."""

    def __init__(self, dim: int, window: int, *, dropout: float) -> None:
        super().__init__()
        self.positions = nn.Embedding(window, dim)
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, L, dim] -> [B, L, dim]``."""
        return self.dropout(self.norm(x + self.positions.weight[: x.shape[1]]))


def initialise(module: nn.Module) -> None:
    """Every Linear and Embedding weight from N(0, 0.02²), biases 0, padding rows 0, in place.

    The paper's code draws the padding row too and never trains it; here padding is never seen.
    """
    for part in module.modules():
        if isinstance(part, (nn.Linear, nn.Embedding)):
            nn.init.normal_(part.weight, std=0.02)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)
        if isinstance(part, nn.Embedding):
            zero_padding_row(part)


def zero_padding_row(table: nn.Embedding) -> None:
    """Undo what an initialiser did to the padding row, if the table has one."""
    if table.padding_idx is not None:
        with torch.no_grad():
            table.weight[table.padding_idx].zero_()


def real_items(items: Tensor, lengths: Tensor) -> Tensor | None:
    """``[B, L, 1]`` bool: true at real items, false at padding; None where it is known without a
    wait for the device that there is none, as nearly always when prefixes of one length are
    trained together."""
    if lengths.device.type == "cpu" and int(lengths.min()) == items.shape[1]:
        return None
    return (items != 0).unsqueeze(-1)

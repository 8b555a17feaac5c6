"""The optimisers of the training loop: Adam, and lazy Adam for large item tables."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from backbones.base import Backbone


def optimisers(models: Sequence[Backbone], lr: float) -> tuple[list[Optimizer], list[Tensor]]:
    """Adam; for large item tables (`bench.scoring.LARGE`) lazy Adam, and which these are."""
    large = [model.items.weight for model in models if model.items.sparse]
    tables = set(map(id, large))
    rest = [p for model in models for p in model.parameters() if id(p) not in tables]
    adam: list[Optimizer] = [Adam(rest, lr=lr, fused=True)]
    return adam + ([SparseAdam(large, lr=lr)] if large else []), large


def _without_compiler(kind: type[Optimizer]) -> Any:
    """The same optimiser, without what torch wraps its methods in to hide them from its compiler.

    The first call of such a wrapper imports the compiler, which takes a process as long as torch
    itself does, and nothing here is compiled.
    """
    methods: dict[str, Any] = {
        name: inspect.unwrap(getattr(kind, name))
        for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    }
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)


Adam = _without_compiler(torch.optim.Adam)
SparseAdam = _without_compiler(torch.optim.SparseAdam)

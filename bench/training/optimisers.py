"""The optimisers of the training loop: Adam, and lazy Adam for large item tables.

Neither imports torch's compiler, as torch's own do when they are made.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

from backbones.base import Backbone

ROWS_AT_ONCE = 2048
"""Rows of a table that are updated together on a CPU; more would leave its caches."""


def optimisers(models: Sequence[Backbone], lr: float) -> list[torch.optim.Optimizer]:
    """Adam; for large item tables (`bench.scoring.LARGE`) lazy Adam beside it."""
    large = [model.items.weight for model in models if model.items.sparse]
    tables = set(map(id, large))
    rest = [p for model in models for p in model.parameters() if id(p) not in tables]
    # Of a model that is its item table alone nothing is left beside it.
    dense = [Adam(rest, lr=lr, fused=True)] if rest else []
    return [*dense, *([LazyAdam(large, lr)] if large else [])]


def _bare(name: str) -> Any:
    """A method of torch's Adam without what hides it from torch's compiler: the first call of such
    a wrapper imports the compiler, which takes a process as long as torch itself does, and nothing
    here is compiled."""
    return inspect.unwrap(getattr(torch.optim.Adam, name))


class Adam(torch.optim.Adam):
    """Torch's, in a process that starts sooner (see `_bare`)."""

    add_param_group = _bare("add_param_group")
    zero_grad = _bare("zero_grad")
    state_dict = _bare("state_dict")
    load_state_dict = _bare("load_state_dict")
    step = torch.no_grad()(_bare("step"))


class LazyAdam(Adam):
    """Adam on the rows of a table that have a gradient, whose moments then wait for the next time.

    `torch.optim.SparseAdam` does that in whole sparse tensors, which takes two to three times as
    long, and adds ``eps`` before it corrects the second moment.  A step that touches all rows is
    that of Adam to the last bit.
    """

    def __init__(self, tables: Sequence[Tensor], lr: float) -> None:
        """
        Args:
            tables: each ``[rows, dim]``.
        """
        super().__init__(tables, lr=lr, fused=True)  # its count of steps is then on their device

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            ValueError: it is that of a `torch.optim.SparseAdam`, as earlier versions kept.
        """
        if any("fused" not in group for group in state_dict["param_groups"]):
            raise ValueError("not the state of a LazyAdam")
        super().load_state_dict(state_dict)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._move(table, table.grad, group)

    def _move(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """A step along a gradient, dense or sparse, of the table's shape."""
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros((), device=table.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        whole = (table, state["exp_avg"], state["exp_avg_sq"])
        rows, values = _touched(gradient)
        at_once = ROWS_AT_ONCE if table.device.type == "cpu" else max(1, len(rows))
        beta1, beta2 = group["betas"]
        for some, its in zip(rows.split(at_once), values.split(at_once), strict=True):
            parts = [each.index_select(0, some) for each in whole]
            weights, first, second = parts
            adam(
                [weights], [its], [first], [second], [], [state["step"].clone()],
                fused=True, amsgrad=False, beta1=beta1, beta2=beta2, lr=group["lr"],
                weight_decay=0.0, eps=group["eps"], maximize=False,
            )  # fmt: skip
            for each, part in zip(whole, parts, strict=True):
                each.index_copy_(0, some, part)
        state["step"] += 1


def _touched(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """``[touched]`` rows of a table that have a gradient, and ``[touched, dim]`` theirs."""
    if gradient.is_sparse:
        gradient = gradient.coalesce()
        return gradient.indices()[0], gradient.values()
    # Of a loss over the whole catalogue.  `Tensor.to_sparse` takes hundreds of times as long.
    rows = gradient.any(dim=1).nonzero().squeeze(1)
    return rows, gradient[rows]

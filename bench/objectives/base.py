"""What an objective is: a view of the batch with its negatives in, a scalar loss out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from bench.registry import Registry
from samplers.base import Negatives, Scored

registry: Registry[Objective] = Registry("objective", "bench.objectives", lambda: Objective)
register = registry.register


class Objective(ABC):
    """A loss over T targets with K negatives each; hyper-parameters are keyword-only arguments."""

    name: ClassVar[str]
    needs_negatives: ClassVar[bool] = True
    search_space: ClassVar[dict[str, list[Any]]] = {}

    @abstractmethod
    def loss(self, scored: Scored) -> Tensor:
        """
        Args:
            scored: one model's view of the batch with its negatives: ``scored.positive [T]`` and
                ``scored.negative [T, K]`` are the scores, the latter -inf where a negative is not
                to count; ``scored.negatives`` has weights and log q.

        Returns:
            Scalar: the mean over the T targets.
        """


def weighted_terms(terms: Tensor, negatives: Negatives) -> Tensor:
    """Scalar: the weighted sum of ``terms [T, K]`` over the negatives that count, mean over T.

    Without weights, the negatives of a target count equally and sum to one.
    """
    legal, weights = negatives.legal, negatives.weights
    if legal is None:
        return terms.mean() if weights is None else (terms * weights).sum(dim=1).mean()
    if weights is None:
        weights = 1 / legal.sum(dim=1, keepdim=True).clamp(min=1)
    return (terms * weights * legal).sum(dim=1).mean()

"""What an objective is: a view of the batch and its negatives in, a scalar loss out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from bench.registry import Registry

if TYPE_CHECKING:
    from samplers.base import Negatives, View

registry: Registry[Objective] = Registry("objective", "bench.objectives", lambda: Objective)
register = registry.register


class Objective(ABC):
    """A loss over T targets with K negatives each; hyper-parameters are keyword-only arguments."""

    name: ClassVar[str]
    needs_negatives: ClassVar[bool] = True
    search_space: ClassVar[dict[str, list[Any]]] = {}

    @abstractmethod
    def loss(self, view: View, negatives: Negatives) -> Tensor:
        """
        Args:
            view: one model's states, item table and positives; ``view.positive_scores`` is
                ``[T]``.
            negatives: what the sampler gave for this view; ``negatives.scores(view)`` is
                ``[T, K]``, -inf where a negative is not to count.

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

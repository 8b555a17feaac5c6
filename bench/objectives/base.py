"""What an objective is: a view of the batch and its negatives in, a scalar loss out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from bench.registry import Registry

if TYPE_CHECKING:
    from samplers.base import Negatives, View

registry: Registry[Objective] = Registry("objective", "bench.objectives")
register = registry.register


class Objective(ABC):
    """A loss over T targets with K negatives each; hyper-parameters are keyword-only arguments."""

    name: ClassVar[str]
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


def weighted_terms(terms: Tensor, weights: Tensor | None) -> Tensor:
    """Scalar: the sum of ``terms [T, K]`` over K, weighted (1/K each by default), mean over T."""
    if weights is None:
        return terms.mean()
    return (terms * weights).sum(dim=1).mean()

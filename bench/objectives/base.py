"""What an objective is: scores of positives and negatives in, a scalar loss out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from bench.registry import Registry

registry: Registry[Objective] = Registry("objective", "bench.objectives")
register = registry.register


class Objective(ABC):
    """A loss over T targets with K negatives each; hyper-parameters are keyword-only arguments."""

    name: ClassVar[str]

    @abstractmethod
    def loss(
        self,
        positive: Tensor,
        negative: Tensor,
        weights: Tensor | None = None,
        log_q: Tensor | None = None,
    ) -> Tensor:
        """
        Args:
            positive: ``[T]`` scores of the positives.
            negative: ``[T, K]`` scores of the negatives.
            weights: ``[K]`` or ``[T, K]`` weight of each negative's term; None means 1/K each.
            log_q: ``[T, K]`` log proposal probability, or None when the sampler states none.

        Returns:
            Scalar: the mean over the T targets.
        """


def weighted_terms(terms: Tensor, weights: Tensor | None) -> Tensor:
    """Scalar: the weighted sum of ``terms [T, K]`` over K, averaged over T."""
    if weights is None:
        return terms.mean()
    return (terms * weights).sum(dim=1).mean()

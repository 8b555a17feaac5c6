from __future__ import annotations

import torch
from torch import Tensor

from samplers.base import Negatives, Sampler, View, register, require


@register("dns")
class DNS(Sampler):
    """DNS: the highest-scoring of N candidates (dynamic negative sampling), DNS(1, N).

    v = argmax over C_N of s(u, i).  The pool is scored without gradient, with the training-mode
    states (dropout on), as in the releases of this family.

    Source: Zhang et al., SIGIR 2013.
    Cost: T N scores without gradient.
    """

    search_space = {"N": [10, 50, 100, 200]}

    def __init__(self, *, N: int = 100) -> None:
        """
        Args:
            N: size of the candidate pool.
        """
        check_pool(N, 1)
        self.N = N

    def sample(self, views: list[View]) -> list[Negatives]:
        generator = self.catalogue.generator
        return [Negatives(ids=hard_negative(view, self.N, 1, generator)) for view in views]


def check_pool(N: int, M: int) -> None:
    """Refuse a pool of N from which the top M cannot be taken."""
    require(N >= 1, f"N={N}: the candidate pool needs at least one item")
    require(1 <= M <= N, f"M={M}: must lie between 1 and the pool size N={N}")


def hard_negative(view: View, N: int, M: int, generator: torch.Generator) -> Tensor:
    """``[T, 1]`` DNS(M, N): one of the M highest-scoring items of a pool of N, uniformly."""
    pool = view.pool(N)
    with torch.no_grad():
        return pool.gather(1, one_of_top(view.score(pool), M, generator))


def one_of_top(criterion: Tensor, M: int, generator: torch.Generator) -> Tensor:
    """``[T, 1]`` column of one of the M largest entries of each row of ``criterion [T, N]``."""
    if M == 1:
        return criterion.argmax(dim=1, keepdim=True)
    top = criterion.topk(M, dim=1).indices
    chosen = torch.randint(M, (len(top), 1), generator=generator, device=top.device)
    return top.gather(1, chosen)

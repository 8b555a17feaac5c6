"""Objectives against their formulas, weights and extreme scores included."""

from __future__ import annotations

import math

import pytest
import torch

from bench import objectives

POSITIVE = torch.tensor([0.3, -1.0])
NEGATIVE = torch.tensor([[0.1, 2.0], [-0.5, 0.4]])


def term(kind, p, n):
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    if kind == "bpr":
        return -math.log(sigmoid(p - n))
    return -math.log(sigmoid(p)) - math.log(1 - sigmoid(n))


@pytest.mark.parametrize("kind", ["bce", "bpr"])
@pytest.mark.parametrize(
    "weights", [None, torch.tensor([1.0, 3.0]), torch.tensor([[1.0, 0.0], [0.2, 2.0]])]
)
def test_equals_the_formula(kind, weights):
    each = torch.full((2, 2), 0.5) if weights is None else weights.expand(2, 2)
    expected = sum(
        float(each[t, k]) * term(kind, float(POSITIVE[t]), float(NEGATIVE[t, k])) / 2
        for t in range(2)
        for k in range(2)
    )
    loss = objectives.registry.build(kind, {}).loss(POSITIVE, NEGATIVE, weights)
    assert float(loss) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["bce", "bpr"])
def test_far_off_scores_still_have_a_gradient(kind):
    positive = torch.tensor([-300.0], requires_grad=True)
    negative = torch.tensor([[300.0]], requires_grad=True)
    objectives.registry.build(kind, {}).loss(positive, negative).backward()
    assert positive.grad.item() == pytest.approx(-1)
    assert negative.grad.item() == pytest.approx(1)

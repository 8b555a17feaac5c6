"""Objectives against their formulas, weights and extreme scores included."""

from __future__ import annotations

import math

import pytest
import torch
from support import random_sequences, targets_of, views_of

from bench import objectives
from bench.objectives import ce
from samplers import Negatives, Scored, View

POSITIVE = torch.tensor([0.3, -1.0])
NEGATIVE = torch.tensor([[0.1, 2.0], [-0.5, 0.4]])
N_ITEMS = 30


def loss_of(kind, positive, negative, weights=None, hyper=None, **more):
    """Of a batch with these scores; a negative of score -inf is not legal."""
    T, K = negative.shape
    legal = torch.isfinite(negative) if torch.isinf(negative).any() else None
    given = Negatives(
        ids=torch.ones(T, K, dtype=torch.int64), weights=weights, legal=legal,
        known_scores=negative, known_positive_scores=positive, **more,
    )  # fmt: skip
    view = View(torch.zeros(T, 1), torch.zeros(N_ITEMS + 1, 1), None)
    return objectives.registry.build(kind, hyper or {}).loss(Scored(view, given))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def term(kind, p, n):
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
    assert float(loss_of(kind, POSITIVE, NEGATIVE, weights)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["bce", "bpr"])
def test_far_off_scores_still_have_a_gradient(kind):
    positive = torch.tensor([-300.0], requires_grad=True)
    negative = torch.tensor([[300.0]], requires_grad=True)
    loss_of(kind, positive, negative).backward()
    assert positive.grad.item() == pytest.approx(-1)
    assert negative.grad.item() == pytest.approx(1)


@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_gbce_equals_its_paper(t):
    """log of sigmoid to the power beta, as printed, in float64."""
    K, a = 2, 2 / (N_ITEMS - 1)
    beta = a * ((1 - 1 / a) * t + 1 / a)
    expected = 0.0
    for p, negatives in zip(POSITIVE.tolist(), NEGATIVE.tolist(), strict=True):
        expected -= math.log(sigmoid(p) ** beta)
        expected -= sum(math.log(1 - sigmoid(n)) for n in negatives)
    value = float(loss_of("gbce", POSITIVE, NEGATIVE, hyper={"t": t}))
    assert value == pytest.approx(expected / (K + 1) / 2, rel=1e-5)


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("both", [True, False])
def test_softmax_equals_the_formula(correct, both):
    q, q_positive, T = torch.tensor([[0.5, 2.0], [1.5, 0.1]]), torch.tensor([0.7, 1.2]), 0.5
    expected = 0.0
    for t in range(2):
        zp = math.exp(float(POSITIVE[t]) / T)
        zn = [math.exp(float(s) / T) for s in NEGATIVE[t]]
        if correct:
            zn = [z / float(c) for z, c in zip(zn, q[t], strict=True)]
            zp = zp / float(q_positive[t]) if both else zp
        expected -= math.log(zp / (zp + sum(zn))) / 2
    value = loss_of(
        "softmax", POSITIVE, NEGATIVE, log_q=q.log(), log_q_positive=q_positive.log() if both else
        None, hyper={"correct": correct, "temperature": T},
    )  # fmt: skip
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_masked_negatives_do_not_count_and_get_no_gradient():
    masked = NEGATIVE.clone().requires_grad_()
    legal = torch.tensor([[True, False], [True, True]])
    for kind in ("bce", "bpr", "softmax", "gbce"):
        scores = masked.masked_fill(~legal, -torch.inf)
        loss = loss_of(kind, POSITIVE, scores)
        (gradient,) = torch.autograd.grad(loss, masked)
        assert torch.isfinite(loss)
        assert gradient[0, 1] == 0
        assert (gradient[legal] > 0).all()
    for kind in ("bce", "bpr", "softmax"):
        one = loss_of(kind, POSITIVE[:1], NEGATIVE[:1, :1])
        both = loss_of(kind, POSITIVE[:1], masked.masked_fill(~legal, -torch.inf)[:1])
        torch.testing.assert_close(one, both)


@pytest.mark.parametrize("at_once", [1, 2**21])
def test_chunked_cross_entropy_equals_the_plain_one_and_its_gradients(monkeypatch, at_once):
    monkeypatch.setitem(ce.LOGITS_AT_ONCE, "cpu", at_once)
    monkeypatch.setattr(ce, "FEWEST_ROWS", 1)
    sequences = random_sequences(n_users=9, n_items=N_ITEMS)
    batch = targets_of(sequences, N_ITEMS, range(9), [2] * 9)
    (view,) = views_of(batch, N_ITEMS)
    scored = Scored(view, Negatives(ids=torch.empty(0, dtype=torch.int64)))
    loss = 3 * objectives.registry.build("ce", {}).loss(scored)
    assert not scored.used  # it does not pay for scores that it does not need
    ours = torch.autograd.grad(loss, [view.states, view.table])
    logits = view.states @ view.table.t()[:, 1:]
    plain = 3 * torch.nn.functional.cross_entropy(logits, view.positives - 1)
    torch.testing.assert_close(loss, plain)
    for mine, theirs in zip(
        ours, torch.autograd.grad(plain, [view.states, view.table]), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_corrected_sampled_softmax_estimates_the_full_one():
    """Over many pools, the corrected partition sum is unbiased; the uncorrected one is not."""
    sequences = random_sequences(n_users=1, n_items=N_ITEMS, shortest=3, longest=3)
    draws, N = 4000, 5
    batch = targets_of(sequences, N_ITEMS, [0] * draws, [2] * draws)
    (view,) = views_of(targets_of(sequences, N_ITEMS, [0], [2]), N_ITEMS, scale=0.7)
    many = View(view.states.expand(draws, -1), view.table, batch)
    pool = batch.pool(N)
    z = many.score(pool).exp().sum(1).detach() * (N_ITEMS - 3) / N
    legal = [i for i in range(1, N_ITEMS + 1) if i not in sequences[0].tolist()]
    exact = float((view.states @ view.table.t()).detach().exp()[0, legal].sum())
    assert float(z.mean()) == pytest.approx(exact, rel=0.05)
    negatives = Negatives(ids=pool, log_q=torch.tensor(math.log(N / (N_ITEMS - 3))))
    scored = Scored(many, negatives)
    corrected = objectives.registry.build("softmax", {}).loss(scored)
    positive = float(view.score_positives().detach())
    full = math.log(math.exp(positive) + exact) - positive
    plain = objectives.registry.build("softmax", {"correct": False}).loss(scored)
    assert abs(corrected.item() - full) < 0.3 * abs(plain.item() - full)

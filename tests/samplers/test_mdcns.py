"""MDCNS against a computation written from its equations, one target and one item at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import (
    CPU,
    cell_of,
    dataset_of,
    ignore,
    random_sequences,
    sampler_for,
    targets_of,
    views_of,
)

import samplers
from bench import objectives
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.training.loop import fit
from samplers import Scored

N_ITEMS = 12
SEQUENCES = random_sequences(n_users=4, n_items=N_ITEMS, shortest=4, longest=5, seed=2)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax(values):
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def pair_loss(kind, positive, negative):
    """Eq. 1's term for one positive and one negative."""
    if kind == "bpr":
        return -math.log(sigmoid(positive - negative))
    return -math.log(sigmoid(positive)) - math.log(1 - sigmoid(negative))


def by_the_equations(views, pool, kind, *, alpha, beta, gamma, omega, mu, tau, teacher, support,
                     reduction):  # fmt: skip
    """Loss of self plus loss of peer (M = 1, where nothing is random but the pool)."""
    T = len(pool)
    states, tables = ([getattr(v, name).tolist() for v in views] for name in ("states", "table"))
    recommendation, distillation = [0.0, 0.0], [0.0, 0.0]
    for t in range(T):

        def score(m, item, t=t):
            return sum(h * e for h, e in zip(states[m][t], tables[m][item], strict=True))

        items = pool[t].tolist()
        positive = [score(m, int(views[0].positives[t])) for m in range(2)]
        s1, s2 = ([score(m, i) for i in items] for m in range(2))
        share = 1 if teacher == "sum" else 0.5
        st = [share * (a + b) for a, b in zip(s1, s2, strict=True)]
        D = [abs(a - b) for a, b in zip(s1, s2, strict=True)]
        picks = []
        for source in (s1, s2, st):
            criterion = [s + omega * d for s, d in zip(source, D, strict=True)]
            picks.append(criterion.index(max(criterion)))
        A, B, C = picks
        for m, (s, own, other) in enumerate(((s1, A, B), (s2, B, A))):
            for weight, v in ((alpha, own), (beta, other), (gamma, C)):
                recommendation[m] += weight * pair_loss(kind, positive[m], s[v]) / T
        if support == "pool+positive":
            s1, s2 = [positive[0], *s1], [positive[1], *s2]
            st = [share * (a + b) for a, b in zip(s1, s2, strict=True)]
        P = softmax([s / tau for s in st])
        for m, s in enumerate((s1, s2)):
            Q = softmax([x / tau for x in s])
            kl = sum(p * math.log(p / q) for p, q in zip(P, Q, strict=True))
            distillation[m] += tau**2 * kl / (T if reduction == "mean" else 1)
    return [r + mu * d for r, d in zip(recommendation, distillation, strict=True)]


TEXT = {"alpha": 1.0, "beta": 1.0, "gamma": 1.0, "omega": 1.0, "mu": 1.0, "tau": 1.0,
        "teacher": "sum", "support": "pool", "reduction": "mean"}  # fmt: skip
RELEASED = TEXT | {"teacher": "mean", "support": "pool+positive", "reduction": "sum", "mu": 0.01}


@pytest.mark.parametrize("kind", ["bce", "bpr"])
@pytest.mark.parametrize(
    "hyper",
    [
        TEXT,
        RELEASED,
        TEXT | {"alpha": 0.5, "beta": 2.0, "gamma": 3.0, "tau": 5.0},
        TEXT | {"omega": 0.0},
        TEXT | {"mu": 0.0},
        TEXT | {"omega": 0.3, "mu": 2.5, "tau": 0.7},
    ],
)
def test_the_loss_equals_the_equations(kind, hyper):
    targets = targets_of(SEQUENCES, N_ITEMS, [0, 1, 2, 3], [1, 2, 3, 2])
    views = views_of(targets, N_ITEMS, n_views=2, dim=3)
    sampler = sampler_for(targets, "mdcns", N=4, M=1, **hyper)
    objective = objectives.registry.build(kind, {})
    ours = []
    for view, given in zip(views, sampler.sample(views), strict=True):
        loss = objective.loss(Scored(view, given))
        if given.auxiliary is not None:
            loss = loss + given.auxiliary
        ours.append(loss.item())
    expected = by_the_equations(views, targets.pool(4), kind, **hyper)
    assert ours == pytest.approx(expected, rel=1e-5)


def test_its_weight_does_not_hang_on_the_batch_and_is_the_released_one_at_its_size():
    """10.24 times a mean over 1,024 targets is 0.01 times their sum."""
    for T, ratio in ((1024, 1.0), (206, 1024 / 206)):
        targets = targets_of(SEQUENCES, N_ITEMS, [1] * T, [2] * T)
        views = views_of(targets, N_ITEMS, n_views=2, dim=3)
        averaged, summed = (
            [given.auxiliary.item() for given in sampler_for(targets, name, N=4).sample(views)]
            for name in ("mdcns", "mdcns-released")
        )
        assert averaged == pytest.approx([ratio * loss for loss in summed], rel=1e-4)


def test_with_m_above_one_each_source_draws_from_its_own_top_on_its_own():
    targets = targets_of(SEQUENCES, N_ITEMS, [1] * 3000, [2] * 3000)
    views = views_of(targets, N_ITEMS, n_views=2, dim=3)
    own = sampler_for(targets, "mdcns-text", N=6, M=3).sample(views)[0].ids
    pool = targets.pool(6)
    s1, s2 = (view.score(pool).detach() for view in views)
    places = []
    for column, source in enumerate((s1, s2, s1 + s2)):
        top = pool.gather(1, (source + (s1 - s2).abs()).topk(3).indices)
        assert (top == own[:, column : column + 1]).any(1).all()
        places.append((top == own[:, column : column + 1]).int().argmax(1))
    triples = torch.stack(places, dim=1) @ torch.tensor([9, 3, 1])
    assert chisquare(np.bincount(triples, minlength=27)).pvalue > 0.001


def test_the_teacher_is_not_trained_and_both_students_are():
    """The gradient of the distillation is that of KL with P held fixed."""
    targets = targets_of(SEQUENCES, N_ITEMS, [0, 1], [1, 2])
    views = views_of(targets, N_ITEMS, n_views=2, dim=3)
    pool = targets.pool(4)
    s1, s2 = (view.score(pool).detach() for view in views)
    P = (s1 + s2).softmax(1)
    states = [view.states for view in views]
    for m, given in enumerate(sampler_for(targets, "mdcns-text", N=4).sample(views)):
        gradient = torch.autograd.grad(given.auxiliary, states, allow_unused=True)
        # d KL(P || softmax(s)) / ds = Q - P, averaged over the two targets.
        Q = (s1, s2)[m].softmax(1)
        expected = torch.einsum("tk,tkd->td", (Q - P) / 2, views[m].table.detach()[pool])
        torch.testing.assert_close(gradient[m], expected, atol=1e-6, rtol=1e-4)
        assert gradient[1 - m] is None


def test_without_a_peer_it_is_dns_plus_number_for_number():
    dataset = dataset_of(random_sequences())
    losses = {}
    split = make_split(dataset, "user", 0)
    for name, hyper in (
        ("mdcns-no-cd-dr-ms", {"N": 5, "M": 3}),
        ("dns+", {"N": 5, "M": 3}),
    ):
        data = TrainingData.of(dataset, split)
        fitted = fit(cell_of(name, hyper=hyper), data, split.valid, CPU, ignore)
        losses[name] = [row["loss"] for row in fitted.epochs]
    assert losses["mdcns-no-cd-dr-ms"] == losses["dns+"]


@pytest.mark.parametrize("name", ["mdcns", *samplers.registry.variants("mdcns")])
def test_whatever_tuning_varies_of_it_changes_something(name):
    """Else a budget of trials, the same for all, would be spent on one and the same training."""
    sequences = random_sequences(n_users=6, n_items=150, shortest=4, longest=5, seed=2)
    targets = targets_of(sequences, 150, [0, 1, 2, 3], [1, 2, 3, 2])
    sampler = samplers.registry.build(name, samplers.registry.resolve(name, {}))
    views = views_of(targets, 150, n_views=1 if sampler.peer is None else 2, dim=3)

    def loss(**hyper):
        targets.generator.manual_seed(0)
        objective = objectives.registry.build("bce", {})
        total = torch.zeros(())
        for view, given in zip(
            views, sampler_for(targets, name, **hyper).sample(views), strict=True
        ):
            total += objective.loss(Scored(view, given)) + (given.auxiliary or 0)
        return total.item()

    space = samplers.registry.search_space(name)
    assert space or name in ("side-by-side", "side-by-side-uniform")
    for option, values in space.items():
        found = [loss(**{option: value}) for value in values]
        assert len({*found}) == len(values), option


def test_stored_cells_of_the_text_are_shown_under_its_name():
    known_as = samplers.registry.get("mdcns").known_as
    text = {"peer": "gru4rec", "teacher": "sum", "support": "pool"}
    released = {"peer": "gru4rec", "teacher": "mean", "support": "pool+positive"}
    for stored, today in (
        ("mdcns", "mdcns-text"),
        ("mdcns-no-cd", "mdcns-text-no-cd"),
        ("mdcns-peer-mamba4rec", "mdcns-text-peer-mamba4rec"),
        ("mdcns-text", "mdcns-text"),
        ("side-by-side", "side-by-side"),  # without a teacher
    ):
        assert known_as(stored, text) == today
        assert known_as(stored, released) == stored
    assert known_as("mdcns-no-cd-dr-ms", text | {"peer": None}) == "mdcns-no-cd-dr-ms"
    gnno = samplers.registry.get("gnno").known_as
    assert gnno("gnno", {"N": 100, "M": 5, "hard": 10}) == "gnno-proportional"
    assert gnno("gnno", {"K": 1, "hard": 3}) == "gnno"

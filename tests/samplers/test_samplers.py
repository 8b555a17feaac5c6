"""Samplers against brute force, and their draws against the distribution they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest
from support import random_sequences, sampler_for, targets_of, views_of

import samplers
from bench.errors import UserError
from samplers.base import Exposed, Scored

N_ITEMS = 40
SEQUENCES = random_sequences(n_users=30, n_items=N_ITEMS, longest=15)
ROWS = list(range(30))
POSITIONS = [2] * 30


def targets(seed=0):
    return targets_of(SEQUENCES, N_ITEMS, ROWS, POSITIONS, seed=seed)


def scores_of(view, ids):
    return torch.einsum("td,tkd->tk", view.states, view.table[ids]).detach()


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_popularity_draws_follow_count_to_the_power(power):
    counts = np.array([0, 5, 9, 1, 30, 0, 12, 7, 100, 3, 3])  # id 5 never occurs in training
    history, positive = [8, 2], 4
    draws = 20_000
    batch = targets_of([[*history, positive]], 10, [0] * draws, [2] * draws, seed=3)
    training = [[item] for item, count in enumerate(counts) for _ in range(count)]
    sampler = sampler_for(batch, "popularity", training, power=power)
    drawn = sampler.sample(views_of(batch, 10))[0].ids
    weight = np.where(counts > 0, counts.astype(float) ** power, 0)
    weight[[*history, positive]] = 0
    observed = np.bincount(drawn.flatten(), minlength=11)
    assert observed[weight == 0].sum() == 0
    expected = draws * weight[weight > 0] / weight.sum()
    assert chisquare(observed[weight > 0], expected).pvalue > 0.001


def test_dns_takes_the_hardest_of_the_pool():
    batch = targets()
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler_for(batch, "dns", N=10).sample([view])
    pool = view.pool(10)
    expected = pool.gather(1, scores_of(view, pool).argmax(1, keepdim=True))
    assert torch.equal(negatives.ids, expected)


def test_dns_draws_an_item_of_rank_r_as_often_as_a_pool_s_best_has_that_rank():
    N, draws = 4, 6000
    batch = targets_of(SEQUENCES, N_ITEMS, [0] * draws, [2] * draws)
    (one,) = views_of(targets_of(SEQUENCES, N_ITEMS, [0], [2]), N_ITEMS)
    view = type(one)(one.states.expand(draws, -1), one.table, batch)
    ids = sampler_for(batch, "dns", N=N).sample([view])[0].ids.flatten()
    legal = [i for i in range(1, N_ITEMS + 1) if i not in SEQUENCES[0][:3]]
    ranked = sorted(legal, key=lambda i: -float((one.states[0] @ one.table[i]).detach()))
    counts = np.bincount(ids, minlength=N_ITEMS + 1)[ranked]
    L = len(legal)
    # The others of the pool all rank below r: C(L - r, N - 1) of C(L, N) pools.
    p = [math.comb(L - r, N - 1) / math.comb(L, N) for r in range(1, L - N + 2)]
    assert sum(counts[len(p) :]) == 0
    head = 15  # beyond, too few are expected for the test
    observed = [*counts[:head], counts[head:].sum()]
    assert chisquare(observed, [draws * x for x in [*p[:head], sum(p[head:])]]).pvalue > 0.001


def test_dns_plus_is_uniform_over_the_top_m():
    M, N, draws = 3, 8, 3000
    batch = targets_of(SEQUENCES, N_ITEMS, [0] * draws, [2] * draws)
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler_for(batch, "dns+", N=N, M=M).sample([view])
    pool = view.pool(N)
    scores = scores_of(view, pool)
    chosen = scores_of(view, negatives.ids)
    place = (scores > chosen + 1e-6).sum(1)
    assert chisquare(np.bincount(place, minlength=M)).pvalue > 0.001


def test_dns_plus_with_the_whole_pool_is_uniform_and_with_one_is_dns():
    batch = targets()
    (view,) = views_of(batch, N_ITEMS)
    one = sampler_for(batch, "dns+", N=10, M=1).sample([view])[0].ids
    assert torch.equal(one, sampler_for(batch, "dns", N=10).sample([view])[0].ids)


def test_mixgcf_mixes_each_candidate_and_takes_the_hardest():
    batch = targets()
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler_for(batch, "mixgcf", N=10).sample([view])
    pool, y = view.pool(10), view.table[view.positives]
    # The mixing coefficient a, recovered from the vector; then every candidate mixed by it.
    hardest = view.table[pool.gather(1, scores_of(view, pool).argmax(1, keepdim=True))].squeeze(1)
    z = negatives.vectors.squeeze(1)
    a = ((z - hardest) * (y - hardest)).sum(1) / ((y - hardest) ** 2).sum(1)
    assert ((a > 0) & (a < 1)).all()
    assert len(a.unique()) == len(a)
    mixed = a[:, None, None] * y[:, None] + (1 - a)[:, None, None] * view.table[pool]
    best = (view.states[:, None] * mixed).sum(-1).argmax(1)
    torch.testing.assert_close(mixed[torch.arange(30), best], z)
    Scored(view, negatives).negative.sum().backward()
    assert view.table.grad[view.positives].abs().sum() > 0  # gradient reaches the positive, too


def test_mixgcf_plus_mixes_one_of_the_top_m_with_a_uniform_share():
    M, N, draws = 3, 8, 3000
    batch = targets_of(SEQUENCES, N_ITEMS, [0] * draws, [2] * draws)
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler_for(batch, "mixgcf+", N=N, M=M, mix=0.6).sample([view])
    pool = view.pool(N)
    place = (scores_of(view, pool) > scores_of(view, negatives.made_of) + 1e-6).sum(1)
    assert chisquare(np.bincount(place, minlength=M)).pvalue > 0.001
    y, v = view.table[view.positives], view.table[negatives.made_of.squeeze(1)]
    a = ((negatives.vectors.squeeze(1) - v) * (y - v)).sum(1) / ((y - v) ** 2).sum(1)
    assert kstest(a.detach().numpy() / 0.6, "uniform").pvalue > 0.001


@pytest.mark.parametrize("raw", [False, True])
def test_ahns_takes_the_candidate_nearest_to_the_hardness_aimed_at(raw):
    alpha, beta, p = 0.5, 0.4, -2.0
    batch = targets()
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler_for(batch, "ahns", C=10, alpha=alpha, beta=beta, p=p, raw=raw).sample(
        [view]
    )
    pool = view.pool(10).tolist()
    for t, candidates in enumerate(pool):
        h, E = view.states[t].tolist(), view.table.tolist()

        def score(item, h=h, E=E):
            return sum(x * y for x, y in zip(h, E[item], strict=True))

        positive = score(int(view.positives[t]))
        if not raw:
            positive = math.log1p(math.exp(positive))
        aim = beta * (positive + alpha) ** (p + 1)
        assert int(negatives.ids[t]) == min(candidates, key=lambda c: abs(score(c) - aim))


def test_three_draws_of_dns_plus_have_the_weights_of_mdcns():
    M, N, draws = 3, 8, 2000
    batch = targets_of(SEQUENCES, N_ITEMS, [0] * draws, [2] * draws)
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler_for(batch, "dns+3", N=N, M=M, gamma=2.5).sample([view])
    assert negatives.weights.tolist() == [1.0, 1.0, 2.5]
    scores = scores_of(view, view.pool(N))
    places = (scores[:, None] > scores_of(view, negatives.ids)[..., None] + 1e-6).sum(2)
    triples = places @ torch.tensor([9, 3, 1])  # three independent draws: all 27 alike
    assert chisquare(np.bincount(triples, minlength=27)).pvalue > 0.001


def shown(exposures, n_users=30):
    """What each of the first users was shown: pairs of item and position."""
    rows = [sorted(exposures.get(user, []), key=lambda pair: pair[1]) for user in range(n_users)]
    flat = [pair for row in rows for pair in row]
    return Exposed(
        items=torch.tensor([item for item, _ in flat], dtype=torch.int64),
        offsets=torch.tensor([0, *map(len, rows)]).cumsum(0),
        positions=torch.tensor([position for _, position in flat], dtype=torch.int64),
    )


def test_exposure_draws_what_was_shown_before_and_not_taken():
    history = SEQUENCES[1].tolist()
    unseen = [i for i in range(1, N_ITEMS + 1) if i not in history]
    a, b, c, d = unseen[:4]
    # User 1, positive at position 2: a twice, b once, c too late, and one that was taken.
    exposed = shown({1: [(a, 0), (a, 1), (b, 2), (c, 3), (history[0], 2)], 2: [(d, 0)]})
    draws = 6000
    batch = targets_of(SEQUENCES, N_ITEMS, [1] * draws, [2] * draws)
    sampler = sampler_for(batch, "exposure", exposed=exposed)
    drawn = sampler.sample(views_of(batch, N_ITEMS))[0].ids.flatten()
    counts = np.bincount(drawn, minlength=N_ITEMS + 1)
    assert counts[[a, b]].sum() == draws
    assert chisquare(counts[[a, b]], [draws * 2 / 3, draws / 3]).pvalue > 0.001
    assert sampler.diagnostics() == {"nothing_shown": 0.0}


@pytest.mark.parametrize("mix", [0.5, 1.0])
def test_exposure_has_its_share_of_exposed_ones_though_most_of_what_was_shown_was_taken(mix):
    history = SEQUENCES[1].tolist()
    unseen = [i for i in range(1, N_ITEMS + 1) if i not in history[:3]]
    exposed = shown({1: [(unseen[0], 0), *[(item, 0) for item in history[:2] * 15]]})
    draws = 8000
    batch = targets_of(SEQUENCES, N_ITEMS, [1, 2] * draws, [2, 1] * draws)  # 2 was shown nothing
    sampler = sampler_for(batch, "exposure", exposed=exposed, mix=mix)
    drawn = sampler.sample(views_of(batch, N_ITEMS))[0].ids.flatten()[::2]
    law = np.full(len(unseen), (1 - mix) / len(unseen))
    law[0] += mix
    counts = np.bincount(drawn, minlength=N_ITEMS + 1)[unseen]
    assert counts[law > 0].sum() == draws
    if mix < 1:
        assert chisquare(counts, draws * law).pvalue > 0.001


@pytest.mark.parametrize(("mix", "user"), [(0.0, 1), (1.0, 0)])
def test_exposure_falls_back_to_uniform(mix, user):
    """Without exposures by then, or with a share of zero for them."""
    draws = 8000
    batch = targets_of(SEQUENCES, N_ITEMS, [user] * draws, [2] * draws)
    exposed = shown({1: [(SEQUENCES[1][5], 0)], 0: [(SEQUENCES[1][5], 4)]})
    sampler = sampler_for(batch, "exposure", exposed=exposed, mix=mix)
    drawn = sampler.sample(views_of(batch, N_ITEMS))[0].ids.flatten()
    legal = [i for i in range(1, N_ITEMS + 1) if i not in SEQUENCES[user][:3]]
    assert chisquare(np.bincount(drawn, minlength=N_ITEMS + 1)[legal]).pvalue > 0.001
    assert sampler.diagnostics() == {"nothing_shown": float(user == 0)}


@pytest.mark.parametrize(
    ("name", "hyper", "message"),
    [
        ("dns", {"N": 0}, "N=0"),
        ("adasir", {"S": 0}, "S=0"),
        ("adasir", {"T": 0}, "T=0"),
        ("srns", {"S1": 101}, "S1=101: must lie between 1 and F=100"),
        ("gnno", {"hard": 0}, "hard=0"),
        ("gnno-released", {"hard": 100}, "hard=100"),
        ("adasir-released", {"P": 0}, "P=0"),
        ("ahns", {"p": -2.5, "raw": True}, "p=-2.5: must be whole"),
        ("gnno", {"c_max": 0}, "c_max=0"),
        ("ahns", {"p": -1}, "p=-1"),
        ("ahns", {"C": 0}, "C=0"),
        ("mixgcf", {"mix": 1.5}, "mix=1.5"),
        ("mixed", {"N": 0}, "N=0"),
        ("exposure", {"mix": -0.1}, "mix=-0.1"),
        ("dns+3", {"alpha": 0, "beta": 0, "gamma": 0}, "nothing is left to train on"),
        ("dns+", {"N": 5, "M": 6}, "M=6: must lie between 1 and the pool size N=5"),
        ("mdcns", {"M": 101}, "M=101"),
        ("mdcns", {"tau": 0}, "tau=0"),
        ("mdcns", {"mu": -1}, "mu=-1"),
        ("mdcns", {"alpha": 0, "beta": 0, "gamma": 0}, "nothing is left to train on"),
        ("uniform", {"K": 0}, "K=0"),
        ("popularity", {"power": -1}, "power=-1"),
    ],
)
def test_impossible_hyper_parameters_are_refused(name, hyper, message):
    with pytest.raises(UserError, match=message):
        samplers.registry.build(name, samplers.registry.resolve(name, hyper))

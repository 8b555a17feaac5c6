"""Samplers against brute force, and their draws against the distribution they claim."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import random_sequences, sampler_for, targets_of, views_of

import samplers
from bench.errors import UserError

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
    negatives.scores(view).sum().backward()
    assert view.table.grad[view.positives].abs().sum() > 0  # gradient reaches the positive, too


@pytest.mark.parametrize(
    ("name", "hyper", "message"),
    [
        ("dns", {"N": 0}, "N=0"),
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

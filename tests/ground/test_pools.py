"""Candidate pools: what they hold, and that every legal item is equally likely."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chi2, chisquare
from support import random_sequences, targets_of

N_ITEMS = 40


def legal_items(sequences, row, position, n_items):
    """Brute force: the catalogue without the positive and what came before it."""
    return set(range(1, n_items + 1)) - set(sequences[row][: position + 1])


@pytest.fixture(scope="module")
def sequences():
    return random_sequences(n_users=30, n_items=N_ITEMS, longest=15)


def every_target(sequences):
    return zip(*((r, p) for r, s in enumerate(sequences) for p in range(1, len(s))), strict=True)


# N = 5 takes the path that redraws, N = 20 the one that sorts keys.
@pytest.mark.parametrize("N", [1, 5, 20])
def test_a_pool_holds_distinct_legal_items_only(sequences, N):
    rows, positions = every_target(sequences)
    pool = targets_of(sequences, N_ITEMS, rows, positions).pool(N)
    assert pool.shape == (len(rows), N)
    for candidates, row, position in zip(pool.tolist(), rows, positions, strict=True):
        assert len(set(candidates)) == N
        assert set(candidates) <= legal_items(sequences, row, position, N_ITEMS)


@pytest.mark.parametrize("N", [1, 5, 20])
def test_the_pool_is_uniform_over_what_is_legal(sequences, N):
    row, position, draws = 3, 2, 6000
    legal = sorted(legal_items(sequences, row, position, N_ITEMS))
    pool = targets_of(sequences, N_ITEMS, [row] * draws, [position] * draws, seed=1).pool(N)
    counts = np.bincount(pool.flatten(), minlength=N_ITEMS + 1)[legal]
    assert counts.sum() == draws * N
    # Within a row draws are without replacement: variance is smaller by (I - N) / (I - 1), and
    # scaling the statistic makes the test exact in the limit.
    size = len(legal)
    statistic = chisquare(counts).statistic * (size - 1) / (size - N)
    low, high = np.quantile(np.random.default_rng(0).chisquare(size - 1, 100_000), [0.001, 0.999])
    assert low < statistic < high


@pytest.mark.parametrize("met", [60, 120, 300, 370])
def test_long_histories_get_as_uniform_pools_beside_short_ones(met):
    """Of 400 items: some take a few draws more, some many more, some a list of what is legal."""
    n_items, N, draws, rng = 400, 20, 3000, np.random.default_rng(0)
    sequences = [rng.permutation(n_items)[:size] + 1 for size in (*[21] * 99, met + 1)]
    rows = [0, 99] * draws
    positions = [len(sequences[row]) - 1 for row in rows]
    pool = targets_of(sequences, n_items, rows, positions, seed=1).pool(N)
    for row, mine in ((0, pool[::2]), (99, pool[1::2])):
        legal = sorted(legal_items([list(s) for s in sequences], row, n_items, n_items))
        assert all(len(set(candidates)) == N for candidates in mine.tolist())
        counts = np.bincount(mine.flatten(), minlength=n_items + 1)[legal]
        assert counts.sum() == draws * N
        size = len(legal)
        statistic = chisquare(counts).statistic * (size - 1) / (size - N)
        assert 0.0005 < chi2.sf(statistic, size - 1) < 0.9995


def test_pairs_of_a_pool_are_equally_likely():
    """Uniform over subsets, not merely over single items."""
    sequences, draws = [[1, 2]], 8000
    pool = targets_of(sequences, 8, [0] * draws, [1] * draws).pool(2).sort(dim=1).values
    pairs = np.bincount((pool[:, 0] * 9 + pool[:, 1]).numpy(), minlength=81)
    assert (pairs > 0).sum() == 15  # 6 legal items
    assert chisquare(pairs[pairs > 0]).pvalue > 0.001


def test_a_shuffled_pool_has_no_favourite_first_column():
    """DNS with M = N takes any column: columns must be exchangeable too."""
    sequences, draws = [[1, 2]], 6000
    pool = targets_of(sequences, 30, [0] * draws, [1] * draws).pool(5)
    for column in (0, 4):
        assert chisquare(np.bincount(pool[:, column], minlength=31)[3:]).pvalue > 0.001


def test_every_view_of_a_batch_gets_the_same_pool(sequences):
    targets = targets_of(sequences, N_ITEMS, [0, 1], [1, 1])
    assert targets.pool(5) is targets.pool(5)


def test_a_proposal_that_only_hits_the_history_falls_back_to_uniform():
    targets = targets_of([[1, 2, 3]], 10, [0], [2])
    draws = targets.draw(4, lambda rows, K: torch.full((len(rows), K), 2))
    assert set(draws.flatten().tolist()) <= set(range(4, 11))


def test_the_last_legal_item_is_always_found():
    """49 of 50 items met, and 988 of 1,000 in all but dozens: exact where redrawing gives up."""
    targets = targets_of([range(1, 50)], 50, [0] * 3000, [48] * 3000)
    assert (targets.pool(1) == 50).all()
    assert (targets.draw(2, targets.uniform) == 50).all()
    long = targets_of([range(1, 991)], 1000, [0] * 200, [988] * 200)
    assert (long.pool(11).sort(dim=1).values == torch.arange(990, 1001)).all()
    drawn = targets_of([range(1, 991)], 1000, [0] * 4000, [988] * 4000).pool(3)
    assert chisquare(np.bincount(drawn.flatten(), minlength=1001)[990:]).pvalue > 0.001


def test_a_catalogue_with_nothing_legal_is_an_error_not_a_hang():
    targets = targets_of([[1, 2, 3]], 3, [0], [2])
    with pytest.raises(RuntimeError, match="too small for these histories"):
        targets.draw(1, targets.uniform)

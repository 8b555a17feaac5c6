"""AdaSIR, its pools and weights computed again here, item by item."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import random_sequences, sampler_for, targets_of, views_of

from samplers import Scored, View
from samplers.adasir import categorical

N_ITEMS = 40
SEQUENCES = random_sequences(n_users=30, n_items=N_ITEMS, shortest=5, longest=15)


def test_categorical_draws_have_the_probabilities_stated():
    p = torch.tensor([[0.5, 0.0, 0.3, 0.2]])
    drawn = categorical(p, 20_000, torch.Generator().manual_seed(0))
    counts = np.bincount(drawn.flatten(), minlength=4)
    assert counts[1] == 0
    assert chisquare(counts[[0, 2, 3]], [10_000, 6_000, 4_000]).pvalue > 0.001


@pytest.mark.parametrize("name", ["adasir", "adasir-released"])
def test_draws_approach_the_softmax_over_legal_items(name):
    """Resampling many uniform proposals by softmax(s / T) draws by softmax(s / T)."""
    T, draws = 2.0, 4000
    position, sequences = 4, [SEQUENCES[3]] * 4000
    batch = targets_of(sequences, N_ITEMS, range(draws), [position] * draws)
    (one,) = views_of(targets_of(sequences, N_ITEMS, [0], [position]), N_ITEMS)
    many = View(one.states.expand(draws, -1), one.table, batch)
    more = {"K": 1} if name == "adasir" else {}
    sampler = sampler_for(batch, name, sequences, S=400, P=3, T=T, **more)
    (negatives,) = sampler.sample([many])
    legal = [i for i in range(1, N_ITEMS + 1) if i not in SEQUENCES[3][: position + 1]]
    p = torch.zeros(N_ITEMS + 1)
    p[legal] = ((one.states @ one.table.t()).detach()[0, legal] / T).softmax(0)
    share = torch.bincount(negatives.ids.flatten(), minlength=N_ITEMS + 1) / draws
    assert (share[[i for i in range(N_ITEMS + 1) if i not in legal]] == 0).all()
    # 4,000 draws, the bias of 400 proposals and of pools that hold few legal items.
    assert (share - p).abs().max() < 0.03
    uniform = torch.zeros(N_ITEMS + 1)
    uniform[legal] = 1 / len(legal)
    assert (share - p).abs().sum() < 0.3 * (share - uniform).abs().sum()


def test_the_weights_are_those_of_the_formula_by_hand():
    """softmax(s + log w): scores 2, 1, 0, 0, -1 that came with w ~ e^s have the top weight .85."""
    batch = targets_of([[1, 9]], N_ITEMS, [0], [1])
    sampler = sampler_for(batch, "adasir", [[1, 9]], S=5, P=5, K=5)
    table = torch.zeros(N_ITEMS + 1, 1)
    scores = [2.0, 1.0, 0.0, 0.0, -1.0]
    table[2:7, 0] = torch.tensor(scores)
    view = View(torch.ones(1, 1).requires_grad_(), table.requires_grad_(), batch)
    sampler._pools[0] = torch.tensor([2, 3, 4, 5, 6]).int()
    sampler._weights[0] = torch.tensor(scores).exp() / torch.tensor(scores).exp().sum()
    sampler._renewed[0] = 1  # its turn has been
    seen = set()
    for _ in range(300):
        (given,) = sampler.sample([view])
        if sorted(given.ids[0].tolist()) == [2, 3, 4, 5, 6]:
            seen.add(round(float(given.weights.max()), 2))
        expected = [math.exp(2 * scores[i - 2]) for i in given.ids[0].tolist()]
        expected = [value / sum(expected) for value in expected]
        assert given.weights[0].tolist() == pytest.approx(expected, rel=1e-5)
    assert seen <= {0.85}
    assert not given.weights.requires_grad


def test_a_pool_belongs_to_a_user_and_mixes_old_with_new_once_an_epoch():
    rows, positions = [0, 0, 1, 2], [1, 2, 3, 2]
    batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
    sampler = sampler_for(batch, "adasir", SEQUENCES, S=50, P=200, K=6)
    (view,) = views_of(batch, N_ITEMS)
    (first,) = sampler.sample([view])
    pools = sampler.state_dict()["pools"]
    assert (pools[:3] > 0).all()  # filled before it is first used
    assert pools[3:].count_nonzero() == 0
    for ids, row in zip(first.ids.tolist(), rows, strict=True):
        assert set(ids) <= set(pools[row].tolist())
    before = pools.clone()
    sampler.sample([view])
    assert torch.equal(sampler.state_dict()["pools"], before)  # the same epoch
    # An old pool of one item, in another epoch: about half of the new pool is still that item.
    sampler._pools[:3], sampler._weights[:3] = 7, 0.125
    batch.epoch = 2
    sampler.sample([view])
    state = sampler.state_dict()
    for row in range(3):
        kept = state["pools"][row] == 7
        assert 0.35 < float(kept.float().mean()) < 1.0
        assert float(((state["weights"][row] == 0.125) & kept).float().mean()) > 0.35


def test_renewal_uses_the_state_of_the_user_s_last_target():
    """With one hot state an item, proposals are weighed by the scores of that state alone."""
    batch = targets_of([SEQUENCES[0]], N_ITEMS, [0, 0], [3, 1])
    sampler = sampler_for(batch, "adasir", [SEQUENCES[0]], S=2000, P=500, K=1)
    states = torch.eye(2)[[0, 1]]  # of the last target, of an earlier one
    table = torch.zeros(N_ITEMS + 1, 2)
    table[1:, 1] = torch.linspace(5, -5, N_ITEMS)  # scores that the earlier one would have
    sampler.sample([View(states.requires_grad_(), table.requires_grad_(), batch)])
    counts = np.bincount(sampler.state_dict()["pools"][0], minlength=N_ITEMS + 1)[1:]
    assert counts.max() < 40  # flat: about 12 each
    assert torch.allclose(sampler.state_dict()["weights"], torch.tensor(1 / 2000))


def test_a_target_to_whom_nothing_in_the_pool_is_legal_gets_uniform_items():
    draws = 4000
    sequences = [SEQUENCES[0]] * draws
    batch = targets_of(sequences, N_ITEMS, range(draws), [2] * draws)
    sampler = sampler_for(batch, "adasir", sequences, S=5, P=3, K=1)
    sampler._pools[:], sampler._weights[:] = torch.as_tensor(SEQUENCES[0][:3]).int(), 0.5
    sampler._renewed[:] = 1
    (given,) = sampler.sample(views_of(batch, N_ITEMS))
    legal = [i for i in range(1, N_ITEMS + 1) if i not in SEQUENCES[0][:3]]
    counts = np.bincount(given.ids.flatten(), minlength=N_ITEMS + 1)
    assert chisquare(counts[legal]).pvalue > 0.001
    assert (given.weights == 1).all()


def test_as_released_the_draw_is_from_what_the_last_turn_left():
    rows, positions = [0, 0, 1, 2], [1, 2, 3, 2]
    batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
    sampler = sampler_for(batch, "adasir-released", SEQUENCES, S=50, P=200)
    (view,) = views_of(batch, N_ITEMS)
    (first,) = sampler.sample([view])
    assert first.ids.shape == (4, 1)
    assert first.weights is None
    starts = np.cumsum([0, *map(len, SEQUENCES)])
    slots = [starts[r] + p for r, p in zip(rows, positions, strict=True)]
    assert (sampler.state_dict()["pools"][slots] > 0).all()
    left = [int(view.pool(1)[t, 0]) for t in range(4)]
    for slot, item in zip(slots, left, strict=True):
        sampler._pools[slot] = item
    (second,) = sampler.sample([view])
    assert second.ids.flatten().tolist() == left  # not from the pool that this turn makes
    for slot, item in zip(slots, left, strict=True):
        kept = float((sampler.state_dict()["pools"][slot] == item).float().mean())
        assert 0.35 < kept < 1.0


def test_the_loss_is_the_weighted_one():
    batch = targets_of(SEQUENCES, N_ITEMS, [0, 1], [2, 3])
    sampler = sampler_for(batch, "adasir", SEQUENCES, S=50, P=20, K=3)
    (view,) = views_of(batch, N_ITEMS)
    (given,) = sampler.sample([view])
    scored = Scored(view, given)
    by_hand = (view.states[:, None] * view.table[given.ids]).sum(-1)
    torch.testing.assert_close(scored.negative, by_hand)
    torch.testing.assert_close(given.weights.sum(1), torch.ones(2))

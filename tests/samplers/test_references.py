"""The references that practitioners use: in-batch, mixed, sampled and full softmax, gBCE."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import random_sequences, sampler_for, targets_of, views_of

from bench import objectives
from samplers import Scored

N_ITEMS = 25
SEQUENCES = [s.tolist() for s in random_sequences(n_users=12, n_items=N_ITEMS, longest=9, seed=4)]
ROWS, POSITIONS = [0, 0, 1, 2, 3, 3, 4, 5], [1, 2, 1, 2, 1, 2, 1, 2]


def batch_of(seed=0):
    return targets_of(SEQUENCES, N_ITEMS, ROWS, POSITIONS, seed=seed)


def target_share(item):
    """The item's share of all (prefix -> next item) pairs, counted one by one."""
    targets = [i for sequence in SEQUENCES for i in sequence[1:]]
    return targets.count(item) / len(targets)


def score(view, t, item):
    return float(view.states[t].detach() @ view.table[item].detach())


@pytest.mark.parametrize("correct", [True, False])
def test_in_batch_loss_equals_a_count_by_hand(correct):
    batch = batch_of()
    (view,) = views_of(batch, N_ITEMS)
    sampler = sampler_for(batch, "in-batch", SEQUENCES)
    (negatives,) = sampler.sample([view])
    objective = objectives.registry.build(sampler.objective, {"correct": correct})
    T, loss = len(ROWS), 0.0
    positives = view.positives.tolist()

    def logit(t, item):
        return score(view, t, item) - (math.log(T * target_share(item)) if correct else 0)

    for t, (row, position) in enumerate(zip(ROWS, POSITIONS, strict=True)):
        met = set(SEQUENCES[row][: position + 1])  # the positive stands at `position`
        others = [
            logit(t, y)
            for y, its in zip(positives, ROWS, strict=True)
            if y not in met and its != row
        ]
        own = logit(t, positives[t])
        loss -= own - math.log(math.exp(own) + sum(map(math.exp, others)))
    assert objective.loss(Scored(view, negatives)).item() == pytest.approx(loss / T, rel=1e-5)


def test_in_batch_items_come_as_often_as_log_q_says():
    """Batches of random targets: how often an item is in a batch of T is exp(log_q)."""
    rng = np.random.default_rng(0)
    pairs = [(r, p) for r, s in enumerate(SEQUENCES) for p in range(1, len(s))]
    T, batches, seen, said = 16, 800, np.zeros(N_ITEMS + 1), {}
    for _ in range(batches):
        rows, positions = zip(*(pairs[i] for i in rng.integers(len(pairs), size=T)), strict=True)
        batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
        (negatives,) = sampler_for(batch, "in-batch", SEQUENCES).sample(views_of(batch, N_ITEMS))
        seen += np.bincount(negatives.ids, minlength=N_ITEMS + 1)
        said |= dict(zip(negatives.ids.tolist(), negatives.log_q.exp().tolist(), strict=True))
    for item, expected in said.items():
        assert abs(seen[item] / batches - expected) < 5 * math.sqrt(expected / batches)


def test_mixed_is_in_batch_and_uniform_together():
    batch = batch_of()
    N = 6000
    sampler = sampler_for(batch, "mixed", SEQUENCES, N=N)
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler.sample([view])
    T = len(ROWS)
    assert torch.equal(negatives.ids[:T], view.positives)
    assert chisquare(np.bincount(negatives.ids[T:], minlength=N_ITEMS + 1)[1:]).pvalue > 0.001
    for item, log_q in zip(negatives.ids.tolist(), negatives.log_q.tolist(), strict=True):
        assert log_q == pytest.approx(math.log(T * target_share(item) + N / N_ITEMS), rel=1e-5)
    assert torch.equal(negatives.log_q_positive, negatives.log_q[:T])
    for t, (row, position) in enumerate(zip(ROWS, POSITIONS, strict=True)):
        met = set(SEQUENCES[row][: position + 1])
        own = [other == row for other in ROWS] + [False] * N
        assert negatives.legal[t].tolist() == [
            i not in met and not its for i, its in zip(negatives.ids.tolist(), own, strict=True)
        ]


@pytest.mark.parametrize("name", ["in-batch", "mixed"])
def test_a_user_s_later_items_are_not_in_batch_negatives(name):
    """One-pass training has all targets of a sequence in one batch, whatever their q."""
    sequences = [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    rows, positions = [0] * 4 + [1] * 4, [1, 2, 3, 4] * 2
    batch = targets_of(sequences, N_ITEMS, rows, positions)
    (negatives,) = sampler_for(batch, name, sequences).sample(views_of(batch, N_ITEMS))
    expected = torch.tensor(rows)[:, None] != torch.tensor(rows)
    assert torch.equal(negatives.legal[:, :8], expected)


def test_sampled_softmax_uses_the_whole_pool_each_for_its_share():
    batch = batch_of()
    N = 5
    sampler = sampler_for(batch, "sampled-softmax", SEQUENCES, N=N)
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler.sample([view])
    pool = view.pool(N)
    assert torch.equal(negatives.ids, pool)
    loss = 0.0
    for t, position in enumerate(POSITIONS):
        legal = N_ITEMS - (position + 1)
        z = [math.exp(score(view, t, i)) * legal / N for i in pool[t].tolist()]
        own = score(view, t, int(view.positives[t]))
        loss -= (own - math.log(math.exp(own) + sum(z))) / len(POSITIONS)
    value = objectives.registry.build(sampler.objective, {}).loss(Scored(view, negatives))
    assert float(value) == pytest.approx(loss, rel=1e-5)


def test_sampled_softmax_counts_an_item_once_however_often_it_was_met():
    repeats = [[1, 1, 1, 1, 2, 1, 2, 3], [4, 5, 4, 5, 4, 5, 4, 5]]
    rows, positions = [0, 0, 0, 1], [1, 4, 7, 7]
    batch = targets_of(repeats, N_ITEMS, rows, positions)
    (given,) = sampler_for(batch, "sampled-softmax", repeats, N=5).sample(views_of(batch, N_ITEMS))
    for t, (row, position) in enumerate(zip(rows, positions, strict=True)):
        legal = N_ITEMS - len({*repeats[row][: position + 1]})
        assert given.log_q[t].exp().tolist() == pytest.approx([5 / legal])


def test_gbce_has_the_negatives_of_uniform():
    batch = batch_of()
    (view,) = views_of(batch, N_ITEMS)
    gbce = sampler_for(batch, "gbce", SEQUENCES, N=5)
    uniform = sampler_for(batch, "uniform", SEQUENCES, K=5)
    assert torch.equal(gbce.sample([view])[0].ids, uniform.sample([view])[0].ids)
    assert gbce.objective == "gbce"


def test_full_softmax_sets_every_item_against_the_positive():
    batch = batch_of()
    (view,) = views_of(batch, N_ITEMS)
    sampler = sampler_for(batch, "full-softmax", SEQUENCES)
    (negatives,) = sampler.sample([view])
    loss = objectives.registry.build(sampler.objective, {}).loss(Scored(view, negatives))
    expected = 0.0
    for t in range(len(ROWS)):
        total = sum(math.exp(score(view, t, i)) for i in range(1, N_ITEMS + 1))
        expected -= (score(view, t, int(view.positives[t])) - math.log(total)) / len(ROWS)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_history_met_among_equals_the_look_up_pair_by_pair():
    batch = batch_of()
    ids = torch.tensor([3, 9, 3, *range(1, N_ITEMS + 1)])
    one_by_one = ~batch.illegal(ids.expand(len(ROWS), -1))
    assert torch.equal(batch.legal_among(ids), one_by_one)


def test_shared_softmax_has_one_draw_for_the_batch_of_which_each_row_takes_the_legal():
    batch = batch_of()
    N = 6000
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler_for(batch, "shared-softmax", SEQUENCES, N=N).sample([view])
    assert negatives.ids.shape == (N,)
    assert chisquare(np.bincount(negatives.ids, minlength=N_ITEMS + 1)[1:]).pvalue > 0.001
    assert torch.allclose(negatives.log_q.exp(), torch.full((N,), N / N_ITEMS))
    for t, (row, position) in enumerate(zip(ROWS, POSITIONS, strict=True)):
        met = set(SEQUENCES[row][: position + 1])
        assert negatives.legal[t].tolist() == [i not in met for i in negatives.ids.tolist()]

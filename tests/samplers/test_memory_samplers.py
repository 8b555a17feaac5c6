"""AdaSIR, SRNS and GNNO, whose memories and graphs are computed again here, item by item."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import random_sequences, sampler_for, targets_of, views_of

from samplers import Scored, gnno
from samplers.adasir import categorical
from samplers.gnno import neighbourhood_overlap
from samplers.srns import EPOCHS_KEPT, last_of_each, standard_deviation

N_ITEMS = 40
SEQUENCES = random_sequences(n_users=30, n_items=N_ITEMS, shortest=5, longest=15)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


# AdaSIR


def test_categorical_draws_have_the_probabilities_stated():
    p = torch.tensor([[0.5, 0.0, 0.3, 0.2]])
    drawn = categorical(p, 20_000, torch.Generator().manual_seed(0))
    counts = np.bincount(drawn.flatten(), minlength=4)
    assert counts[1] == 0
    assert chisquare(counts[[0, 2, 3]], [10_000, 6_000, 4_000]).pvalue > 0.001


def test_adasir_draws_approach_the_softmax_over_legal_items():
    """Resampling many uniform proposals by softmax(s / T) draws by softmax(s / T)."""
    T, draws = 2.0, 4000
    user, position = 3, 4
    batch = targets_of(SEQUENCES, N_ITEMS, [user] * draws, [position] * draws)
    (view,) = views_of(targets_of(SEQUENCES, N_ITEMS, [user], [position]), N_ITEMS)
    many = type(view)(view.states.expand(draws, -1), view.table, batch)
    sampler = sampler_for(batch, "adasir", SEQUENCES, S=400, P=1, K=1, T=T)
    (negatives,) = sampler.sample([many])
    legal = [i for i in range(1, N_ITEMS + 1) if i not in SEQUENCES[user][: position + 1]]
    p = torch.zeros(N_ITEMS + 1)
    p[legal] = ((view.states @ view.table.t()).detach()[0, legal] / T).softmax(0)
    share = torch.bincount(negatives.ids.flatten(), minlength=N_ITEMS + 1) / draws
    # 4,000 draws and the bias of 400 proposals: a few standard errors of the largest share.
    assert (share - p).abs().max() < 0.03
    uniform = torch.zeros(N_ITEMS + 1)
    uniform[legal] = 1 / len(legal)
    assert (share - p).abs().sum() < 0.3 * (share - uniform).abs().sum()


def test_adasir_keeps_a_pool_for_each_target_and_mixes_old_with_new():
    rows, positions = [0, 0, 1, 2], [1, 2, 3, 2]
    batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
    sampler = sampler_for(batch, "adasir", SEQUENCES, S=50, P=200, K=6)
    (view,) = views_of(batch, N_ITEMS)
    (first,) = sampler.sample([view])
    starts = np.cumsum([0, *map(len, SEQUENCES)])
    slots = [starts[r] + p for r, p in zip(rows, positions, strict=True)]
    pools = sampler.state_dict()["pools"]
    assert (pools[slots] > 0).all()  # filled before it is first used
    assert pools.count_nonzero() == 4 * 200
    assert all(set(ids) <= set(pools[s].tolist())
               for ids, s in zip(first.ids.tolist(), slots, strict=True))  # fmt: skip
    expected = Scored(view, first).negative.detach().softmax(1)
    torch.testing.assert_close(first.weights, expected)
    # An old pool of one legal item: about half of the new pool is still that item.
    legal = [int(view.pool(1)[t, 0]) for t in range(4)]
    for slot, item in zip(slots, legal, strict=True):
        sampler._pools[slot] = item
    sampler.sample([view])
    for slot, item in zip(slots, legal, strict=True):
        kept = float((sampler.state_dict()["pools"][slot] == item).float().mean())
        assert 0.35 < kept < 1.0


# SRNS


def test_srns_picks_by_likelihood_and_variance():
    rows, positions, alpha, warmup = [0, 1, 2, 3], [1, 2, 3, 2], 5.0, 4
    batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
    batch.epoch = 2
    sampler = sampler_for(batch, "srns", SEQUENCES, F=12, S1=5, alpha=alpha, warmup=warmup)
    rng = torch.Generator().manual_seed(5)
    sampler._history[:, :3] = torch.rand((len(SEQUENCES), 3, 12), generator=rng)
    sampler._memory[:] = torch.argsort(torch.rand((len(SEQUENCES), 12), generator=rng))[:, :5]
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler.sample([view])
    state = {name: value.tolist() for name, value in sampler.state_dict().items()}
    E = view.table.tolist()
    for t, row in enumerate(rows):
        met, best = set(SEQUENCES[row][: positions[t] + 1].tolist()), (-math.inf, None)
        for place in state["memory"][row]:
            item = state["candidates"][row][place]
            if item in met:
                continue
            past = [state["history"][row][e][place] for e in range(3)]
            std = np.std(past)
            score = sum(a * b for a, b in zip(view.states[t].tolist(), E[item], strict=True))
            best = max(best, (sigmoid(score) + alpha * 2 / warmup * std, item))
        assert int(negatives.ids[t]) == best[1]


def test_srns_passes_over_what_was_met_and_falls_back_to_uniform():
    draws = 4000
    batch = targets_of(SEQUENCES, N_ITEMS, [0] * draws, [2] * draws)
    sampler = sampler_for(batch, "srns", SEQUENCES, F=6, S1=3)
    sampler._candidates[0] = torch.as_tensor(SEQUENCES[0][:3]).repeat(2)  # all of them met
    ids = sampler.sample(views_of(batch, N_ITEMS))[0].ids.flatten()
    legal = [i for i in range(1, N_ITEMS + 1) if i not in SEQUENCES[0][:3]]
    assert chisquare(np.bincount(ids, minlength=N_ITEMS + 1)[legal]).pvalue > 0.001


def test_srns_remembers_scores_by_epoch_and_renews_its_memory():
    rows, positions = [0, 0, 1], [3, 1, 2]  # the last target of sequence 0 comes first
    batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
    batch.epoch = 7
    sampler = sampler_for(batch, "srns", SEQUENCES, F=12, S1=4, T=0.01)
    before = sampler._memory.clone()
    (view,) = views_of(batch, N_ITEMS)
    sampler.after_step([view])
    state = sampler.state_dict()
    for row, target in ((0, 0), (1, 2)):
        scores = [
            float((view.states[target] @ view.table[int(item)]).detach())
            for item in state["candidates"][row]
        ]
        kept = state["history"][row, 7 % EPOCHS_KEPT].tolist()
        assert kept == pytest.approx([sigmoid(score) for score in scores], rel=1e-4)
        memory = state["memory"][row].tolist()
        assert len(set(memory)) == 4
        # At so low a temperature the best of the union stay; the old four are part of it.
        union = sorted((scores[p] for p in set(memory) | set(before[row].tolist())), reverse=True)
        assert sorted((scores[p] for p in memory), reverse=True)[0] == union[0]
        assert min(scores[p] for p in memory) >= min(union[:4]) - 1e-9
    assert torch.equal(state["memory"][2:], before[2:])
    assert state["history"][2:].isnan().all()


def test_srns_replaces_what_has_been_watched_and_is_not_remembered():
    """In five epochs each candidate once; those in the memory stay, with their history."""
    sequences = [SEQUENCES[0]] * 500
    batch = targets_of(sequences, N_ITEMS, range(500), [2] * 500)
    sampler = sampler_for(batch, "srns", sequences, F=10, S1=3)
    views = views_of(batch, N_ITEMS)
    for epoch in range(1, 12):
        before = {name: value.clone() for name, value in sampler.state_dict().items()}
        batch.epoch = epoch
        sampler.after_step(views)
        after = sampler.state_dict()
        turn = torch.tensor([place % EPOCHS_KEPT == epoch % EPOCHS_KEPT for place in range(10)])
        replaced = turn.repeat(500, 1)
        for row, memory in enumerate(before["memory"].tolist()):
            replaced[row, memory] = False
        assert torch.equal(after["candidates"][~replaced], before["candidates"][~replaced])
        assert chisquare(np.bincount(after["candidates"][replaced])[1:]).pvalue > 0.001
        known = (~after["history"].isnan()).sum(dim=1)
        assert (known[replaced] == 1).all()
        kept = (~before["history"].isnan()).sum(dim=1)[~replaced]
        assert (known[~replaced] == (kept + 1).clamp(max=EPOCHS_KEPT)).all()


def test_srns_renewal_draws_without_replacement_by_softmax():
    """One place in the memory, all candidates in the union: softmax(score / T) itself."""
    T, draws = 0.5, 6000
    sequences = [SEQUENCES[0]] * draws
    batch = targets_of(sequences, N_ITEMS, range(draws), [2] * draws)
    (one,) = views_of(targets_of(sequences, N_ITEMS, [0], [2]), N_ITEMS)
    view = type(one)(one.states.expand(draws, -1), one.table, batch)
    sampler = sampler_for(batch, "srns", sequences, F=2, S1=1, T=T)
    sampler._candidates[:] = torch.tensor([5, 6]).int()
    sampler._memory[:] = 0
    batch.epoch = 2  # nobody's turn: 5 and 6 stay
    sampler.after_step([view])
    moved = int(sampler.state_dict()["memory"].sum())
    a, b = (float((one.states[0] @ one.table[i]).detach()) / T for i in (5, 6))
    p = math.exp(b) / (math.exp(a) + math.exp(b)) / 2  # half of the time 6 is not offered
    assert abs(moved / draws - p) < 4 * math.sqrt(p * (1 - p) / draws)


def test_standard_deviation_needs_two_known_epochs():
    nan = torch.nan
    past = torch.tensor([[[0.1, nan, nan], [0.5, 0.4, nan], [nan, nan, nan]]])  # [1, epochs, 3]
    assert standard_deviation(past)[0].tolist() == pytest.approx([0.2, 0.0, 0.0])


def test_the_last_target_of_each_sequence_is_found():
    sequences, rows = last_of_each(torch.tensor([4, 2, 4, 4, 2]), torch.tensor([1, 9, 7, 3, 8]))
    assert dict(zip(sequences.tolist(), rows.tolist(), strict=True)) == {4: 2, 2: 1}


# GNNO


def overlap_by_hand(sequences, n_items):
    neighbours = {i: set() for i in range(1, n_items + 1)}
    for sequence in sequences:
        for (p, a), (q, b) in combinations(enumerate(sequence), 2):
            if q - p <= 3:
                neighbours[a].add(b)
                neighbours[b].add(a)
    return {
        (i, j): len(neighbours[i] & neighbours[j]) / len(neighbours[i] | neighbours[j])
        for i in neighbours
        for j in neighbours
        if i != j and neighbours[i] & neighbours[j]
    }


def test_gnno_overlap_equals_sets():
    sequences = [s.tolist() for s in SEQUENCES[:12]]
    offsets = np.cumsum([0, *map(len, sequences)])
    expected = overlap_by_hand(sequences, N_ITEMS)
    for c_max in (1.0, 0.3):
        J = neighbourhood_overlap(
            np.concatenate(sequences), offsets, N_ITEMS, c_max, np.random.default_rng(0)
        ).tocoo()
        found = {(int(i), int(j)): v for i, j, v in zip(J.row, J.col, J.data, strict=True)}
        assert found.keys() == {pair for pair, v in expected.items() if v <= c_max + 1e-9}
        assert all(found[pair] == pytest.approx(expected[pair]) for pair in found)


def test_gnno_keeps_a_random_choice_of_overlaps_small_ones_too(monkeypatch):
    monkeypatch.setattr(gnno, "KEPT", 5)
    sequences = [s.tolist() for s in SEQUENCES]
    offsets = np.cumsum([0, *map(len, sequences)])
    everything = overlap_by_hand(sequences, N_ITEMS)
    kept = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        J = neighbourhood_overlap(np.concatenate(sequences), offsets, N_ITEMS, 1.0, rng)
        row = slice(J.indptr[7], J.indptr[8])
        assert (np.diff(J.data[row]) >= 0).all()
        kept += J.indices[row].tolist()
    neighbours = [j for i, j in everything if i == 7]
    counts = Counter(kept)
    assert len(kept) == 200
    assert chisquare([counts[j] for j in neighbours]).pvalue > 0.001


@pytest.mark.parametrize("epoch", [1, 3, 50])
def test_gnno_draws_hard_candidates_in_proportion_to_overlap_up_to_the_threshold(epoch):
    draws, user, position = 20_000, 2, 3
    batch = targets_of(SEQUENCES, N_ITEMS, [user] * draws, [position] * draws)
    batch.epoch = epoch
    sampler = sampler_for(
        batch, "gnno", SEQUENCES[:8], N=3, M=1, hard=1, start=0.2, pace=0.05, c_max=0.4
    )
    (view,) = views_of(batch, N_ITEMS)
    sampler._allow(epoch)
    ids = view.draw(1, lambda rows, K: sampler._propose(view, rows, K)).flatten()
    y = int(view.positives[0])
    met = set(SEQUENCES[user][: position + 1].tolist())
    threshold = min(0.2 + 0.05 * epoch, 0.4)
    J = overlap_by_hand([s.tolist() for s in SEQUENCES[:8]], N_ITEMS)
    weight = np.zeros(N_ITEMS + 1)
    for j in range(1, N_ITEMS + 1):
        if j not in met and J.get((y, j), 0) <= threshold + 1e-6:
            weight[j] = J.get((y, j), 0)
    counts = np.bincount(ids, minlength=N_ITEMS + 1)
    assert counts[weight == 0].sum() == 0
    assert (weight > 0).sum() >= 2
    expected = draws * weight[weight > 0] / weight.sum()
    assert chisquare(counts[weight > 0], expected).pvalue > 0.001


def test_gnno_takes_the_hardest_of_hard_and_uniform_candidates(monkeypatch):
    batch = targets_of(SEQUENCES, N_ITEMS, range(10), [2] * 10)
    sampler = sampler_for(batch, "gnno", SEQUENCES, N=8, M=1, hard=3)
    (view,) = views_of(batch, N_ITEMS)
    drawn = []
    draw = type(view).draw
    monkeypatch.setattr(type(view), "draw", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    (negatives,) = sampler.sample([view])
    for t in range(10):
        candidates = drawn[0][t].tolist() + view.pool(5)[t].tolist()
        scores = {c: (view.states[t] @ view.table[c]).item() for c in candidates}
        assert int(negatives.ids[t]) == max(scores, key=scores.get)


def test_gnno_without_neighbours_is_uniform():
    draws, alone = 4000, [[7, 9], [1, 2, 3]]
    batch = targets_of([[7, 9]], N_ITEMS, [0] * draws, [1] * draws)
    sampler = sampler_for(batch, "gnno", alone, N=4, M=4, hard=1)
    ids = sampler.sample(views_of(batch, N_ITEMS))[0].ids.flatten()
    counts = Counter(ids.tolist())
    legal = [i for i in range(1, N_ITEMS + 1) if i not in (7, 9)]
    assert set(counts) <= set(legal)
    assert chisquare([counts[i] for i in legal]).pvalue > 0.001

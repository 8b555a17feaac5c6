"""SRNS, whose memory and history are computed again here, item by item."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import random_sequences, sampler_for, targets_of, views_of

from samplers import View, srns
from samplers.srns import EPOCHS_KEPT, last_of_each, standard_deviation

N_ITEMS = 40
SEQUENCES = random_sequences(n_users=30, n_items=N_ITEMS, shortest=5, longest=15)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_srns_picks_by_likelihood_and_variance():
    rows, positions, alpha, warmup = [0, 1, 2, 3], [1, 2, 3, 2], 5.0, 4
    batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
    batch.epoch = 2
    sampler = sampler_for(batch, "srns", SEQUENCES, F=12, S1=5, alpha=alpha, warmup=warmup)
    rng = torch.Generator().manual_seed(5)
    sampler._history[:, :3] = torch.randn((len(SEQUENCES), 3, 12), generator=rng)
    sampler._positive_history[:, :3] = torch.randn((sum(map(len, SEQUENCES)), 3), generator=rng)
    sampler._memory[:] = torch.argsort(torch.rand((len(SEQUENCES), 12), generator=rng))[:, :5]
    (view,) = views_of(batch, N_ITEMS)
    (negatives,) = sampler.sample([view])
    state = {name: value.tolist() for name, value in sampler.state_dict().items()}
    E, starts = view.table.tolist(), np.cumsum([0, *map(len, SEQUENCES)])
    for t, row in enumerate(rows):
        met, best = set(SEQUENCES[row][: positions[t] + 1].tolist()), (-math.inf, None)
        for place in state["memory"][row]:
            item = state["candidates"][row][place]
            if item in met:
                continue
            slot = starts[row] + positions[t]
            past = [
                sigmoid(state["history"][row][e][place] - state["positive_history"][slot][e])
                for e in range(3)
            ]
            score, positive = (
                sum(a * b for a, b in zip(view.states[t].tolist(), E[i], strict=True))
                for i in (item, int(view.positives[t]))
            )
            likelihood = sigmoid(score - positive)
            best = max(best, (likelihood + alpha * 2 / warmup * np.std(past), item))
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
        assert kept == pytest.approx(scores, rel=1e-4)
        memory = state["memory"][row].tolist()
        assert len(set(memory)) == 4
        # At so low a temperature the best of the union stay; the old four are part of it.
        union = sorted((scores[p] for p in set(memory) | set(before[row].tolist())), reverse=True)
        assert sorted((scores[p] for p in memory), reverse=True)[0] == union[0]
        assert min(scores[p] for p in memory) >= min(union[:4]) - 1e-9
    starts = np.cumsum([0, *map(len, SEQUENCES)])
    for t, last in enumerate((0, 0, 2)):  # by the state of the sequence's last target
        score = float((view.states[last] @ view.table[view.positives[t]]).detach())
        slot = starts[rows[t]] + positions[t]
        assert float(state["positive_history"][slot, 7 % EPOCHS_KEPT]) == pytest.approx(score)
    assert (~state["positive_history"].isnan()).sum() == 3
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


def test_an_offset_that_all_of_a_user_s_scores_share_changes_nothing():
    """Under BPR such an offset is free: pick and history go by differences to the positive."""
    rows, positions = list(range(20)), [2] * 20
    picks = []
    for offset in (0.0, 6.0):
        batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
        sampler = sampler_for(batch, "srns", SEQUENCES, F=12, S1=5, alpha=5.0, warmup=1)
        rng = torch.Generator().manual_seed(1)
        for epoch in range(1, 8):
            batch.epoch = epoch
            states = torch.cat([torch.randn(20, 3, generator=rng), torch.ones(20, 1)], dim=1)
            table = torch.cat(
                [torch.randn(N_ITEMS + 1, 3, generator=rng), torch.full((N_ITEMS + 1, 1), offset)],
                dim=1,
            )
            view = View(states.requires_grad_(), table.requires_grad_(), batch)
            (given,) = sampler.sample([view])
            sampler.after_step([view])
        picks.append(given.ids.flatten().tolist())
    assert picks[0] == picks[1]


def test_scores_of_two_epochs_are_never_compared(monkeypatch):
    """All scores of an epoch share an offset, so that no difference to the positive's varies, also
    where a sequence has a target in each of two batches; there the other four epochs count."""
    pasts = []
    monkeypatch.setattr(
        srns, "standard_deviation", lambda past: pasts.append(past) or standard_deviation(past)
    )
    rows = list(range(20))
    batches = [targets_of(SEQUENCES, N_ITEMS, rows, [position] * 20) for position in (2, 3)]
    sampler = sampler_for(batches[0], "srns", SEQUENCES, F=12, S1=5)
    table = torch.cat([torch.rand(N_ITEMS + 1, 1), torch.ones(N_ITEMS + 1, 1)], dim=1)
    for epoch in range(1, 9):
        states = torch.tensor([1.0, float(epoch)]).expand(20, -1)
        for batch in batches:
            batch.epoch = epoch
            view = View(states, table, batch)
            sampler.sample([view])
            sampler.after_step([view])
    assert max(standard_deviation(past).abs().max() for past in pasts) < 1e-6
    known = [int((~past.isnan()).sum(dim=1).max()) for past in pasts]
    assert known == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 4, 5, 4, 5, 4]

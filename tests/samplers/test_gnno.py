"""GNNO: its graph, its law and its curriculum, computed again here from sets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import random_sequences, sampler_for, targets_of, views_of

from bench.datasets import resolve_dataset
from bench.datasets.splits import make_split
from samplers import Catalogue, gnno
from samplers.gnno import Overlap, draw_by_overlap, neighbours

N_ITEMS = 40
SEQUENCES = random_sequences(n_users=30, n_items=N_ITEMS, shortest=5, longest=15)


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
        if neighbours[i] & neighbours[j]
    }


def released_law(J, y, c):
    """The release's and the authors' lines: softmax over the row, masked; a dense row of J."""
    row = torch.as_tensor(J[y])
    return (row.softmax(0) * (row <= c)).numpy()


def dense(sequences, n_items):
    J = np.zeros((n_items + 1, n_items + 1))
    for (i, j), value in overlap_by_hand(sequences, n_items).items():
        J[i, j] = value
    return J


@pytest.mark.parametrize("pairs", [gnno.DENSE, 0])
def test_overlap_equals_sets(pairs, monkeypatch):
    monkeypatch.setattr(gnno, "DENSE", pairs)
    sequences = [s.tolist() for s in SEQUENCES[:12]]
    batch = targets_of(sequences, N_ITEMS, [0], [1])
    sampler = sampler_for(batch, "gnno", sequences)
    y = torch.arange(1, N_ITEMS + 1)
    found = sampler._overlap.jaccard(y, y.repeat(N_ITEMS, 1))
    expected = torch.as_tensor(dense(sequences, N_ITEMS)[1:, 1:], dtype=torch.float32)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("c", [0.0, 0.15, 0.7])
def test_draws_follow_the_law_of_authors_and_release(c):
    draws, user, position = 30_000, 2, 3
    batch = targets_of(SEQUENCES, N_ITEMS, [user] * draws, [position] * draws)
    sampler = sampler_for(batch, "gnno", SEQUENCES[:8])
    (view,) = views_of(batch, N_ITEMS)
    ids = draw_by_overlap(view, sampler._overlap, 1, c, batch.generator).flatten()
    y = int(view.positives[0])
    law = released_law(dense([s.tolist() for s in SEQUENCES[:8]], N_ITEMS), y, c)
    law[[0, *SEQUENCES[user][: position + 1]]] = 0  # of the legal items
    counts = np.bincount(ids, minlength=N_ITEMS + 1)
    assert counts[law == 0].sum() == 0
    assert chisquare(counts[law > 0], draws * law[law > 0] / law.sum()).pvalue > 0.001


@pytest.mark.parametrize("few", [2, 0])
def test_the_few_items_that_are_alike_little_enough_are_found(few):
    """Two of forty, or three: redraws miss them for some rows.  None: the draws are uniform."""
    J = dense([s.tolist() for s in SEQUENCES], N_ITEMS).astype(np.float32)
    user, position, draws = 2, 3, 4000
    batch = targets_of(SEQUENCES, N_ITEMS, [user] * draws, [position] * draws)
    sampler = sampler_for(batch, "gnno", SEQUENCES)
    (view,) = views_of(batch, N_ITEMS)
    y, met = int(view.positives[0]), SEQUENCES[user][: position + 1]
    legal = np.setdiff1d(np.arange(1, N_ITEMS + 1), met)
    of_legal = J[y, legal]
    assert of_legal.min() > 0
    c = float(np.sort(of_legal)[few - 1]) if few else 0.0
    ids = draw_by_overlap(view, sampler._overlap, 3, c, batch.generator).flatten()
    law = np.exp(of_legal.astype(float)) * (of_legal <= c) if few else np.ones(len(legal))
    counts = np.bincount(ids, minlength=N_ITEMS + 1)[legal]
    assert (counts > 0).sum() == (law > 0).sum()
    expected = 3 * draws * law / law.sum()
    assert chisquare(counts[law > 0], expected[law > 0]).pvalue > 0.001


def test_on_beauty_draws_follow_the_law_for_ten_targets(data_dir):
    """Chi-square over overlap: items of one overlap with the target are alike."""
    dataset = resolve_dataset("beauty", data_dir)
    train = make_split(dataset, "user", 0).train
    items, offsets = torch.as_tensor(train.items).long(), torch.as_tensor(train.offsets)
    catalogue = Catalogue(dataset.n_items, items, offsets, torch.Generator())
    overlap = Overlap.of(catalogue)
    graph = neighbours(items.numpy(), offsets.numpy(), dataset.n_items)
    degree, rng = np.diff(graph.indptr), np.random.default_rng(0)
    for user in rng.choice(np.flatnonzero(offsets.diff().numpy() > 4), 10, replace=False):
        draws, K, c = 500, 100, 0.05
        sequence = items[offsets[user] : offsets[user + 1]].tolist()
        batch = targets_of([sequence], dataset.n_items, [0] * draws, [3] * draws, seed=int(user))
        (view,) = views_of(batch, dataset.n_items, dim=1)
        drawn = draw_by_overlap(view, overlap, K, c, batch.generator).flatten().numpy()
        y = sequence[3]
        common = (graph[[y]] @ graph.T).toarray()[0].astype(float)
        J = common / (degree[y] + degree - common)
        law = np.exp(J) * (c >= J)
        law[[0, *sequence[:4]]] = 0
        # Of the few that overlap, in tenths of their own; and all that do not.
        bins = np.where(common > 0, 1 + np.minimum(9, (J / 0.005).astype(int)), 0)
        expected = np.bincount(bins, law, minlength=11)
        counts = np.bincount(bins[drawn], minlength=11)
        assert counts[expected == 0].sum() == 0
        some = expected * draws * K / law.sum() >= 5
        rest = [counts[~some].sum()], [expected[~some].sum()]
        counts, expected = np.append(counts[some], rest[0]), np.append(expected[some], rest[1])
        keep = expected > 0
        p = chisquare(counts[keep], counts.sum() * expected[keep] / expected.sum()).pvalue
        assert p > 0.0001


@pytest.mark.parametrize("epoch, c", [(5, None), (6, 0.0), (16, 0.1), (200, 0.7)])
def test_hard_negatives_begin_after_some_epochs_and_grow_harder(monkeypatch, epoch, c):
    batch = targets_of(SEQUENCES, N_ITEMS, range(10), [2] * 10)
    batch.epoch = epoch
    sampler = sampler_for(batch, "gnno", SEQUENCES)
    asked = []
    monkeypatch.setattr(
        "samplers.gnno.draw_by_overlap",
        lambda view, overlap, K, c, generator: asked.append(c) or view.pool(K),
    )
    (given,) = sampler.sample(views_of(batch, N_ITEMS))
    assert given.ids.shape == (10, 1 if c is None else 4)
    assert asked == ([] if c is None else [pytest.approx(c)])
    assert given.weights is None  # one mean loss


@pytest.mark.parametrize("epoch", [1, 3, 50])
def test_in_proportion_hard_candidates_are_drawn_by_overlap_up_to_the_threshold(epoch):
    draws, user, position = 20_000, 2, 3
    batch = targets_of(SEQUENCES, N_ITEMS, [user] * draws, [position] * draws)
    batch.epoch = epoch
    sampler = sampler_for(
        batch, "gnno-proportional", SEQUENCES[:8], N=3, M=1, hard=1, start=0.2, pace=0.05, c_max=0.4
    )
    (view,) = views_of(batch, N_ITEMS)
    threshold = min(0.2 + 0.05 * epoch, 0.4)
    ids = sampler._in_proportion(view, threshold).flatten()
    y = int(view.positives[0])
    weight = dense([s.tolist() for s in SEQUENCES[:8]], N_ITEMS)[y]
    weight[(weight > threshold + 1e-6)] = 0
    weight[[y, *SEQUENCES[user][: position + 1]]] = 0
    counts = np.bincount(ids, minlength=N_ITEMS + 1)
    assert counts[weight == 0].sum() == 0
    assert (weight > 0).sum() >= 2
    expected = draws * weight[weight > 0] / weight.sum()
    assert chisquare(counts[weight > 0], expected).pvalue > 0.001


def test_as_released_the_hardest_of_hard_and_uniform_candidates_is_taken(monkeypatch):
    batch = targets_of(SEQUENCES, N_ITEMS, range(10), [2] * 10)
    sampler = sampler_for(batch, "gnno-released", SEQUENCES, N=8, M=1, hard=3)
    (view,) = views_of(batch, N_ITEMS)
    drawn = []
    draw = type(view).draw
    monkeypatch.setattr(type(view), "draw", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    (negatives,) = sampler.sample([view])
    for t in range(10):
        candidates = drawn[0][t].tolist() + view.pool(5)[t].tolist()
        scores = {c: (view.states[t] @ view.table[c]).item() for c in candidates}
        assert int(negatives.ids[t]) == max(scores, key=scores.get)


@pytest.mark.parametrize("name", ["gnno-released", "gnno-proportional"])
def test_without_neighbours_it_is_uniform(name):
    draws, alone = 4000, [[7, 9], [1, 2, 3]]
    batch = targets_of([[7, 9]], N_ITEMS, [0] * draws, [1] * draws)
    sampler = sampler_for(batch, name, alone, N=4, M=4, hard=1)
    ids = sampler.sample(views_of(batch, N_ITEMS))[0].ids.flatten()
    counts = np.bincount(ids, minlength=N_ITEMS + 1)
    legal = [i for i in range(1, N_ITEMS + 1) if i not in (7, 9)]
    assert counts.sum() == counts[legal].sum()
    assert chisquare(counts[legal]).pvalue > 0.001


def test_on_beauty_the_law_is_nearly_uniform(data_dir):
    """What the docstring says: within .010 of it in total variation."""
    dataset = resolve_dataset("beauty", data_dir)
    train = make_split(dataset, "user", 0).train
    graph = neighbours(train.items.astype(np.int64), train.offsets, dataset.n_items)
    degree, rng = np.diff(graph.indptr), np.random.default_rng(0)
    apart = []
    for y in rng.choice(train.items, 50, replace=False):
        common = (graph[[y]] @ graph.T).toarray()[0].astype(float)
        J = (common / (degree[y] + degree - common))[1:]
        law = np.exp(J) * (J <= 0.4)
        apart.append(np.abs(law / law.sum() - 1 / len(law)).sum() / 2)
    assert max(apart) < 0.0105

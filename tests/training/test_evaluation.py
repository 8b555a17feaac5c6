"""Ranks and metrics against brute force and against torchmetrics."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from support import CPU, random_sequences
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR, RetrievalNormalizedDCG

from backbones.base import Backbone
from bench.datasets.splits import Examples
from bench.metrics import MISSED, accuracy, beyond_accuracy, by_bucket, expected_in_order, gains
from bench.training.evaluation import rank_predictions

N_ITEMS = 30


class LastItem(Backbone):
    """The state is a function of the last item alone; integer weights make ties common."""

    causal = True

    def __init__(self, n_items, dim=3, window=5, low=-2, high=3):
        super().__init__(n_items, dim, window)
        with torch.no_grad():
            self.items.weight.copy_(torch.randint(low, high, self.items.weight.shape).float())

    def forward(self, items, lengths):
        return self.items(items)


def examples_of(inputs, targets):
    return Examples(
        items=np.concatenate(inputs).astype(np.int32),
        offsets=np.cumsum([0, *map(len, inputs)]),
        targets=np.array(targets, dtype=np.int32),
        users=np.arange(len(inputs)),
    )


@pytest.fixture
def made():
    torch.manual_seed(0)
    sequences = random_sequences(n_users=700, n_items=N_ITEMS, longest=9)
    inputs, targets = [s[:-1] for s in sequences], [s[-1] for s in sequences]
    return LastItem(N_ITEMS), inputs, targets


def scores_by_hand(model, history):
    """Score of each legal item."""
    table = model.items.weight.tolist()
    state = table[history[-1]]
    return {
        item: sum(a * b for a, b in zip(state, table[item], strict=True))
        for item in range(1, N_ITEMS + 1)
        if item not in history
    }


@pytest.mark.parametrize("seen_as", [-math.inf, 0.0])
def test_ranks_equal_brute_force_with_ties_counting_half(made, seen_as):
    """With 0 as in the released baselines: what was had, and the padding row, compete."""
    model, inputs, targets = made
    expected = []
    for history, target in zip(inputs, targets, strict=True):
        scores = scores_by_hand(model, list(history))
        mine = scores.pop(target)
        others = [*scores.values(), *(seen_as for _ in [0, *history])]
        above = sum(s > mine for s in others)
        expected.append(1 + above + sum(s == mine for s in others) / 2)
    found = rank_predictions([model], examples_of(inputs, targets), CPU, seen_as=seen_as)
    assert found.ranks.tolist() == expected
    assert len(set(expected)) > 20
    assert any(r % 1 for r in expected)  # ties did occur


def test_in_expectation_ties_count_half_too(made):
    model, inputs, targets = made
    inputs, targets = inputs[:60], targets[:60]
    p = np.random.default_rng(0).dirichlet(np.ones(N_ITEMS), size=60)
    p = np.insert(p, 0, 0.0, axis=1)
    for row, history in zip(p, inputs, strict=True):
        row[history] = 0
    examples = replace(examples_of(inputs, targets), truth=lambda *_: p)
    found = rank_predictions([model], examples, CPU).expected["ndcg@10"]
    for t, history in enumerate(inputs):
        scores = scores_by_hand(model, history)
        expected = 0.0
        for item, score in scores.items():
            above = sum(other > score for other in scores.values())
            rank = above + (1 + sum(other == score for other in scores.values())) / 2
            expected += p[t, item] / math.log2(rank + 1) if rank <= 10 else 0.0
        assert found[t] == pytest.approx(expected)


def test_expected_metrics_are_those_of_mean_ranks():
    """Each item weighs what a target of its mean rank would, by scipy's; some rows have ties, and
    in all some items are not recommended, which are misses should they come."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 12, (80, 40)).astype(float)
    scores[::3] = rng.random((27, 40))
    scores[:, :5] = -np.inf
    scores[7] = 1.0
    probabilities = rng.dirichlet(np.ones(40), 80)
    order = np.argsort(-scores, axis=1)
    in_order = (np.take_along_axis(each, order, axis=1) for each in (scores, probabilities))
    worth = gains(rankdata(-scores, axis=1))
    for name, found in expected_in_order(*in_order).items():
        hits = probabilities * worth[name] * (scores > -np.inf)
        np.testing.assert_allclose(found, hits.sum(1), rtol=1e-12)


def test_expected_metrics_hang_neither_on_the_rows_beside_nor_on_the_place_in_memory():
    """To the last digit: cells are tested in one process or in several, in any pieces."""
    rng = np.random.default_rng(0)
    scores = -np.sort(-rng.integers(0, 2000, (300, 361)), axis=1) / 7
    probabilities = rng.dirichlet(np.ones(361), 300)
    whole = expected_in_order(scores, probabilities)
    for first, rows in [(0, 1), (1, 8), (13, 250), (299, 1)]:
        chosen = slice(first, first + rows)
        shifted = np.empty(rows * 361 + 1)[1:].reshape(rows, 361)
        shifted[:] = probabilities[chosen]
        for name, found in expected_in_order(scores[chosen], shifted).items():
            np.testing.assert_array_equal(found, whole[name][chosen], name)


def test_without_a_mask_all_items_compete_and_no_target_is_missed(made):
    model, inputs, _ = made
    targets = [history[0] for history in inputs]
    found = rank_predictions(
        [model], replace(examples_of(inputs, targets), masked=False), CPU, top=3
    )
    table = model.items.weight.detach().double()
    for history, target, rank, top in zip(inputs, targets, found.ranks, found.top, strict=True):
        shown = torch.tensor([list(history)[-model.window :]])
        with torch.no_grad():
            state = model.last(shown, torch.tensor([shown.shape[1]]))[0].double()
        scores = (table @ state).numpy()[1:]
        mine = scores[target - 1]
        assert abs((1 + (scores > mine + 1e-6).sum()) - rank) <= (abs(scores - mine) < 1e-6).sum()
        assert scores[top - 1].min() >= np.sort(scores)[-3] - 1e-6


def test_smaller_pieces_rank_the_same(made):
    model, inputs, targets = made
    examples = examples_of(inputs, targets)
    whole = rank_predictions([model], examples, CPU, top=5)
    cut = rank_predictions([model], examples, CPU, top=5, cut=8)
    assert (whole.ranks == cut.ranks).all() and (whole.top == cut.top).all()


def test_lists_hold_the_best_unseen_items(made):
    model, inputs, targets = made
    lists = rank_predictions([model], examples_of(inputs, targets), CPU, top=5).top
    for history, recommended in zip(inputs, lists.tolist(), strict=True):
        scores = scores_by_hand(model, list(history))
        best = sorted(scores.values(), reverse=True)[:5]
        assert [scores[item] for item in recommended] == best


def test_a_constant_scorer_ranks_in_the_middle_and_what_was_had_is_missed():
    model = LastItem(10, low=1, high=2)
    examples = examples_of([[1, 2, 3], [1, 2, 3]], [4, 2])
    # Seven items are left, all alike: the middle is 4.
    ranks = rank_predictions([model], examples, CPU).ranks
    assert ranks.tolist() == [4.0, MISSED]
    assert set(accuracy(ranks[1:]).values()) == {0.0}


def test_items_outside_the_window_are_masked_all_the_same():
    model = LastItem(10, window=2, low=1, high=2)
    ranks = rank_predictions([model], examples_of([[1, 2, 3, 4, 5]], [6]), CPU).ranks
    assert ranks.tolist() == [3.0]


def test_the_model_returns_to_the_mode_it_was_in(made):
    model, inputs, targets = made
    for training in (True, False):
        model.train(training)
        rank_predictions([model], examples_of(inputs[:3], targets[:3]), CPU)
        assert model.training is training


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_a_diverged_model_is_an_error(value):
    """Also where states and items are finite, as 1e30 is, and their products are not."""
    model = LastItem(10)
    with torch.no_grad():
        model.items.weight[3] = value
        model.items.weight[2] = -min(value, 1e30)
    with pytest.raises(FloatingPointError, match="diverged"):
        rank_predictions([model], examples_of([[1, 2]], [4]), CPU)


def test_metrics_equal_the_definitions():
    ranks = np.array([1.0, 2.0, 5.0, 5.5, 10.0, 20.5, 300.0])
    metrics = accuracy(ranks)
    for K in (5, 10, 20):
        assert metrics[f"recall@{K}"] == pytest.approx(np.mean([r <= K for r in ranks]))
        gains = [1 / math.log2(r + 1) if r <= K else 0 for r in ranks]
        assert metrics[f"ndcg@{K}"] == pytest.approx(sum(gains) / len(gains))
    assert metrics["mrr"] == pytest.approx(sum(1 / r for r in ranks) / len(ranks))


def test_torchmetrics_agrees_where_there_are_no_ties():
    rng = np.random.default_rng(0)
    users, items = 60, 40
    # From 1: torchmetrics' MRR does not count a relevant item whose score is 0.
    ladder = np.tile(np.arange(1, items + 1), (users, 1))
    scores = torch.tensor(rng.permuted(ladder, axis=1)).float()
    target = torch.tensor(rng.integers(0, items, users))
    ranks = 1 + (scores > scores.gather(1, target[:, None])).sum(1).double().numpy()
    relevant = torch.nn.functional.one_hot(target, items).bool().flatten()
    indexes = torch.arange(users).repeat_interleave(items)
    ours = accuracy(ranks)
    for K in (5, 10, 20):
        ndcg = RetrievalNormalizedDCG(top_k=K)(scores.flatten(), relevant, indexes=indexes)
        recall = RetrievalHitRate(top_k=K)(scores.flatten(), relevant, indexes=indexes)
        assert ours[f"ndcg@{K}"] == pytest.approx(float(ndcg), abs=1e-6)
        assert ours[f"recall@{K}"] == pytest.approx(float(recall), abs=1e-6)
    mrr = RetrievalMRR()(scores.flatten(), relevant, indexes=indexes)
    assert ours["mrr"] == pytest.approx(float(mrr), abs=1e-6)


def test_coverage_and_popularity_of_what_is_recommended():
    counts = np.array([0, 10, 4, 0, 6])
    metrics = beyond_accuracy(np.array([[1, 2], [1, 4]]), counts)
    assert metrics == {"coverage@10": 3 / 4, "popularity@10": (10 + 4 + 10 + 6) / 4}
    fewer = beyond_accuracy(np.array([[1, 0], [1, 4]]), counts)  # 0 is no item
    assert fewer == {"coverage@10": 2 / 4, "popularity@10": 26 / 3}
    assert beyond_accuracy(np.zeros((2, 2), dtype=int), counts) == {}


def test_nobody_is_recommended_what_was_had_or_the_padding():
    """Though fewer items than ten are left."""
    model = LastItem(12)
    inputs = [[1, 2, 3, 4], [5, 6, 7, 8]]
    top = rank_predictions([model], examples_of(inputs, [9, 9]), CPU, top=10).top
    for had, recommended in zip(inputs, top.tolist(), strict=True):
        assert recommended[8:] == [0, 0]
        assert sorted(recommended[:8]) == sorted(set(range(1, 13)) - set(had))


def test_buckets_by_popularity_hold_a_third_of_the_interactions_each():
    counts = np.array([0, 2, 6, 3, 1, 3, 3])  # 18 in all; by popularity: 2 | 3, 5 | 6, 1, 4
    ranks, targets = np.array([1.0, 3.0, 100.0]), np.array([2, 3, 4])
    buckets = by_bucket(ranks, targets, np.array([1, 5, 51]), counts)
    assert buckets["popularity:head"] == {"users": 1, "ndcg@10": 1.0}
    assert buckets["popularity:torso"] == {"users": 1, "ndcg@10": 0.5}
    assert buckets["popularity:tail"] == {"users": 1, "ndcg@10": 0.0}
    assert buckets["length:1-5"]["users"] == 2
    assert buckets["length:>50"]["users"] == 1
    assert "length:6-10" not in buckets


def test_an_ensemble_ranks_by_the_sum_of_scores(made):
    model, inputs, targets = made
    models = [model, LastItem(N_ITEMS, dim=4)]
    ranks = rank_predictions(models, examples_of(inputs, targets), CPU).ranks
    for rank, history, target in zip(ranks, inputs, targets, strict=True):
        one, two = (scores_by_hand(m, history) for m in models)
        total = {item: one[item] + two[item] for item in one}
        above = sum(score > total[target] for score in total.values())
        tied = sum(score == total[target] for score in total.values()) - 1
        assert rank == 1 + above + tied / 2


def test_where_the_truth_is_known_accuracy_is_its_expectation(made):
    """Against drawing what comes next a thousand times, and ranking each draw."""
    model, inputs, _ = made
    inputs = inputs[:40]
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.full(N_ITEMS, 0.3), len(inputs))
    with torch.no_grad():  # no ties: what is tied is ranked by id, and each draw at the middle
        model.items.weight += 0.01 * torch.rand(model.items.weight.shape)

    def truth(users, items, offsets):
        p = np.concatenate([np.zeros((len(users), 1)), chances[users]], axis=1)
        p[np.repeat(np.arange(len(users)), np.diff(offsets)), items] = 0
        return p / p.sum(1, keepdims=True)

    blind = examples_of(inputs, [1] * len(inputs))
    known = Examples(blind.items, blind.offsets, blind.targets, blind.users, truth)
    found = rank_predictions([model], known, CPU)
    draws = []
    for _ in range(1000):
        targets = [rng.choice(N_ITEMS + 1, p=p) for p in known.probabilities]
        draws.append(rank_predictions([model], examples_of(inputs, targets), CPU).accuracy)
    for name, expected in found.accuracy.items():
        values = [draw[name] for draw in draws]
        assert expected == pytest.approx(np.mean(values), abs=4 * np.std(values) / 1000**0.5)
    assert found.expected["ndcg@10"].shape == (len(inputs),)
    # The probabilities of the examples are as they were.
    np.testing.assert_array_equal(
        known.probabilities, truth(known.users, known.items, known.offsets)
    )

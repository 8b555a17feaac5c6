"""References against the same counts written out in loops, and on real data."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from support import dataset_of

from bench import references
from bench.datasets import resolve_dataset
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.metrics import HEADLINE, MISSED
from bench.references import co_occurrence
from bench.references.ranking import measure, ranks
from bench.training.references import measured

N_ITEMS = 30
RNG = np.random.default_rng(0)
# With repeats, as in Last.fm; items 26 to 30 are in no training sequence.
SEQUENCES = [RNG.integers(1, 26, n).tolist() for n in RNG.integers(2, 16, 60)]
DATASET = dataset_of(SEQUENCES, n_items=N_ITEMS)
SPLIT = make_split(DATASET, "user", 0)
DATA = TrainingData.of(DATASET, SPLIT)
TRAIN = [part.tolist() for part in np.split(SPLIT.train.items, SPLIT.train.offsets[1:-1])]
INPUTS = [[3, 7, 3, 12], [27], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [28, 5]]


def scores_of(name, **hyper):
    """Of INPUTS, ``[P, n_items + 1]``."""
    made = references.registry.build(name, references.registry.resolve(name, hyper))
    made.fit(DATA)
    items = np.concatenate(INPUTS).astype(np.int32)
    offsets = np.cumsum([0, *map(len, INPUTS)])
    return made.scores(items, offsets, np.arange(len(INPUTS)))


def popularity(item):
    flat = [i for sequence in TRAIN for i in sequence]
    return flat.count(item) / len(flat)


@pytest.mark.parametrize("smoothing", [1.0, 300.0])
def test_markov_chain_equals_counts_of_what_came_next(smoothing):
    after = Counter((a, b) for s in TRAIN for a, b in itertools.pairwise(s))
    found = scores_of("markov", smoothing=smoothing)
    for row, given in zip(found, INPUTS, strict=True):
        for item in range(1, N_ITEMS + 1):
            count = after[given[-1], item]
            assert row[item] == pytest.approx(count + smoothing * popularity(item))


@pytest.mark.parametrize(
    ("recency", "backward", "discount"), [(1.5, 0.25, 0.0), (1.0, 0.0, 0.2), (0.0, 1.0, 0.5)]
)
def test_co_occurrence_equals_a_sum_over_all_pairs(recency, backward, discount):
    met = defaultdict(float)
    for s in TRAIN:
        for p, first in enumerate(s):
            for q in range(p + 1, min(len(s), p + 11)):
                met[first, s[q]] += (q - p) ** -0.5
                met[s[q], first] += backward * (q - p) ** -0.5
    found = scores_of("co-occurrence", recency=recency, backward=backward, discount=discount)
    total = sum(map(len, TRAIN))
    for row, given in zip(found, INPUTS, strict=True):
        for item in range(1, N_ITEMS + 1):
            pairs = [(1 + age) ** -recency * met[i, item] for age, i in enumerate(reversed(given))]
            held_back = max(1, popularity(item) * total) ** -discount
            expected = held_back * sum(pairs) + co_occurrence.BACK_OFF * popularity(item)
            assert row[item] == pytest.approx(expected)


@pytest.mark.parametrize(("k", "shrinkage"), [(3, 0.0), (8, 2.0), (1000, 0.0)])
@pytest.mark.parametrize("at_once", [7, 512])
def test_item_knn_equals_cosines_of_sets(k, shrinkage, at_once, monkeypatch):
    monkeypatch.setattr("bench.references.item_knn.ROWS_AT_ONCE", at_once)
    users = {i: {u for u, s in enumerate(TRAIN) if i in s} for i in range(1, N_ITEMS + 1)}

    def similarity(i, j):
        both = len(users[i] & users[j])
        return both / (math.sqrt(len(users[i]) * len(users[j])) + shrinkage) if both else 0.0

    def neighbours(i):
        others = [(similarity(i, j), j) for j in users if j != i]
        return {j: s for s, j in sorted(others, key=lambda each: (-each[0], each[1]))[:k]}

    found = scores_of("item-knn", k=k, shrinkage=shrinkage)
    for row, given in zip(found, INPUTS, strict=True):
        near = [neighbours(i) for i in set(given)]
        for item in range(1, N_ITEMS + 1):
            assert row[item] == pytest.approx(sum(each.get(item, 0.0) for each in near))


@pytest.mark.parametrize("at_once", [1, 1000])
def test_popularity_ranking_equals_a_count_by_hand(at_once, monkeypatch):
    monkeypatch.setattr("bench.references.ranking.FEWEST_AT_ONCE", at_once)
    monkeypatch.setattr("bench.references.ranking.SCORES_AT_ONCE", 0)
    dataset = dataset_of([[1, 2, 3], [1, 2, 4], [1, 5, 2, 6], [2, 1, 7], [3, 2, 1], [4, 5, 4]])
    split = make_split(dataset, "leave-one-out", 0)
    made = references.registry.build("popularity", {})
    made.fit(TrainingData.of(dataset, split))
    counts = np.bincount(split.train.items, minlength=8)
    expected = []
    for target, start, end in zip(
        split.test.targets, split.test.offsets, split.test.offsets[1:], strict=False
    ):
        seen = set(split.test.items[start:end].tolist())
        others = [counts[i] for i in range(1, 8) if i not in seen and i != target]
        rank = 1 + sum((n > counts[target]) + 0.5 * (n == counts[target]) for n in others)
        expected.append(MISSED if target in seen else rank)
    assert MISSED in expected
    assert ranks(made, split.test, 7).tolist() == expected


def test_no_ranking_beats_the_oracle_in_expectation():
    """Targets drawn anew from the truth: the oracle's own mean is what was promised."""
    twin = resolve_dataset("beauty-twin", None)
    split = make_split(twin, "user", 0)
    promised = measured("oracle", TrainingData.of(twin, split), split.valid, split.test)
    rng = np.random.default_rng(0)
    gains = []
    for p in twin.truth(split.test.users, split.test.items, split.test.offsets):
        order = np.argsort(-p, kind="stable")
        rank = np.empty(len(p))
        rank[order] = 1 + np.arange(len(p))
        drawn = rng.choice(len(p), size=200, p=p)
        gains.append(np.where(rank[drawn] <= 10, 1 / np.log2(rank[drawn] + 1), 0).mean())
    assert np.mean(gains) == pytest.approx(promised.test[HEADLINE], rel=0.03)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(N_ITEMS + 1), r"'popularity': scores\(\) gave \[31\]; it must give an array \[P"),
        ([0.0], r"scores\(\) gave list"),
        (np.full((len(SPLIT.test.users), N_ITEMS + 1), np.nan), "not a finite number"),
    ],
)
def test_what_are_no_scores_is_one_error(monkeypatch, scores, message):
    made = references.registry.build("popularity", {})
    monkeypatch.setattr(made, "scores", lambda *_: scores, raising=False)
    with pytest.raises(UserError, match=message):
        measure(made, SPLIT.test, N_ITEMS)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("markov", "smoothing", 0.0),
        ("co-occurrence", "recency", -1.0),
        ("co-occurrence", "backward", 1.5),
        ("co-occurrence", "discount", -0.1),
        ("item-knn", "k", 0),
        ("item-knn", "shrinkage", -1.0),
    ],
)
def test_impossible_values_are_refused(name, option, value):
    hyper = references.registry.resolve(name, {option: value})
    with pytest.raises(UserError, match=f"{option}="):
        references.registry.build(name, hyper)


@pytest.mark.parametrize(("dataset", "least"), [("beauty", 0.049), ("toys", 0.060)])
def test_co_occurrence_is_worth_measuring_against(data_dir, dataset, least):
    real = resolve_dataset(dataset, data_dir)
    split = make_split(real, "user", 0)
    data = TrainingData.of(real, split)
    found = {n: measured(n, data, split.valid, split.test) for n in ("co-occurrence", "markov")}
    assert found["co-occurrence"].test[HEADLINE] >= least
    assert found["co-occurrence"].test[HEADLINE] > found["markov"].test[HEADLINE] > 0.04

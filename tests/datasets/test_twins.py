"""Synthetic twins: repeatable, labelled, drawn from the distribution they state, and shaped so."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import chisquare

from bench.cell import REAL, TWINS
from bench.datasets import resolve_dataset
from bench.datasets.base import registry
from bench.datasets.splits import SEEDED_SPLITS, make_split
from bench.datasets.training_data import TrainingData
from bench.datasets.twins import MEMORY, N_SUCCESSORS, ONLY_TESTED, SUCCESSION
from bench.metrics import HEADLINE
from bench.training.references import measured


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_is_small_and_labelled(name):
    started = time.process_time()
    twin = resolve_dataset(name, None)
    assert time.process_time() - started < 2
    assert twin.synthetic
    assert twin.name == name
    assert "synthetic" in twin.notes[0]
    split = make_split(twin, "user", 0)
    assert 5_000 <= len(split.train.items) <= 8_000
    assert 13 <= len(split.train.items) / twin.n_items <= 20
    assert twin.lengths.min() >= 5
    counts = np.sort(np.bincount(split.train.items, minlength=twin.n_items + 1)[1:])[::-1]
    assert counts[: twin.n_items // 5].sum() > 0.25 * counts.sum()
    for user in range(twin.n_users):  # no repeats, as in the real sets
        sequence = twin.items[twin.offsets[user] : twin.offsets[user + 1]]
        assert len(set(sequence)) == len(sequence)
        assert 1 <= sequence.min() <= sequence.max() <= twin.n_items


def test_there_is_a_twin_for_each_real_set_and_two_loads_are_one():
    assert {name.removesuffix("-twin") for name in TWINS} == set(REAL)
    prints = {resolve_dataset(name, None).fingerprint for name in TWINS}
    assert prints == {registry.get(name)()._generate().fingerprint for name in TWINS}
    assert len(prints) == 6
    assert resolve_dataset(TWINS[0], None).items is resolve_dataset(TWINS[0], None).items


def test_fingerprints_are_the_same_on_every_machine():
    # A change here makes all stored results on twins another dataset's.
    found = {name: resolve_dataset(f"{name}-twin", None).fingerprint[:8] for name in REAL}
    assert found == FINGERPRINTS


FINGERPRINTS = {
    "beauty": "3f9fc014",
    "toys": "8dc2945e",
    "sports": "60de169d",
    "health": "752e3997",
    "lastfm": "096e4059",
    "kuairand": "cea0085d",
}


def test_next_items_follow_the_stated_distribution():
    twin = registry.get("sports-twin")()
    data = twin.load(None)
    quantiles = []
    for user in range(0, data.n_users, 2):
        sequence = data.items[data.offsets[user] : data.offsets[user + 1]]
        n = len(sequence)
        had = np.concatenate([sequence[:position] for position in range(n)])
        p = twin.next_item_probabilities(
            np.full(n, user), had, np.arange(n + 1).cumsum() - np.arange(n + 1)
        )
        np.testing.assert_allclose(p.sum(1), 1)
        assert (p[:, 0] == 0).all()
        for position, row in enumerate(p):
            assert (row[sequence[:position]] == 0).all()
            # Randomised probability integral transform: uniform if the draw came from p.
            below = row[: sequence[position]].sum()
            quantiles.append(below + row[sequence[position]] * ((user * 37 + position) % 101) / 101)
    assert chisquare(np.histogram(quantiles, bins=20, range=(0, 1))[0]).pvalue > 0.001


def test_the_distribution_equals_the_stated_model_item_by_item():
    """By loops, from the twin's tables: memory, taste, renormalised over what is left."""
    twin = registry.get("beauty-twin")()
    shape, rng = twin.shape, np.random.default_rng(0)
    for history in ([], [7], [3, 9], rng.permutation(shape.n_items)[:30] + 1):
        user = int(rng.integers(shape.n_users))
        known = MEMORY[: len(history)]
        expected = np.zeros(shape.n_items + 1)
        for item in set(range(1, shape.n_items + 1)) - set(map(int, history)):
            taste = twin._tastes[user, twin._interest[item]] * twin._popularity[item]
            follow = sum(
                weight * SUCCESSION[twin._successors[history[-1 - age]] == item].sum()
                for age, weight in enumerate(known)
            )
            expected[item] = taste
            if len(history):
                share = shape.follow
                expected[item] = share * follow / sum(known) + (1 - share) * taste
        found = twin.next_item_probabilities(
            np.array([user]), np.array(history, dtype=np.int32), np.array([0, len(history)])
        )
        np.testing.assert_allclose(found[0], expected / expected.sum(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("n_users", [0, 1, 2, 63, 64, 65, 127, 128, 200])
def test_a_user_s_distribution_does_not_hang_on_how_many_are_asked_for(n_users):
    twin = registry.get("beauty-twin")()
    data = twin.load(None)
    users = np.arange(n_users)
    whole = data.items[: data.offsets[n_users]], data.offsets[: n_users + 1]
    found = twin.next_item_probabilities(users, *whole)
    assert found.shape == (n_users, data.n_items + 1)
    for user, row in enumerate(found):
        had = data.items[data.offsets[user] : data.offsets[user + 1]]
        alone = twin.next_item_probabilities(users[[user]], had, np.array([0, len(had)]))
        np.testing.assert_allclose(row, alone[0], rtol=1e-12)


def test_tastes_and_successors_are_distributions():
    twin = registry.get("health-twin")()
    np.testing.assert_allclose(twin._tastes.sum(1), 1)
    np.testing.assert_allclose(SUCCESSION.sum(), 1)
    for item, after in enumerate(twin._successors[1:], start=1):
        assert len({*after, item, 0}) == N_SUCCESSORS + 2
    of_interests = np.bincount(twin._interest, twin._popularity)
    np.testing.assert_allclose(of_interests, 1)


@pytest.mark.parametrize("split", [*SEEDED_SPLITS, "leave-one-out"])
def test_users_that_are_only_tested_on_are_in_no_other_part(split):
    twin = resolve_dataset("kuairand-twin", None)
    made, first = make_split(twin, split, 0), twin.n_users - ONLY_TESTED
    assert made.train.users.max() < first
    assert made.valid.users.max() < first
    assert set(range(first, twin.n_users)) <= set(made.test.users.tolist())
    exposures = TrainingData.of(twin, made).exposures
    assert np.diff(exposures.offsets)[first:].sum() == 0


@pytest.mark.parametrize("name", REAL)
def test_counting_predicts_in_about_the_proportions_of_the_original(name):
    """NDCG@10 of what counts, by that of co-occurrence: measured on the real set without training
    (results/*/references.json), and what the twin's constants were chosen by."""
    twin = resolve_dataset(f"{name}-twin", None)
    split = make_split(twin, "user", 0)
    data = TrainingData.of(twin, split)
    reached = {
        reference: measured(reference, data, split.valid, split.test).test[HEADLINE]
        for reference in ("popularity", "markov", "item-knn", "co-occurrence", "oracle")
    }
    best = reached["co-occurrence"]
    for reference, share in zip(
        ("popularity", "markov", "item-knn"), PROPORTIONS[name], strict=True
    ):
        assert reached[reference] / best == pytest.approx(share, rel=0.4, abs=0.11)
    assert 0.15 < reached["oracle"] < 0.25


PROPORTIONS = {
    "beauty": (0.13, 0.79, 0.62),
    "toys": (0.06, 0.77, 0.59),
    "sports": (0.13, 0.70, 0.78),
    "health": (0.26, 0.69, 0.79),
    "lastfm": (0.15, 0.83, 0.34),
    "kuairand": (0.61, 0.78, 1.07),
}

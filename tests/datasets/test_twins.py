"""Synthetic twins: repeatable, labelled, and drawn from the distribution they state."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from bench.cell import REAL, TWINS
from bench.datasets import resolve_dataset
from bench.datasets.base import registry


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_is_small_labelled_and_long_tailed(name):
    twin = resolve_dataset(name, None)
    assert twin.synthetic
    assert twin.name == name
    assert "synthetic" in twin.notes[0]
    assert 6_500 <= twin.n_interactions <= 9_000
    assert twin.lengths.min() >= 5
    counts = np.sort(np.bincount(twin.items, minlength=twin.n_items + 1)[1:])[::-1]
    assert counts[: twin.n_items // 5].sum() > 0.3 * counts.sum()
    for user in range(twin.n_users):  # no repeats, as in the real sets
        sequence = twin.items[twin.offsets[user] : twin.offsets[user + 1]]
        assert len(set(sequence)) == len(sequence)
        assert 1 <= sequence.min() <= sequence.max() <= twin.n_items


def test_there_is_a_twin_for_each_real_set_and_two_loads_are_one():
    assert {name.removesuffix("-twin") for name in TWINS} == set(REAL)
    prints = {resolve_dataset(name, None).fingerprint for name in TWINS}
    assert prints == {resolve_dataset(name, None).fingerprint for name in TWINS}
    assert len(prints) == 6


def test_fingerprints_are_the_same_on_every_machine():
    # Of the first release: a change here makes all stored results on twins another dataset's.
    assert resolve_dataset("beauty-twin", None).fingerprint.startswith(BEAUTY_TWIN)


BEAUTY_TWIN = "021501db"


def test_next_items_follow_the_stated_distribution():
    twin = registry.get("sports-twin")()
    data = twin.load(None)
    quantiles = []
    for user in range(data.n_users):
        sequence = data.items[data.offsets[user] : data.offsets[user + 1]]
        for position in range(len(sequence)):
            p = twin.next_item_probabilities(user, sequence[:position])
            assert p.sum() == pytest.approx(1)
            assert p[0] == 0
            assert (p[sequence[:position]] == 0).all()
            # Randomised probability integral transform: uniform if the draw came from p.
            below = p[: sequence[position]].sum()
            quantiles.append(below + p[sequence[position]] * ((user * 37 + position) % 101) / 101)
    assert chisquare(np.histogram(quantiles, bins=20, range=(0, 1))[0]).pvalue > 0.001

"""Samplers over users: checked against scipy, statsmodels and scikit-posthocs, by simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests
from support.ranks import simulated

from bench.analysis import over_users
from bench.reports.statements import statement

pytestmark = pytest.mark.filterwarnings("error")


def seeds(gains, count=3):
    """``[seeds x samplers]``, all seeds alike."""
    return pd.DataFrame([gains.mean()] * count)


@pytest.fixture
def generator():
    return np.random.default_rng(7)


def test_holm_is_that_of_statsmodels(generator):
    for size in (1, 2, 5, 30):
        p = pd.Series(np.round(generator.beta(0.3, 3, size), 2))  # rounded: with ties
        assert np.allclose(over_users.holm(p), multipletests(p, method="holm")[1])


def test_p_values_are_those_of_scipy_and_posthocs(generator):
    gains = simulated(generator, 120, {"uniform": 1.0, "dns": 0.7, "mdcns": 0.5, "mixgcf": 0.9})
    found = over_users.p_values(gains)
    assert len(found) == 6
    for (first, second), row in found.iterrows():
        assert row["t"] == pytest.approx(reference.ttest_rel(gains[first], gains[second]).pvalue)
        assert row["wilcoxon"] == pytest.approx(
            reference.wilcoxon(gains[first], gains[second]).pvalue
        )
    corrected = found.apply(over_users.holm)
    melted = gains.melt(var_name="sampler", value_name="gain")
    expected = scikit_posthocs.posthoc_wilcoxon(
        melted, val_col="gain", group_col="sampler", p_adjust="holm"
    )
    for (first, second), p in corrected["wilcoxon"].items():
        assert p == pytest.approx(expected.loc[first, second])


def test_a_pair_says_what_scipy_and_a_hand_would(generator):
    gains = simulated(generator, 400, {"uniform": 1.0, "dns": 0.6})
    by_seed = pd.DataFrame({"uniform": [0.1, 0.2, np.nan], "dns": [0.3, 0.1, 0.4]})
    baseline, best = over_users.compare(gains, by_seed)
    assert (baseline.family, best.family) == ("baseline", "best")
    assert (baseline.first, baseline.second) == (best.first, best.second) == ("dns", "uniform")
    difference = gains["dns"] - gains["uniform"]
    assert baseline.difference == pytest.approx(difference.mean())
    assert baseline.relative == pytest.approx(
        100 * (gains["dns"].mean() / gains["uniform"].mean() - 1)
    )
    assert baseline.d_z == pytest.approx(difference.mean() / difference.std())
    assert baseline.significant
    assert baseline.low < baseline.difference < baseline.high
    standard_error = difference.sem()
    assert baseline.high - baseline.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)
    assert (baseline.seeds_first, baseline.seeds_second, baseline.seeds_common) == (3, 2, 2)
    assert baseline.seeds_agreeing == 1
    assert baseline.seeds_std == pytest.approx(np.std([0.2, -0.1], ddof=1))
    assert over_users.rank_biserial(np.array([3.0, 2.0, 0.0, -1.0])) == pytest.approx((5 - 1) / 6)


def test_the_best_is_corrected_for_all_pairs_and_the_baselines_for_theirs(generator):
    gains = simulated(generator, 200, {"uniform": 1.0, "a": 0.8, "b": 0.6, "c": 0.5})
    pairs = over_users.compare(gains, seeds(gains))
    families = ("baseline", "best", "other")
    of = {family: [p for p in pairs if p.family == family] for family in families}
    planned = multipletests([p.p_t for p in of["baseline"]], method="holm")[1]
    assert [p.holm_t for p in of["baseline"]] == pytest.approx(list(planned))
    assert {p.first for p in of["best"]} == {"c"}
    every = over_users.p_values(gains)["t"]
    corrected = dict(zip(every.index, multipletests(every, method="holm")[1], strict=True))
    for pair in of["best"] + of["other"]:
        key = (pair.second, pair.first)  # the best is the last column, the second the last but one
        assert pair.holm_t == pytest.approx(corrected[key])
    assert [(pair.first, pair.second) for pair in of["other"]] == [("b", "a")]
    worse = {pair.second for pair in of["best"] if pair.significant}
    assert over_users.differ_from_best(gains) == worse


def test_what_is_the_same_for_every_user_does_not_differ():
    gains = pd.DataFrame({"uniform": [0.0, 0.5, 1.0], "dns": [0.0, 0.5, 1.0]})
    for pair in over_users.compare(gains, seeds(gains)):
        assert (pair.p_t, pair.p_wilcoxon, pair.holm_t) == (1.0, 1.0, 1.0)
        assert (pair.d_z, pair.rank_biserial, pair.low, pair.high) == (0, 0, 0, 0)
    nothing = gains * 0
    (pair, _) = over_users.compare(nothing, seeds(nothing))
    assert math.isnan(pair.relative)
    assert "0.0000 NDCG@10 (95 % interval 0.0000 to 0.0000)" in statement(pair, "d", "b")


def test_rounding_in_the_last_bit_is_no_difference():
    gains = pd.DataFrame({"uniform": [0.1 + 0.2 + 0.3] * 9, "dns": [0.3 + 0.2 + 0.1] * 9})
    assert (gains["uniform"] != gains["dns"]).all()
    assert (over_users.p_values(gains).to_numpy() == 1).all()


@pytest.mark.parametrize("users", [1, 2])
def test_a_handful_of_users_breaks_nothing(users):
    gains = pd.DataFrame({"uniform": [0.0] * users, "dns": [0.5] * users})
    (pair, _) = over_users.compare(gains, seeds(gains))
    assert pair.difference == 0.5
    assert pair.holm_wilcoxon == 1 if users == 1 else pair.holm_wilcoxon >= 0.5
    assert "the test users are few" in statement(pair, "d", "b")


def test_the_same_model_with_another_seed_does_not_differ():
    generator = np.random.default_rng(0)
    found = [
        over_users.differ_from_best(simulated(generator, 300, {"a": 1.0, "b": 1.0}))
        for _ in range(100)
    ]
    assert sum(map(bool, found)) <= 7


def test_the_best_of_many_equals_does_not_differ():
    generator = np.random.default_rng(1)
    same = dict.fromkeys("abcdefgh", 1.0)
    found = [over_users.differ_from_best(simulated(generator, 300, same)) for _ in range(100)]
    assert sum(map(bool, found)) <= 7


def test_a_known_difference_is_found():
    generator = np.random.default_rng(2)
    effects = {"uniform": 1.0, "dns": 1.0, "mdcns": 0.5}
    found = [over_users.differ_from_best(simulated(generator, 400, effects)) for _ in range(20)]
    assert sum(each == {"uniform", "dns"} for each in found) >= 18


def test_the_interval_covers_a_known_difference_as_often_as_it_says():
    generator = np.random.default_rng(3)
    covered, relative_covered, repeats = 0, 0, 300
    for _ in range(repeats):
        user = generator.exponential(0.2, size=80)
        first = user + generator.exponential(0.1, size=80)  # mean 0.3 against 0.2
        means = over_users.resampled_means(np.column_stack([first, user]), 400, seed=0)
        low, high = over_users.interval(means[:, 0] - means[:, 1])
        covered += low <= 0.1 <= high
        low, high = over_users.interval(means[:, 0] / means[:, 1] - 1)
        relative_covered += low <= 0.5 <= high
    assert 0.91 <= covered / repeats <= 0.98
    assert 0.91 <= relative_covered / repeats <= 0.98


def test_resamples_depend_on_the_seed_and_not_on_the_chunks(generator, monkeypatch):
    values = generator.random((50, 3))
    whole = over_users.resampled_means(values, 100, seed=5)
    assert not np.allclose(whole, over_users.resampled_means(values, 100, seed=6))
    monkeypatch.setattr(over_users, "DRAWS_AT_ONCE", 333)
    assert np.allclose(whole, over_users.resampled_means(values, 100, seed=5))
    drawn = np.random.default_rng(5).integers(50, size=(100, 50))
    assert np.allclose(whole, values[drawn].mean(axis=1))

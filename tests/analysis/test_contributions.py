"""What users contribute to metrics: by hand, against scipy, and by simulation."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference
from support import cell_of
from support.results import result_of

from bench.analysis import beside, over_users
from bench.analysis.contributions import (
    contributions,
    gains_by_user,
    margins_over_users,
)
from bench.metrics import FROM_RANKS, accuracy
from bench.studies.store import Store

pytestmark = pytest.mark.filterwarnings("error")


def test_users_with_several_predictions_have_a_larger_part_in_the_metric(tmp_path):
    store = Store(tmp_path / "study")
    ranks = {0: [1, 11, 3], 1: [2, 1, 50]}  # by seed, of users 7, 7 and 4
    keys = []
    for seed, rank in ranks.items():
        cell = cell_of(seed=seed)
        arrays = {"rank": np.array(rank, dtype=float), "user": np.array([7, 7, 4])}
        store.save(replace(result_of(cell), arrays=arrays))
        keys.append(cell.key)
    (first,) = gains_by_user(store, keys[:1])[["ndcg@10"]].to_dict().values()
    metric = (1.0 + 0.0 + 0.5) / 3  # 2 users make 3 predictions: 1.5 each, more for one of them
    linear = {7: metric + (1.0 - 2 * metric) / 1.5, 4: metric + (0.5 - metric) / 1.5}
    assert first == pytest.approx(linear)
    assert gains_by_user(store, keys)["predictions"].to_dict() == {7: 2 / 1.5, 4: 1 / 1.5}
    metrics = [accuracy(store.arrays(key)["rank"])["ndcg@10"] for key in keys]
    assert gains_by_user(store, keys)["ndcg@10"].mean() == pytest.approx(np.mean(metrics))


def test_intervals_over_users_are_those_of_a_ratio_and_cover(tmp_path):
    """Against scipy for one prediction a user, and by simulation where users have several."""
    generator = np.random.default_rng(0)
    store = Store(tmp_path / "study")

    def margin(rank, user, seed):
        cell = cell_of(seed=seed)
        arrays = {"rank": rank.astype(float), "user": user}
        store.save(replace(result_of(cell), arrays=arrays))
        return margins_over_users(store, [cell.key])["recall@10"]

    rank = generator.integers(1, 30, 200)
    low, high = reference.ttest_1samp(rank <= 10, 0).confidence_interval()
    assert margin(rank, np.arange(200), 0) == pytest.approx((high - low) / 2)

    def draw(n_users):  # longer histories are easier
        counts = generator.geometric(0.1, n_users)
        chance = generator.beta(2, 4, n_users) * (0.5 + counts / (10 + counts))
        user = np.repeat(np.arange(n_users), counts)
        return np.where(generator.random(len(user)) < chance[user], 1, 50), user

    truth = (draw(100_000)[0] <= 10).mean()
    samples = [draw(100) for _ in range(200)]
    covered = [
        abs((rank <= 10).mean() - truth) < margin(rank, user, seed)
        for seed, (rank, user) in enumerate(samples, 1)
    ]
    assert 0.90 < np.mean(covered) < 0.99


def test_the_t_test_is_that_of_a_ratio_where_users_have_several_predictions():
    """Its level by simulation; its p by a bootstrap of the ratios."""
    generator = np.random.default_rng(0)

    def draw(effect, n_users=100):
        counts = generator.geometric(0.1, n_users)
        user = np.repeat(np.arange(n_users), counts)
        base = generator.beta(2, 4, n_users) * (0.5 + counts / (10 + counts))
        own = generator.normal(0, 0.1, (2, n_users))  # users differ in which sampler suits them
        chance = [base + own[0] + effect, base + own[1]]
        hits = [generator.random(len(user)) < each[user] for each in chance]
        return pd.DataFrame({"a": hits[0], "b": hits[1]}, index=user).astype(float)

    def p_of(predictions):
        values = contributions(predictions)
        return over_users.p_values(values, values.pop("predictions"))["t"].iloc[0]

    assert 0.02 < np.mean([p_of(draw(0.0)) < 0.05 for _ in range(400)]) < 0.08

    predictions = draw(0.02, n_users=1000)
    sums = predictions.groupby(level=0).agg(["sum", "size"])
    ratios = []
    for _ in range(2000):
        resample = sums.sample(len(sums), replace=True, random_state=generator).sum()
        ratios.append(resample["a", "sum"] / resample["a", "size"])
        ratios[-1] -= resample["b", "sum"] / resample["b", "size"]
    z = abs(predictions["a"].mean() - predictions["b"].mean()) / np.std(ratios)
    assert p_of(predictions) == pytest.approx(2 * reference.norm.sf(z), rel=0.3)


def test_wilcoxon_s_test_goes_by_what_users_did_however_many_predictions_they_have():
    """Linearised differences of users with few predictions are the mean difference: of signs that
    say nothing of these users; under no difference the test found one three times in ten."""
    generator = np.random.default_rng(1)
    counts = np.concatenate([generator.integers(4, 30, 90), generator.integers(200, 400, 10)])
    user = np.repeat(np.arange(len(counts)), counts)

    def draw():
        apart = generator.normal(0, 0.1, len(counts))[user]
        noise = generator.normal(0, 0.3, (2, len(user)))
        return pd.DataFrame({"a": apart + noise[0], "b": noise[1]}, index=user)

    predictions = draw()
    values = contributions(predictions)
    given = values.pop("predictions")
    sums = predictions.groupby(level=0).sum() / counts.mean()
    apart = over_users.differences_of_sums(values, "a", "b", given)
    assert apart == pytest.approx((sums["a"] - sums["b"]).to_numpy())
    expected = reference.wilcoxon((sums["a"] - sums["b"]).round(12)).pvalue
    assert over_users.p_values(values, given)["wilcoxon"].iloc[0] == pytest.approx(expected)
    (pair,) = over_users.compare(values, pd.DataFrame([values.mean()]), given)
    assert pair.p_wilcoxon == pytest.approx(expected)
    sign = np.sign(pair.difference) * np.sign(values["a"].mean() - values["b"].mean())
    ranks = reference.rankdata(np.abs(apart)) * np.sign(apart)
    assert pair.rank_biserial == pytest.approx(sign * ranks.sum() / np.abs(ranks).sum())

    def rejected():
        values = contributions(draw())
        return over_users.p_values(values, values.pop("predictions"))["wilcoxon"].iloc[0] < 0.05

    assert 0.02 < np.mean([rejected() for _ in range(400)]) < 0.08


def test_a_metric_that_is_unknown_of_one_seed_is_unknown_of_all(monkeypatch):
    """Seeds without it would count in the means over which it is taken."""
    arrays = {"rank": np.array([1.0, 30.0]), "user": np.array([0, 1])}
    monkeypatch.setattr(beside.external, "arrays_of", lambda store, key: arrays)
    deep = SimpleNamespace(key="a", test=dict.fromkeys(FROM_RANKS, 0.5))
    shallow = SimpleNamespace(key="b", test={"ndcg@10": 0.5})
    found = beside.external_gains(None, [deep, shallow])
    assert found["ndcg@10"].notna().all()
    assert found["ndcg@20"].isna().all()
    assert beside.external_gains(None, [deep])["ndcg@20"].notna().all()

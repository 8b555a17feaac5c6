"""Statistics: checked against scipy, statsmodels and scikit-posthocs, and by simulation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from matplotlib.text import Text
from scipy import stats as reference
from statsmodels.stats.multitest import multipletests
from support import cell_of
from support.results import result_of

import samplers
from bench.analysis import over_blocks, over_users
from bench.analysis.comparison import (
    comparisons,
    contributions,
    effective,
    gains_by_user,
    margins_over_users,
)
from bench.analysis.over_users import Pair
from bench.metrics import accuracy
from bench.metrics import gains as gains_of_ranks
from bench.reports import significance
from bench.reports.plots import ranks as plot_ranks
from bench.reports.plots import style
from bench.studies.store import Store

pytestmark = pytest.mark.filterwarnings("error")


def ranks(generator, users, effects):
    """``[users x samplers]`` ranks of held-out items; an effect of 0.5 halves them, on average.

    Users differ in how easy they are; a model that is trained again ranks each of them a little
    differently.
    """
    easy = generator.lognormal(2.5, 1.5, size=(users, 1))
    again = generator.lognormal(0.0, 1.0, size=(users, len(effects)))
    found = np.ceil(easy * again * np.array(list(effects.values())))
    return pd.DataFrame(found, columns=list(effects))


def simulated(generator, users, effects):
    """``[users x samplers]`` NDCG@10."""
    return ranks(generator, users, effects).apply(
        lambda column: gains_of_ranks(column.to_numpy())["ndcg@10"]
    )


def seeds(gains, count=3):
    """``[seeds x samplers]``, all seeds alike."""
    return pd.DataFrame([gains.mean()] * count)


@pytest.fixture
def generator():
    return np.random.default_rng(7)


# Over users


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
    assert "0.0000 NDCG@10 (95 % interval 0.0000 to 0.0000)" in significance.statement(
        pair, "d", "b"
    )


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
    assert "the test users are few" in significance.statement(pair, "d", "b")


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


# Over blocks


@pytest.fixture
def blocks(generator):
    """``[16 blocks x 5 samplers]``, with ties, which steps of 1/64 keep exact."""
    values = generator.normal(size=(16, 5)) * 0.05 + [0.1, 0.12, 0.2, 0.22, 0.3]
    names = ["uniform", "dns", "dns+", "ahns", "mdcns"]
    return pd.DataFrame(np.round(values * 64) / 64, columns=names)


def test_friedman_nemenyi_and_wilcoxon_are_those_of_scipy_and_posthocs(blocks):
    found = over_blocks.analyse(blocks, "nemenyi")
    expected = reference.friedmanchisquare(*blocks.to_numpy().T)
    assert found.friedman_chi2 == pytest.approx(expected.statistic)
    assert found.friedman_p == pytest.approx(expected.pvalue)
    order = list(found.ranks.index)
    assert list(found.ranks) == sorted(found.ranks)
    assert found.ranks["mdcns"] == reference.rankdata(-blocks, axis=1)[:, 4].mean()
    pairs = scikit_posthocs.posthoc_nemenyi_friedman(blocks)
    assert np.allclose(found.p, pairs.loc[order, order], atol=1e-6)

    found = over_blocks.analyse(blocks)
    melted = blocks.melt(var_name="sampler", value_name="value")
    pairs = scikit_posthocs.posthoc_wilcoxon(
        melted, val_col="value", group_col="sampler", p_adjust="holm"
    )
    assert np.allclose(found.p, pairs.loc[order, order])
    assert found.cliques


def test_blocks_in_which_nothing_differs_break_nothing():
    same = pd.DataFrame(0.5, index=range(4), columns=["a", "b", "c"])
    for post_hoc in ("wilcoxon", "nemenyi"):
        found = over_blocks.analyse(same, post_hoc)
        assert (found.friedman_chi2, found.friedman_p) == (0, 1)
        assert list(found.ranks) == [2, 2, 2]
        assert np.allclose(found.p, 1)
        assert found.cliques == [["a", "b", "c"]]


def test_cliques_are_neighbours_of_which_no_two_differ():
    names = list("abcde")
    p = pd.DataFrame(1.0, index=names, columns=names)
    for first, second in [("a", "c"), ("a", "e"), ("b", "d"), ("c", "e")]:
        p.loc[first, second] = p.loc[second, first] = 0.01
    assert over_blocks.cliques_of(p) == [["a", "b"], ["b", "c"], ["c", "d"], ["d", "e"]]
    p.loc["b", "d"] = p.loc["d", "b"] = 0.05  # not below it
    assert over_blocks.cliques_of(p) == [["a", "b"], ["b", "c", "d"], ["d", "e"]]
    assert over_blocks.cliques_of(p * 0) == []


@pytest.mark.parametrize("k", [3, 5, 18])
def test_the_fewest_blocks_are_what_scipy_needs(k):
    needed = over_blocks.fewest_blocks(k)
    for blocks, enough in ((needed - 1, False), (needed, True)):
        clearest = reference.wilcoxon(np.arange(1, blocks + 1), method="exact").pvalue
        assert over_blocks.smallest_p(blocks) == pytest.approx(clearest)
        assert (clearest * math.comb(k, 2) < over_users.LEVEL) == enough


# Words


@pytest.fixture
def pair():
    return Pair(
        family="best", first="mdcns", second="dns+", users=4472, mean_first=0.0484,
        mean_second=0.04, difference=0.0084, low=0.006, high=0.0108, relative=21.0,
        relative_low=15.0, relative_high=27.0, p_t=1e-9, p_wilcoxon=1e-9, holm_t=1e-8,
        holm_wilcoxon=1e-8, d_z=0.12, rank_biserial=0.3, seeds_first=3, seeds_second=3,
        seeds_common=3, seeds_agreeing=3, seeds_std=0.001,
    )  # fmt: skip


def test_a_difference_in_words(pair):
    assert significance.statement(pair, "beauty", "sasrec") == (
        "mdcns beats dns+ on beauty (sasrec) by 21 % NDCG@10 (95 % interval 15 to 27 %), "
        "Holm p < 0.001, d_z 0.12, 4,472 users, 3 seeds."
    )
    behind = replace(
        pair, difference=-0.002, relative=-5.0, relative_low=-7.5, relative_high=-2.5, d_z=-0.05
    )
    assert significance.statement(behind, "beauty", "sasrec").startswith(
        "mdcns is behind dns+ on beauty (sasrec) by 5.0 % NDCG@10 (95 % interval 2.5 to 7.5 %)"
    )


def test_no_difference_in_words(pair):
    none = replace(pair, holm_t=0.2, holm_wilcoxon=0.3, relative=2.1, relative_low=-1.0)
    assert significance.statement(none, "toys", "gru4rec").startswith(
        "no significant difference between mdcns and dns+ on toys (gru4rec): 2.1 % NDCG@10 "
        "(95 % interval -1.0 to 27.0 %), Holm p = 0.200, "
    )


def test_doubts_in_words(pair):
    one = significance.statement(
        replace(pair, seeds_first=1, seeds_second=1, seeds_common=1), "d", "b"
    )
    assert one.endswith(
        "4,472 users, 1 seed. Warning: with one seed, how far another would move it is unknown."
    )
    few = significance.statement(replace(pair, users=299), "d", "b")
    assert few.endswith("299 users, 3 seeds. Warning: the test users are few.")
    assert "Warning" not in significance.statement(replace(pair, users=300), "d", "b")
    split = significance.statement(replace(pair, seeds_agreeing=2, seeds_second=5), "d", "b")
    assert "3 and 5 seeds (2 of 3 in common agree)." in split
    doubted = significance.statement(replace(pair, holm_wilcoxon=0.2), "d", "b")
    assert "Wilcoxon's test disagrees: Holm p = 0.200." in doubted


# Reports


EFFECTS = {"uniform": 1.0, "dns": 0.95, "mdcns": 0.3}


def save(store, sampler, backbone, rank, dataset="made-up", seed=0, synthetic=True):
    ndcg = gains_of_ranks(rank)["ndcg@10"].mean()
    base = cell_of(sampler, backbone, seed=seed)
    cell = replace(base, dataset=dataset, fingerprint=dataset.ljust(64, "0"))
    result = result_of(cell, ndcg, synthetic=synthetic)
    result.data["test_users"] = len(rank)
    result.arrays.update(rank=rank, user=np.arange(len(rank)))
    store.save(result)


def study_of(root, blocks, effects=EFFECTS, users=150, n_seeds=2, synthetic=True):
    store, generator = Store(root / "study"), np.random.default_rng(11)
    for dataset, backbone in blocks:
        for seed in range(n_seeds):
            found = ranks(generator, users, effects)
            for sampler in effects:
                rank = found[sampler].to_numpy()
                save(store, sampler, backbone, rank, dataset, seed, synthetic)
    return store


BLOCKS = list(itertools.product(["red", "blue"], ["sasrec", "gru4rec"]))


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
        users = effective(values.pop("predictions"))
        return over_users.p_values(values, users)["t"].iloc[0]

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


def test_the_report_has_statements_figures_and_ranks(tmp_path):
    (comparison,) = comparisons(study_of(tmp_path, BLOCKS))
    files = significance.write(comparison, tmp_path)
    assert [path.name for path in files] == [
        f"significance-bce-synthetic.{suffix}" for suffix in ("md", "csv", "png", "svg")
    ]
    text = files[0].read_text()
    assert text == significance.report(comparison)
    assert text.startswith("# Significance: SYNTHETIC data, bce loss")
    for dataset, backbone in BLOCKS:
        assert f"\n- mdcns beats uniform on {dataset} ({backbone}) by " in text
        assert f"| {dataset} | {backbone} | mdcns |  | mdcns |  |" in text
    assert "150 users, 2 seeds. Warning: the test users are few." in text
    assert "4 blocks, each a dataset with a backbone; 3 samplers." in text
    assert "Too few blocks for any pair to be significant: with 4 " in text
    assert "3 samplers need 7 blocks" in text
    assert "The 4 blocks are of 2 datasets: blocks of one dataset are not independent" in text
    assert "](significance-bce-synthetic.png)" in text
    table = pd.read_csv(files[1])
    assert len(table) == 4 * (2 + 2)
    red = table[(table["dataset"] == "red") & (table["backbone"] == "sasrec")]
    gains = comparison.user_gains()["red", "sasrec"]
    (row,) = red[(red["first"] == "mdcns") & (red["family"] == "baseline")].itertuples()
    assert row.difference == pytest.approx((gains["mdcns"] - gains["uniform"]).mean())
    assert row.significant
    assert row.seeds_std > 0
    assert comparison.below_best["ndcg@10"] == {
        (dataset, backbone): {"uniform", "dns"} for dataset, backbone in BLOCKS
    }
    nemenyi = significance.report(comparison, "nemenyi")
    assert "Pairs by Nemenyi's test." in nemenyi
    assert "Too few blocks" not in nemenyi


def test_pairs_with_neither_best_nor_baseline_are_in_the_csv_file_alone(tmp_path):
    effects = {"uniform": 1.0, "dns": 0.9, "gnno": 0.8, "mdcns": 0.4}
    (comparison,) = comparisons(study_of(tmp_path, BLOCKS[:1], effects))
    text, table, *_ = significance.write(comparison, tmp_path)
    found = pd.read_csv(table).set_index("family").loc[["other"]]
    assert {*found[["first", "second"]].to_numpy()[0]} == {"dns", "gnno"}
    assert found["relative"].item() > 0
    rows = [line for line in text.read_text().splitlines() if line.startswith("| ")]
    assert not [line for line in rows if line.startswith(("| dns | gnno", "| gnno | dns"))]
    assert f"`{table.name}` alone" in text.read_text()


def test_real_data_are_not_called_synthetic_and_one_seed_is_said(tmp_path):
    store = study_of(tmp_path, [("red", "sasrec")], users=320, n_seeds=1, synthetic=False)
    (comparison,) = comparisons(store)
    files = significance.write(comparison, tmp_path)
    assert [path.name for path in files] == ["significance-bce.md", "significance-bce.csv"]
    text = files[0].read_text()
    assert "SYNTHETIC" not in text
    statements = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(statements) == 2 + 1  # two against the baseline; the best against dns
    for line in statements:
        assert line.endswith("with one seed, how far another would move it is unknown.")
        assert "few" not in line
    assert "1 block and 3 samplers common to all blocks" in text


def test_missing_cells_are_left_out_and_said(tmp_path):
    store = study_of(tmp_path, BLOCKS)
    save(store, "ahns", "sasrec", np.ones(140), "red")
    save(store, "ahns", "linrec", np.ones(150), "red")
    (comparison,) = comparisons(store)
    text = significance.report(comparison)
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    assert "no finished cell is here: ahns." in sections["blue, sasrec"]
    assert "tested on 140 of 150 test users" in sections["red, sasrec"]
    assert "One sampler: nothing to compare." in sections["red, linrec"]
    last = sections["Over datasets and backbones"]
    assert "- ahns is left out: no finished cell on blue gru4rec, blue sasrec" in last
    assert "- mdcns is left out: no finished cell on red linrec." in last
    assert "0 samplers common to all blocks" in last
    assert len(significance.write(comparison, tmp_path)) == 2


def test_without_the_baseline_the_best_is_compared(tmp_path):
    effects = {"dns": 1.0, "mdcns": 0.3}
    (comparison,) = comparisons(study_of(tmp_path, [("red", "sasrec")], effects))
    text = significance.report(comparison)
    assert "Against uniform" not in text
    assert "| red | sasrec | mdcns |  | no uniform | no uniform |" in text
    assert "\n- mdcns beats dns on red (sasrec) by " in text


def test_a_single_sampler_is_not_written_about(tmp_path):
    (comparison,) = comparisons(study_of(tmp_path, [("red", "sasrec")], {"uniform": 1.0}))
    assert significance.write(comparison, tmp_path) == []
    assert comparison.below_best["ndcg@10"] == {("red", "sasrec"): set()}


# The diagram


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [3, 5, 18])
def test_names_in_the_diagram_do_not_overlap(k, ties, tmp_path):
    names = [*samplers.registry.names()[: k - 1], "mdcns-released (beta=0.5, gamma=1.5)"]
    mean = pd.Series([(k + 1) / 2] * k if ties else np.linspace(1, k, k), index=names)
    cliques = [names[i : i + 3] for i in range(k - 2)]
    with matplotlib.rc_context(style.STYLE):
        figure = plot_ranks.figure_of(mean, cliques, "A title")
        style.lay_out(figure)
        boxes = [
            text.get_window_extent()
            for text in figure.findobj(Text)
            if text.get_text() and text.get_visible()
        ]
    assert len(boxes) >= 2 * k + 1  # names, ticks, the title
    whole = figure.bbox
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    for box in boxes:
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1


def test_the_diagram_is_the_same_twice_and_leaves_no_theme(tmp_path):
    mean = pd.Series({"dns": 1.0, "$uniform$": 2.0, "mdcns": 3.0})
    before = dict(matplotlib.rcParams)
    draws = [
        plot_ranks.critical_difference(mean, [["dns", "$uniform$"]], tmp_path / name, "A title")
        for name in ("one", "two")
    ]
    assert dict(matplotlib.rcParams) == before
    assert [path.name for path in draws[0]] == ["one.png", "one.svg"]
    assert draws[0][0].read_bytes().startswith(b"\x89PNG")
    assert "<svg" in draws[0][1].read_text()
    for first, second in zip(*draws, strict=True):
        assert first.read_bytes() == second.read_bytes()

"""Samplers compared over the test users of one dataset and one backbone: paired tests, intervals.

The verdict is the paired t test's: what is claimed is a difference of means, which it tests, and
over hundreds of users it keeps its level on metrics of ranking (Smucker, Allan and Carterette,
CIKM 2007; Urbano, Lima and Hanjalic, SIGIR 2019).  Wilcoxon's test stands beside it.

Where users have several predictions, what a user contributes to a mean is linearised, which draws
those with few to the mean (`contributions`).  The mean and its standard error, all that the t test
takes, are right of that; signs and ranks are not those of what the users did.  Wilcoxon's test and
the rank-biserial correlation therefore go by the users' sums over their predictions.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from bench.analysis.contributions import effective
from bench.metrics import BASELINE

LEVEL = 0.05
"""Corrected p below which a difference is called significant; intervals cover 1 - LEVEL."""

RESAMPLES = 2000
DRAWS_AT_ONCE = 2**20
"""Users drawn in one go by the bootstrap: about 20 MB whatever their number."""

DECIMALS = 12
"""Of differences.  Means over the same seeds' values in another order differ in the last bit, and
to Wilcoxon's test that would be a difference like any other."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """One sampler against another; differences are first minus second.

    Attributes:
        family: ``baseline`` (every sampler against the baseline), ``best`` (the best against
            every other) or ``other`` (all pairs left, the larger mean first).
        first, second: the samplers.
        users: test users.
        mean_first, mean_second: of the metric.
        difference, low, high: of the means, and its bootstrap interval over the users.
        relative, relative_low, relative_high: the same in % of the second's mean; NaN where that
            is zero, the interval's ends also where it is zero in a resample.
        p_t, p_wilcoxon: two-sided, of the paired tests.
        holm_t, holm_wilcoxon: corrected for all tests that could have been in the family.
        d_z: mean of the users' differences by their standard deviation (Cohen).
        rank_biserial: matched pairs, from -1 to 1: how much more of the rank sum of the nonzero
            differences of the users' sums is with the first (Kerby, 2014).
        seeds_first, seeds_second, seeds_common: how many, and how many both were trained with.
        seeds_agreeing: of the common seeds those in which the difference has the same sign.
        seeds_std: standard deviation of the difference over the common seeds; NaN if below two.
    """

    family: str
    first: str
    second: str
    users: int
    mean_first: float
    mean_second: float
    difference: float
    low: float
    high: float
    relative: float
    relative_low: float
    relative_high: float
    p_t: float
    p_wilcoxon: float
    holm_t: float
    holm_wilcoxon: float
    d_z: float
    rank_biserial: float
    seeds_first: int
    seeds_second: int
    seeds_common: int
    seeds_agreeing: int
    seeds_std: float

    @property
    def significant(self) -> bool:
        return self.holm_t < LEVEL


def compare(
    gains: pd.DataFrame,
    by_seed: pd.DataFrame,
    predictions: pd.Series[float] | None = None,
    seed: int = 0,
) -> list[Pair]:
    """Every sampler against the baseline, if it is there; the best against every other; the rest.

    The baseline's comparisons are chosen beforehand, so Holm's correction is for their number.
    The best is chosen by the numbers under test, hence its comparisons are corrected for all
    pairs of samplers, and so are the rest: any of them could have been asked about.

    Args:
        gains: ``[users x samplers]``, at least one user, as `Comparison.user_gains` gives.
        by_seed: ``[seeds x samplers]`` means; NaN where a sampler lacks the seed.
        predictions: how many each user has, as `contributions` gives; without it equally many.
        seed: of the bootstrap.
    """
    tests, means = p_values(gains, predictions), gains.mean()
    draws = resampled_means(gains.to_numpy(dtype=np.float64), RESAMPLES, seed)
    resampled = dict(zip(gains.columns, draws.T, strict=True))

    def pair(family: str, first: str, second: str, corrected: pd.DataFrame) -> Pair:
        return _pair(
            family, first, second, gains, predictions, means, resampled, by_seed, tests, corrected
        )

    pairs = []
    if BASELINE in gains:
        chosen = tests[[BASELINE in pair for pair in tests.index]]
        holm_p = chosen.apply(holm)
        for name in gains.columns.drop(BASELINE):
            pairs.append(pair("baseline", name, BASELINE, holm_p))
    holm_p = tests.apply(holm)
    best = best_of(gains)
    for name in gains.columns.drop(best):
        pairs.append(pair("best", best, name, holm_p))
    ranked = means.sort_values(ascending=False, kind="stable").index
    rest = ranked.drop([best, BASELINE], errors="ignore")
    for first, second in itertools.combinations(rest, 2):
        pairs.append(pair("other", first, second, holm_p))
    return pairs


def best_of(gains: pd.DataFrame) -> str:
    """The sampler with the largest mean, the first of several."""
    return str(gains.mean().idxmax())


def differ_from_best(gains: pd.DataFrame, predictions: pd.Series[float] | None = None) -> set[str]:
    """The samplers that are significantly worse than the best, corrected as in `compare`.

    Args:
        gains: ``[users x samplers]``.
        predictions: see `compare`.
    """
    tests = p_values(gains, predictions, wilcoxon=False)
    best, corrected = best_of(gains), tests.apply(holm)
    others = gains.columns.drop(best)
    return {str(name) for name in others if _at(corrected, best, name)["t"] < LEVEL}


def p_values(
    gains: pd.DataFrame, predictions: pd.Series[float] | None = None, wilcoxon: bool = True
) -> pd.DataFrame:
    """Two-sided p of the paired tests of all pairs of samplers.

    Args:
        gains: ``[users x samplers]``.
        predictions: see `compare`; the t tests have the degrees of freedom of as many users with
            equally many as would weigh the same (`effective`).
        wilcoxon: run Wilcoxon's test too, which takes most of the time.

    Returns:
        A row a pair, indexed by the two names; columns ``t`` and ``wilcoxon``.
    """
    pairs = list(itertools.combinations(gains.columns, 2))
    differences = [differences_of(gains, first, second) for first, second in pairs]
    stacked = np.array(differences).reshape(len(pairs), len(gains))
    users = len(gains) if predictions is None else effective(predictions)
    columns = {"t": p_of_t(stacked, users)}
    if wilcoxon:
        sums = [differences_of_sums(gains, *pair, predictions) for pair in pairs]
        columns["wilcoxon"] = np.array([p_of_wilcoxon(one) for one in sums])
    return pd.DataFrame(columns, index=pd.MultiIndex.from_tuples(pairs, names=["first", "second"]))


def differences_of(values: pd.DataFrame, first: str, second: str) -> Floats:
    """``[rows]`` first minus second, without what is only rounding."""
    difference = values[first].to_numpy(np.float64) - values[second].to_numpy(np.float64)
    return np.round(difference, DECIMALS)


def differences_of_sums(
    gains: pd.DataFrame, first: str, second: str, predictions: pd.Series[float] | None
) -> Floats:
    """``[users]`` first minus second of the users' sums over their predictions, by the mean number
    of these: `differences_of` undone of what linearising puts in the place of few predictions.

    Args:
        gains: as `contributions` gives, of all users that it was given.
        predictions: see `compare`.
    """
    differences = differences_of(gains, first, second)
    if predictions is None:
        return differences
    counts = predictions.loc[gains.index].to_numpy(np.float64)
    return np.round(differences + (counts - 1) * differences.mean(), DECIMALS)


def p_of_t(differences: Floats, users: float) -> Floats:
    """``[pairs]`` p of the paired t test, from the differences ``[pairs x users]``.

    1 where nothing differs, and for a single user, who shows no variance; 0 where everybody
    differs by the same, as scipy has it, less its warning.

    Args:
        users: how many, of equal weight; less one the degrees of freedom.
    """
    p = np.where(differences.any(axis=1), 0.0, 1.0)
    if users <= 1:
        return np.ones(len(differences))
    varies = np.ptp(differences, axis=1) > 0
    statistic = stats.ttest_1samp(differences[varies], 0.0, axis=1).statistic
    p[varies] = 2 * stats.t.sf(np.abs(statistic), users - 1)
    return p


def p_of_wilcoxon(differences: Floats) -> float:
    """Wilcoxon's signed-rank test on the differences that are not zero; 1 if all are."""
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def holm(p: pd.Series[float]) -> pd.Series[float]:
    """Holm's step-down correction (Scandinavian Journal of Statistics, 1979)."""
    values = p.to_numpy(np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return pd.Series(corrected, index=p.index, name=p.name)


def resampled_means(values: Floats, resamples: int, seed: int) -> Floats:
    """Means over users drawn with replacement, the same draw for all samplers.

    Args:
        values: ``[users, samplers]``.
        resamples: how many draws of as many users.
        seed: of the draws.

    Returns:
        ``[resamples, samplers]``.
    """
    users = len(values)
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    at_once = max(1, DRAWS_AT_ONCE // users)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = generator.integers(users, size=(rows, users), dtype=np.int64)
        drawn += np.arange(rows)[:, None] * users
        times = np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users)
        means[start : start + rows] = times @ values / users
    return means


def interval(samples: Floats) -> tuple[float, float]:
    """Percentile interval of resampled values; NaN if one of them is."""
    low, high = np.quantile(samples, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def d_z(differences: Floats) -> float:
    """Cohen's d of paired samples; 0 where nothing differs, infinite for equal differences."""
    if len(differences) < 2 or not differences.any():
        return 0.0
    if np.ptp(differences) == 0:
        return float(np.copysign(np.inf, differences[0]))
    return float(differences.mean() / differences.std(ddof=1))


def rank_biserial(differences: Floats) -> float:
    """Matched-pairs rank-biserial correlation; 0 where nothing differs."""
    nonzero = differences[differences != 0]
    if not len(nonzero):
        return 0.0
    ranks = stats.rankdata(np.abs(nonzero))
    return float((ranks * np.sign(nonzero)).sum() / ranks.sum())


def _pair(
    family: str,
    first: str,
    second: str,
    gains: pd.DataFrame,
    predictions: pd.Series[float] | None,
    means: pd.Series[float],
    resampled: Mapping[str, Floats],
    by_seed: pd.DataFrame,
    tests: pd.DataFrame,
    corrected: pd.DataFrame,
) -> Pair:
    differences = differences_of(gains, first, second)
    apart, base = resampled[first] - resampled[second], resampled[second]
    relative = np.full_like(apart, np.nan)
    np.divide(100 * apart, base, out=relative, where=base != 0)
    low, high = interval(apart)
    relative_low, relative_high = interval(relative)
    common = by_seed[[first, second]].dropna()
    of_seeds = differences_of(common, first, second)
    p, holm_p = _at(tests, first, second), _at(corrected, first, second)
    return Pair(
        family=family,
        first=first,
        second=second,
        users=len(gains),
        mean_first=float(means[first]),
        mean_second=float(means[second]),
        difference=float(differences.mean()),
        low=low,
        high=high,
        relative=float(100 * differences.mean() / means[second]) if means[second] else np.nan,
        relative_low=relative_low,
        relative_high=relative_high,
        p_t=p["t"],
        p_wilcoxon=p["wilcoxon"],
        holm_t=holm_p["t"],
        holm_wilcoxon=holm_p["wilcoxon"],
        d_z=d_z(differences),
        rank_biserial=rank_biserial(differences_of_sums(gains, first, second, predictions)),
        seeds_first=int(by_seed[first].notna().sum()),
        seeds_second=int(by_seed[second].notna().sum()),
        seeds_common=len(of_seeds),
        seeds_agreeing=int((np.sign(of_seeds) == np.sign(differences.mean())).sum()),
        seeds_std=float(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else np.nan,
    )


def _at(table: pd.DataFrame, first: str, second: str) -> dict[str, float]:
    """Test to p of a pair, whichever of the two is named first."""
    key = (first, second) if (first, second) in table.index else (second, first)
    row = table.index.get_loc(key)
    return {str(test): float(table[test].to_numpy()[row]) for test in table}

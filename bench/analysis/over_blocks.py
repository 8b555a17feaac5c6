"""Samplers compared over blocks, each a dataset with a backbone: ranks, and tests of them.

After Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006), with
Wilcoxon's test for the pairs, which does not depend on who else is compared (Benavoli, Corani and
Mangili, JMLR 17, 2016).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from bench.analysis import PostHoc
from bench.analysis.over_users import DECIMALS, LEVEL, differences_of, holm, p_of_wilcoxon


@dataclass(frozen=True)
class OverBlocks:
    """What the blocks say.

    Attributes:
        blocks: how many.
        ranks: sampler to its mean rank, 1 the best; best first.
        friedman_chi2, friedman_p: of the hypothesis that all samplers rank alike.
        p: ``[samplers x samplers]``, best first, corrected for all pairs; 1 on the diagonal.
        cliques: see `cliques_of`.
    """

    blocks: int
    ranks: pd.Series[float]
    friedman_chi2: float
    friedman_p: float
    p: pd.DataFrame
    cliques: list[list[str]]


def analyse(values: pd.DataFrame, post_hoc: PostHoc = "wilcoxon") -> OverBlocks:
    """Friedman's test, mean ranks, pairs and cliques.

    Args:
        values: ``[blocks x samplers]``, larger is better; at least two blocks and three samplers.
        post_hoc: how pairs are tested: Wilcoxon's test with Holm's correction, or Nemenyi's.
    """
    ranks = ranks_of(values).mean().sort_values(kind="stable")
    chi2, p_friedman = friedman(values)
    p = {"wilcoxon": wilcoxon_holm, "nemenyi": nemenyi}[post_hoc](values[ranks.index])
    return OverBlocks(len(values), ranks, chi2, p_friedman, p, cliques_of(p))


def ranks_of(values: pd.DataFrame) -> pd.DataFrame:
    """``[blocks x samplers]`` ranks in each block, 1 the largest value, ties sharing theirs."""
    return values.round(DECIMALS).rank(axis=1, ascending=False)


def friedman(values: pd.DataFrame) -> tuple[float, float]:
    """Friedman's chi-square and its p; 0 and 1 where nothing differs in any block."""
    rounded = values.round(DECIMALS)
    if (rounded.nunique(axis=1) == 1).all():
        return 0.0, 1.0
    found = stats.friedmanchisquare(*rounded.to_numpy(np.float64).T)
    return float(found.statistic), float(found.pvalue)


def wilcoxon_holm(values: pd.DataFrame) -> pd.DataFrame:
    """``[samplers x samplers]`` p of Wilcoxon's test over the blocks, Holm over all pairs."""
    pairs = list(itertools.combinations(values.columns, 2))
    p = pd.Series([p_of_wilcoxon(differences_of(values, *pair)) for pair in pairs], dtype=float)
    return _matrix(values, dict(zip(pairs, holm(p), strict=True)))


def nemenyi(values: pd.DataFrame) -> pd.DataFrame:
    """``[samplers x samplers]`` p of Nemenyi's test on the mean ranks."""
    blocks, k = values.shape
    mean = ranks_of(values).mean()
    error = math.sqrt(k * (k + 1) / (6 * blocks))
    pairs = list(itertools.combinations(values.columns, 2))
    apart = np.array([abs(mean[first] - mean[second]) for first, second in pairs])
    p = stats.studentized_range.sf(apart / error * math.sqrt(2), k, np.inf)
    return _matrix(values, dict(zip(pairs, np.clip(p, 0.0, 1.0), strict=True)))


def cliques_of(p: pd.DataFrame) -> list[list[str]]:
    """Groups of neighbours in rank of which no two differ significantly, none within another.

    Only neighbours are grouped, so that a bar over the ranks never covers a sampler that differs
    from another below it.

    Args:
        p: ``[samplers x samplers]`` corrected, best rank first.
    """
    names, alike = list(p.columns), p.to_numpy(np.float64) >= LEVEL
    found: list[list[str]] = []
    reached = 0
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and alike[start:end, end].all():
            end += 1
        if end - start > 1 and end > reached:
            found.append(names[start:end])
            reached = end
    return found


def smallest_p(blocks: int) -> float:
    """The smallest two-sided p that Wilcoxon's exact test can give."""
    return 2 / 2**blocks


def fewest_blocks(n_samplers: int) -> int:
    """Blocks from which on a pair can be significant by Wilcoxon's test with Holm's correction."""
    return next(n for n in itertools.count(1) if smallest_p(n) * math.comb(n_samplers, 2) < LEVEL)


def _matrix(values: pd.DataFrame, p: dict[tuple[str, str], float]) -> pd.DataFrame:
    names = values.columns
    table = pd.DataFrame(1.0, index=names, columns=names)
    for (first, second), each in p.items():
        table.loc[first, second] = table.loc[second, first] = each
    return table

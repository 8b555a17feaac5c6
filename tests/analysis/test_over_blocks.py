"""Samplers over blocks: checked against scipy and scikit-posthocs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats as reference

from bench.analysis import over_blocks, over_users

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def blocks():
    """``[16 blocks x 5 samplers]``, with ties, which steps of 1/64 keep exact."""
    generator = np.random.default_rng(7)
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

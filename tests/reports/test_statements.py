"""Differences in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis.over_users import Pair
from bench.reports.statements import statement


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
    assert statement(pair, "beauty", "sasrec") == (
        "mdcns beats dns+ on beauty (sasrec) by 21 % NDCG@10 (95 % interval 15 to 27 %), "
        "Holm p < 0.001, d_z 0.12, 4,472 users, 3 seeds."
    )
    behind = replace(
        pair, difference=-0.002, relative=-5.0, relative_low=-7.5, relative_high=-2.5, d_z=-0.05
    )
    assert statement(behind, "beauty", "sasrec").startswith(
        "mdcns is behind dns+ on beauty (sasrec) by 5.0 % NDCG@10 (95 % interval 2.5 to 7.5 %)"
    )


def test_no_difference_in_words(pair):
    none = replace(pair, holm_t=0.2, holm_wilcoxon=0.3, relative=2.1, relative_low=-1.0)
    assert statement(none, "toys", "gru4rec").startswith(
        "no significant difference between mdcns and dns+ on toys (gru4rec): 2.1 % NDCG@10 "
        "(95 % interval -1.0 to 27.0 %), Holm p = 0.200, "
    )


def test_doubts_in_words(pair):
    one = statement(replace(pair, seeds_first=1, seeds_second=1, seeds_common=1), "d", "b")
    assert one.endswith(
        "4,472 users, 1 seed. Warning: with one seed, how far another would move it is unknown."
    )
    few = statement(replace(pair, users=299), "d", "b")
    assert few.endswith("299 users, 3 seeds. Warning: the test users are few.")
    assert "Warning" not in statement(replace(pair, users=300), "d", "b")
    split = statement(replace(pair, seeds_agreeing=2, seeds_second=5), "d", "b")
    assert "3 and 5 seeds (2 of 3 in common agree)." in split
    doubted = statement(replace(pair, holm_wilcoxon=0.2), "d", "b")
    assert "Wilcoxon's test disagrees: Holm p = 0.200." in doubted

"""Which protocols are one."""

from __future__ import annotations

from support import cell_of

from bench.analysis.cells import OWN, comparable


def rates(*cells):
    return [protocol["lr"] for protocol in comparable(cells)]


def test_backbones_that_have_a_learning_rate_each_are_compared():
    sasrec, gru4rec = cell_of(lr=0.001), cell_of(backbone="gru4rec", lr=0.01)
    assert rates(sasrec, gru4rec, sasrec) == [OWN] * 3
    assert comparable([sasrec, gru4rec])[0] == comparable([sasrec, gru4rec])[1]


def test_learning_rates_of_one_backbone_are_told_apart():
    known = rates(cell_of(lr=0.001), cell_of(lr=0.01), cell_of(backbone="gru4rec", lr=0.01))
    assert known == [0.001, 0.01, 0.01]


def test_a_learning_rate_that_all_share_is_named():
    assert rates(cell_of(lr=0.01), cell_of(backbone="gru4rec", lr=0.01)) == [0.01, 0.01]


def test_what_differs_in_another_setting_too_is_not_one():
    sasrec, gru4rec = cell_of(lr=0.001, dim=4), cell_of(backbone="gru4rec", lr=0.01, dim=8)
    assert rates(sasrec, gru4rec) == [0.001, 0.01]

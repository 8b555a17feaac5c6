"""How far an order of samplers agrees with that on real data."""

from __future__ import annotations

import itertools
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau
from support import cell_of
from support.results import result_of

from bench.analysis import fidelity
from bench.analysis.comparison import comparisons
from bench.analysis.fidelity import Order, real_orders
from bench.studies.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent


def order_of(means, sd=0.001):
    names = [f"s{i}" for i in range(len(means))]
    return Order("study", names, np.array(means), np.eye(len(means)) * sd**2)


def test_tau_is_kendall_s_and_lies_in_its_interval():
    rng = np.random.default_rng(0)
    for _ in range(20):
        made, real = rng.random((2, 7))
        found = fidelity._agreement("d-twin", "m", order_of(made), order_of(real))
        assert found.tau == pytest.approx(kendalltau(made, real).statistic)
        assert found.low <= found.tau <= found.high


def test_only_pairs_that_differ_on_real_data_are_held_against_the_miniature():
    real = order_of([0.10, 0.1001, 0.20, 0.30])
    made = order_of([0.2, 0.1, 0.3, 0.25])
    found = fidelity._agreement("d-twin", "m", made, real)
    assert found.significant == 5  # all but the first two
    assert found.agreeing == 4  # all of them but the last two samplers


def test_noise_widens_the_interval():
    widths = []
    for sd in (0.0001, 0.05):
        order = order_of([0.1, 0.12, 0.15, 0.2, 0.22], sd)
        found = fidelity._agreement("d-twin", "m", order, order)
        widths.append(found.high - found.low)
        assert found.tau == 1
    assert widths[0] == 0
    assert widths[1] > 0.3


def test_the_covariance_of_means_is_that_of_resampled_users():
    rng = np.random.default_rng(0)
    gains = pd.DataFrame(rng.random((300, 1)) + rng.random((300, 3)), columns=["a", "b", "c"])
    found = Order.of("study", gains)
    means = [gains.sample(300, replace=True, random_state=i).mean() for i in range(2000)]
    np.testing.assert_allclose(found.covariance, np.cov(np.array(means).T), rtol=0.15)
    np.testing.assert_allclose(found.drawn(0).mean(0), found.means, atol=0.005)


def test_twins_are_held_against_their_originals(tmp_path):
    """A made-up study in the exact order of the real one."""
    real = real_orders()["beauty", "sasrec"]
    store = Store(tmp_path)
    for name, mean in zip(real.samplers, real.means, strict=True):
        if name.startswith("mdcns-"):
            continue
        result = result_of(replace(cell_of(name), dataset="beauty-twin"), mean)
        result.metrics["valid"]["ndcg@20"] = mean
        arrays = {"rank": np.array([1.0, 1.0]), "user": np.arange(2)}
        arrays["expected_ndcg@10"] = np.array([mean, mean])
        store.save(replace(result, arrays=arrays))
    found = [one for each in comparisons(store) for one in fidelity.fidelity(each)]
    assert [(one.dataset, one.backbone, one.study) for one in found] == [
        ("beauty-twin", "sasrec", "beauty-authors-gpu")
    ]
    assert found[0].samplers >= fidelity.FEWEST
    assert found[0].tau == 1
    assert found[0].agreeing == found[0].significant > 0


def test_the_stored_orders_are_those_of_the_stored_studies():
    made = runpy.run_path(str(ROOT / "tools/real_orders.py"))
    stored = (ROOT / "bench/analysis/real_orders.json").read_text(encoding="utf-8")
    assert made["text"]() == stored
    orders = real_orders()
    assert {dataset for dataset, _ in orders} == {
        "beauty", "toys", "sports", "health", "lastfm", "kuairand",
    }  # fmt: skip
    for order in orders.values():
        assert len(order.samplers) == len(set(order.samplers)) >= 9
        assert np.linalg.eigvalsh(order.covariance).min() > -1e-12
        for i, j in itertools.combinations(range(len(order.samplers)), 2):
            assert order.covariance[i, j] == pytest.approx(order.covariance[j, i], abs=1e-15)


def test_an_order_by_another_loss_than_the_stored_is_not_set_beside_it():
    assert fidelity.fidelity(SimpleNamespace(loss="bpr")) == []

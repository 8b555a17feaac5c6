"""Each sampler once, whatever its loss: what validation chooses, and tests corrected for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import cell_of
from support.results import result_of

from bench.analysis.chosen import as_chosen
from bench.analysis.comparison import comparisons
from bench.analysis.over_users import holm, p_values
from bench.analysis.significance import find
from bench.cell import Component
from bench.reports.writing import write, write_and_close
from bench.studies.store import Store

USERS = 60


def saved(store, sampler, loss, valid, *, seed=0, best=1.0, synthetic=False, **hyper):
    """A cell whose users' ranks are the worse the larger ``best``."""
    plain = cell_of(sampler, seed=seed)
    its = replace(plain.sampler, hyper=plain.sampler.hyper | hyper)
    cell = replace(plain, sampler=its, objective=Component(loss))
    result = result_of(cell, synthetic=synthetic)
    generator = np.random.default_rng([seed, sum(map(ord, sampler + loss))])
    ranks = np.floor(best + generator.exponential(3, USERS))
    metrics = {"valid": {"ndcg@20": valid}, "test": result.metrics["test"]}
    arrays = {"rank": ranks, "user": np.arange(USERS)}
    store.save(replace(result, metrics=metrics, arrays=arrays))


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "study")
    saved(store, "uniform", "bce", 0.2, best=4)
    saved(store, "uniform", "bpr", 0.1)
    saved(store, "dns", "bce", 0.2)
    saved(store, "dns", "bpr", 0.3, best=2)
    for seed in range(2):  # more seeds count before a better validation
        saved(store, "dns+", "bce", 0.3, seed=seed, M=5)
    saved(store, "dns+", "bce", 0.4, M=10)
    saved(store, "dns+", "bpr", 0.5, M=5)
    saved(store, "mixed", "softmax", 0.3)
    return store


def test_a_sampler_is_compared_with_the_loss_and_the_setting_that_validation_chooses(store):
    (comparison,) = as_chosen(store)
    cells = comparison.cells
    chosen = {
        row.sampler: (row.objective, store.load(row.key).cell.sampler.hyper.get("M"))
        for row in cells.itertuples()
    }
    assert chosen == {
        "uniform": ("bce", None), "dns": ("bpr", None), "dns+": ("bce", 5),
        "mixed": ("softmax", None),
    }  # fmt: skip
    assert len(cells) == 5
    assert comparison.name == "comparison-chosen"
    assert comparison.title.startswith("Real data, loss and settings as validation chooses, split")


def test_tests_are_corrected_for_all_pairs_of_all_losses(store):
    (comparison,) = as_chosen(store)
    ((block, pairs),) = find(comparison).pairs.items()
    gains = comparison.user_gains()[block]
    assert set(gains) == {"uniform", "dns", "dns+", "mixed"}
    corrected = holm(p_values(gains)["t"])
    assert len(corrected) == 6
    of_best = [pair for pair in pairs if pair.family == "best"]
    assert len(of_best) == 3
    for pair in of_best:
        key = (pair.first, pair.second)
        key = key if key in corrected.index else key[::-1]
        assert pair.holm_t == pytest.approx(corrected[key])
    alone = {len(set(each.cells["sampler"])) for each in comparisons(store)}
    assert alone == {5, 4}  # dns+ twice with bce


def test_the_report_has_it_where_there_are_several_losses(store, tmp_path):
    written = {path.name: path for path in write(store.root, tmp_path / "report")}
    text = written["significance-chosen.md"].read_text(encoding="utf-8")
    assert "- sasrec: " in text.partition("## ")[0]
    assert "| made-up | sasrec | dns | bpr | 1 |" in text
    assert "| made-up | sasrec | dns+ | bce | 2 |" in text
    page = written["index.html"].read_text(encoding="utf-8")
    assert "Each sampler with what validation chooses" in page
    lines = write_and_close(store.root, tmp_path / "report")
    assert "Each sampler with the loss and the settings that validation chooses:" in lines

    one = Store(tmp_path / "one")
    saved(one, "uniform", "bce", 0.2)
    saved(one, "mixed", "softmax", 0.2)
    assert as_chosen(one) == []
    assert "significance-chosen.md" not in {p.name for p in write(one.root, tmp_path / "r1")}


def test_generated_and_real_data_are_never_side_by_side(store):
    for loss in ("bce", "bpr"):
        for sampler in ("uniform", "dns"):
            saved(store, sampler, loss, 0.2, synthetic=True, seed=1)
    names = [each.name for each in as_chosen(store)]
    assert names == ["comparison-chosen", "comparison-chosen-synthetic"]

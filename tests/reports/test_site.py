"""All studies on one page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import cell_of
from support.results import result_of

from bench.errors import UserError
from bench.reports import site
from bench.studies.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent


def study_of(folder, name, values, synthetic=False, **changes):
    store = Store(folder / "results" / name)
    for sampler, value in values.items():
        result = result_of(replace(cell_of(sampler), **changes), value, synthetic=synthetic)
        ranks = np.where(np.arange(300) < 300 * value, 1.0, 99.0)
        store.save(replace(result, arrays={"rank": ranks, "user": np.arange(300)}))
    (folder / "reports" / name).mkdir(parents=True)
    (folder / "reports" / name / "index.html").write_text("a page")


@pytest.fixture
def page(tmp_path):
    study_of(tmp_path, "first", {"uniform": 0.1, "dns": 0.3}, dataset="shop")
    study_of(tmp_path, "second", {"dns": 0.2, "srns": 0.2}, dataset="films", fingerprint="f" * 64)
    study_of(tmp_path, "made", {"uniform": 0.6, "dns": 0.7}, synthetic=True)
    path = site.write(tmp_path / "results", tmp_path / "reports")
    assert path == tmp_path / "reports" / "index.html"
    return path.read_text()


def test_every_study_has_its_verdict_and_a_link(page):
    for name in ("first", "second", "made"):
        assert f'<a href="{name}/index.html">{name}</a>' in page
    assert "sasrec: dns is best, and no other level with it; significantly worse: uniform" in page
    assert "sasrec: level with the best: dns, srns" in page


def test_real_data_stand_side_by_side_and_synthetic_apart(page):
    sections = page.partition("<main")[2].split("<section")
    (matrix,) = [part for part in sections if "on real data, sasrec" in part]
    for shown in ("shop, first", "films, second", "0.3000", "0.2000", "0.1000"):
        assert shown in matrix
    for hidden in ("0.6000", "0.7000", "made"):
        assert hidden not in matrix
    assert "SYNTHETIC data" in page


def test_it_asks_nothing_of_the_network(page):
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", page)


def test_without_a_study_it_is_one_error(tmp_path):
    with pytest.raises(UserError, match=r"no study in .* has a page"):
        site.write(tmp_path / "results", tmp_path / "reports")


def test_the_committed_page_is_that_of_the_committed_studies(tmp_path):
    names = sorted(path.parent.name for path in (ROOT / "results").glob("*/references.json"))
    written = site.write(ROOT / "results", tmp_path / "reports", names)
    assert written.read_text() == (ROOT / "reports/index.html").read_text()

"""The example of docs/other-models.md, with the library that it names."""

from __future__ import annotations

import re

import pytest
from support.grid import ROOT

import bench
from bench.analysis.comparison import comparisons
from bench.data import main as data

PAGE = (ROOT / "docs" / "other-models.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_item_knn_of_implicit_is_near_ours(tmp_path, monkeypatch):
    pytest.importorskip("implicit", reason="needs the extra: pip install -e '.[implicit]'")
    monkeypatch.chdir(tmp_path)
    plan = bench.plan(
        preset="smoke", backbones=["sasrec"], samplers=["uniform", "dns"], settings={"epochs": 1}
    )
    study = bench.Study("beside")
    study.run(plan, workers=1)
    assert data(["export", "beauty-twin", "--to", "split"]) == 0
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "other-models.md", "exec"), {})
    (comparison,) = comparisons(study.store)
    cells = comparison.cells.set_index("sampler")
    theirs = cells["ndcg@10"]["implicit cosine (external)"]
    ours = comparison.references["item-knn"]["beauty-twin"]["ndcg@10"]
    assert theirs == pytest.approx(ours, rel=0.1)
    assert comparison.below_best["ndcg@10"]["beauty-twin", "sasrec"] == {"uniform", "dns"}

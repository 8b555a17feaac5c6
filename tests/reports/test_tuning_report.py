"""What a report says of how systems were tuned."""

from __future__ import annotations

import json

import pytest
from support.grid import ROOT

from bench.analysis.comparison import comparisons
from bench.reports.document import Paragraph
from bench.reports.tuning import documents
from bench.studies.store import Store


@pytest.mark.parametrize(("more", "said"), [(0, "the same number"), (4, "DIFFERENT numbers")])
def test_terms_are_called_equal_only_where_they_are(tmp_path, more, said):
    stored = ROOT / "results/lastfm-tuned/tuning.json"
    content = json.loads(stored.read_text(encoding="utf-8"))
    content["systems"][0]["budget"] += more
    (tmp_path / "tuning.json").write_text(json.dumps(content), encoding="utf-8")
    (document,) = documents(tmp_path)
    first = next(part for part in document.parts if isinstance(part, Paragraph))
    assert said in first.text


def test_costs_of_tuned_systems_are_those_that_were_measured_in_turns():
    """The systems stand under plain names there, and were measured with what was chosen."""
    store = Store(ROOT / "results/lastfm-tuned")
    measured = store.costs_in_turns()
    for comparison in comparisons(store):
        assert comparison.in_turns
        for _, row in comparison.cells.iterrows():
            record = store.load(row["key"])
            its = measured[record.cell.system]
            assert row["cost_s"] == its["epoch_cpu_s"] * record.timings["epochs"]
            assert row["targets_per_s"] == its["targets_per_s"]

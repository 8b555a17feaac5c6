"""What a report says of how systems were tuned."""

from __future__ import annotations

import json

import pytest
from support.grid import ROOT

from bench.reports.document import Paragraph
from bench.reports.tuning import documents


@pytest.mark.parametrize(("more", "said"), [(0, "the same number"), (4, "DIFFERENT numbers")])
def test_terms_are_called_equal_only_where_they_are(tmp_path, more, said):
    stored = ROOT / "results/lastfm-tuned/tuning.json"
    content = json.loads(stored.read_text(encoding="utf-8"))
    content["systems"][0]["budget"] += more
    (tmp_path / "tuning.json").write_text(json.dumps(content), encoding="utf-8")
    (document,) = documents(tmp_path)
    first = next(part for part in document.parts if isinstance(part, Paragraph))
    assert said in first.text

"""References of stored studies, measured again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support import cell_of
from support.results import result_of

from bench import datasets, references, report
from bench.analysis.comparison import comparisons
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.references.ranking import measure
from bench.studies.store import Store


@pytest.fixture
def study(tmp_path):
    """A cell on a twin, of before there were references."""
    twin = datasets.resolve_dataset("beauty-twin", None)
    split = make_split(twin, "user", 0)
    cell = replace(
        cell_of("uniform"), dataset="beauty-twin", fingerprint=twin.fingerprint,
        split_digest=split.digest,
    )  # fmt: skip
    store = Store(tmp_path / "study")
    store.save(result_of(cell))
    return store, TrainingData.of(twin, split), split


def test_what_is_measured_later_is_what_a_cell_would_keep(study, capsys):
    store, data, split = study
    arguments = ["references", "study", "--results", str(store.root.parent)]
    assert not comparisons(store)[0].references
    assert report.main(arguments) == 0
    assert "references on 1 datasets and splits" in capsys.readouterr().out
    (comparison,) = comparisons(store)
    names = ["popularity ranking", "co-occurrence", "item-knn", "markov", "best reachable"]
    assert list(comparison.references) == names
    counted = references.registry.build("popularity", {})
    counted.fit(data)
    expected = measure(counted, split.test, data.n_items)
    assert comparison.references["popularity ranking"]["beauty-twin"] == pytest.approx(expected)
    choices = json.loads((store.root / "references.json").read_text())
    assert all("reference_choices" in found for found in choices.values())


def test_other_data_and_damage_are_refused(study, capsys):
    store, _, _ = study
    store.save(result_of(replace(cell_of("dns"), dataset="beauty-twin")))
    arguments = ["references", "study", "--results", str(store.root.parent)]
    assert report.main(arguments) == 2
    assert "was trained on other data" in capsys.readouterr().err
    (store.root / "references.json").write_text('{"x": {"references": 3}}')
    assert report.main(["study", "--results", str(store.root.parent)]) == 2
    assert "references.json" in capsys.readouterr().err
    assert report.main(["references", "none", "--results", str(store.root.parent)]) == 2

"""What a run prints at its end."""

from __future__ import annotations

from dataclasses import replace

from support import cell_of
from support.results import result_of

from bench.analysis.comparison import comparisons
from bench.reports.closing import _table
from bench.reports.names import Names
from bench.studies.store import Store


def test_no_mean_of_easy_datasets_stands_beside_means_of_all(tmp_path):
    """Of srns, which was trained on one of the two datasets, there is none."""
    store = Store(tmp_path)
    for dataset, shares in (
        ("one", {"uniform": 0.2, "dns": 0.3, "srns": 0.05}),
        ("two", {"uniform": 0.1, "dns": 0.1}),
    ):
        for sampler, share in shares.items():
            for name in ("sasrec", "gru4rec"):
                cell = replace(
                    cell_of(sampler),
                    dataset=dataset,
                    fingerprint=dataset.encode().hex() * 8,
                    backbone=replace(cell_of().backbone, name=name),
                )
                store.save(result_of(cell, share))
    table = _table(comparisons(store)[0], Names())
    assert [line.split() for line in table.splitlines()] == [
        ["mean", "of", "datasets", "gru4rec", "sasrec"],
        ["dns", "0.2000", "0.2000"],
        ["uniform", "0.1500", "0.1500"],
        ["srns", "–", "–"],
        ["not", "on", "all", "datasets:", "srns"],
    ]

"""Cells of one label are called by what tells them apart, wherever a person reads of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support import cell_of

from bench.cell import Component
from bench.studies import run_cell
from bench.studies.namesakes import labels_of, what_differs
from bench.studies.run_cell import Task
from bench.studies.store import Store

PLAIN = cell_of("dns")


def deeper(cell):
    backbone = Component("sasrec", cell.backbone.hyper | {"layers": 3})
    return replace(cell, backbone=backbone)


@pytest.mark.parametrize(
    ("cells", "added"),
    [
        ([PLAIN], [""]),
        ([cell_of("dns", seed=1), PLAIN, cell_of("uniform")], ["", "", ""]),
        ([cell_of("dns", hyper={"N": 3}), PLAIN], [" (N=3)", " (N=5)"]),
        ([PLAIN, deeper(PLAIN)], [" (sasrec.layers=2)", " (sasrec.layers=3)"]),
        ([PLAIN, cell_of("dns", lr=0.01)], [" (lr=0.001)", " (lr=0.01)"]),
        (
            [cell_of("mdcns", hyper={"peer": "sasrec"}), cell_of("mdcns")],
            [" (peer=sasrec)", " (peer=gru4rec)"],
        ),
        ([PLAIN, cell_of("dns", epochs=7)], [" (epochs=2)", " (epochs=7)"]),
    ],
)
def test_a_label_has_what_tells_it_from_its_namesakes_and_no_more(cells, added):
    assert labels_of(cells) == {c.key: c.label + a for c, a in zip(cells, added, strict=True)}


def test_a_peer_is_named_without_the_options_that_only_it_has():
    peers = [
        {"peer": "gru4rec", "M": 1, "gru4rec.layers": 2},
        {"peer": "gru4rec", "M": 1, "gru4rec.layers": 1},
        {"peer": "mamba4rec", "M": 1, "mamba4rec.state": 16},
    ]
    assert what_differs(["mdcns"] * 2, peers[1:]) == ["peer=gru4rec", "peer=mamba4rec"]
    assert what_differs(["mdcns"] * 3, peers) == [
        "gru4rec.layers=2, peer=gru4rec",
        "gru4rec.layers=1, peer=gru4rec",
        "peer=mamba4rec",
    ]
    assert what_differs(["dns"] * 2, [{"M": 1}, {}]) == ["M=1", ""]


def test_a_cell_in_training_and_a_failed_one_are_called_so(tmp_path):
    row = {"epoch": 1.0, "valid_ndcg@10": 0.1}
    for label, said in (("dns (N=3)", "dns (N=3)"), ("", PLAIN.label)):
        task = Task(PLAIN, "code", 1, progress=tmp_path / "progress.json", label=label)
        run_cell._progress_writer(task)(row)
        assert json.loads(task.progress.read_text())["cell"] == said
        failure = Store(tmp_path / "study").save_failure(PLAIN, "it broke", label)
        assert failure.read_text().splitlines()[0] == said

"""A report of many cells: each is read once, and the page stays small."""

from __future__ import annotations

from collections import Counter

import pytest
from support import large

from bench.reports.study_report import study_report
from bench.reports.writing import files_of
from bench.studies import cell_files
from bench.studies.store import Store

MOST = 5_000_000
"""Bytes of the page of a thousand cells."""


@pytest.mark.usefixtures("sketches")
def test_the_record_of_a_cell_is_read_once(tmp_path, monkeypatch):
    store = large.made(tmp_path / "results", datasets=1, seeds=1, users=20, epochs=2)
    read, reads = cell_files.read_json, Counter()

    def counted(path, *arguments):
        reads[path.parent.name] += 1
        return read(path, *arguments)

    monkeypatch.setattr(cell_files, "read_json", counted)
    files_of(study_report(store.root))
    assert not store.unreadable()
    assert set(reads.values()) == {1}
    assert len(reads) == len(large.SAMPLERS) * len(large.BACKBONES)


def test_a_record_that_has_changed_is_read_again(tmp_path):
    store = large.made(tmp_path / "results", datasets=1, seeds=1, users=20, epochs=2)
    key = next(store.records()).key
    record = store.root / "cells" / key / "cell.json"
    assert store.load(key).best_epoch == 1
    record.write_text(record.read_text().replace('"best_epoch": 1,', '"best_epoch": 11,'))
    cell_files.seal(record.parent)
    assert Store(store.root).load(key).best_epoch == 11


@pytest.mark.slow
def test_the_page_of_a_thousand_cells_is_small(tmp_path):
    store = large.made(tmp_path / "results")
    assert len(list(store.records())) == 1000
    page = files_of(study_report(store.root))["index.html"]
    assert len(page) < MOST

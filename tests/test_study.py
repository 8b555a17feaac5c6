"""The committed studies: reports follow from their cells, and texts quote nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from bench import report
from bench.store import Store

ROOT = Path(__file__).resolve().parent.parent
STUDIES = ["paper-sasrec", "paper-lastfm", "paper-kuairand"]
COMPARED = {".md", ".tex"}


@pytest.fixture(scope="module", params=STUDIES)
def study(request):
    return request.param


@pytest.fixture(scope="module")
def regenerated(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return {path.name: path for path in report.write(ROOT / "results" / study, folder / study)}


def test_every_cell_is_sound(study):
    root = ROOT / "results" / study
    keys = {path.name for path in (root / "cells").iterdir()}
    assert {record["key"] for record in Store(root).records()} == keys
    assert set(pd.read_csv(root / "index.csv")["key"]) == keys


def test_its_tables_are_written_again_to_the_byte(study, regenerated):
    committed = {path.name: path for path in (ROOT / "reports" / study).iterdir()}
    assert set(committed) == set(regenerated)
    for name, path in committed.items():
        if path.suffix in COMPARED:
            assert regenerated[name].read_bytes() == path.read_bytes(), name


@pytest.mark.slow
def test_its_plots_and_page_are_written_again_to_the_byte(study, regenerated):
    """With the pinned versions; another matplotlib draws other bytes."""
    for path in (ROOT / "reports" / study).iterdir():
        assert regenerated[path.name].read_bytes() == path.read_bytes(), path.name


def quoted(text):
    """Numbers of four decimals, as metrics are written."""
    return re.findall(r"(?<![\d.])0?\.\d{4}(?!\d)", text)


def known():
    """Such numbers in the stored results and the published figures."""
    tables = [Store(ROOT / "results" / study).frame() for study in STUDIES]
    tables += [pd.read_csv(path) for path in (ROOT / "results" / "paper").glob("*.csv")]
    values = [table.select_dtypes("number").to_numpy().ravel() for table in tables]
    return {f"{value:.4f}" for each in values for value in each}


@pytest.mark.parametrize("name", ["README.md", "reports/README.md"])
def test_no_figure_in_a_text_is_without_a_source(name):
    text = (ROOT / name).read_text()
    assert {f"{float(number):.4f}" for number in quoted(text)} <= known()

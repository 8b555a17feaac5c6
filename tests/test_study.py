"""The committed study: its reports follow from its cells, and its texts quote nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from bench import report
from bench.store import Store

ROOT = Path(__file__).resolve().parent.parent
STUDY = ROOT / "results" / "paper-sasrec"
REPORTS = ROOT / "reports" / "paper-sasrec"
COMPARED = {".md", ".tex"}


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return {path.name: path for path in report.write(STUDY, folder)}


def test_every_cell_is_sound():
    keys = {path.name for path in (STUDY / "cells").iterdir()}
    assert {record["key"] for record in Store(STUDY).records()} == keys
    assert set(pd.read_csv(STUDY / "index.csv")["key"]) == keys


def test_its_tables_are_written_again_to_the_byte(regenerated):
    committed = {path.name for path in REPORTS.iterdir()}
    assert committed == set(regenerated)
    for name in committed:
        if Path(name).suffix in COMPARED:
            assert regenerated[name].read_bytes() == (REPORTS / name).read_bytes(), name


@pytest.mark.slow
def test_its_plots_and_page_are_written_again_to_the_byte(regenerated):
    """With the pinned versions; another matplotlib draws other bytes."""
    for path in REPORTS.iterdir():
        assert regenerated[path.name].read_bytes() == path.read_bytes(), path.name


def quoted(text):
    """Numbers of four decimals, as metrics are written."""
    return re.findall(r"(?<![\d.])0?\.\d{4}(?!\d)", text)


def known():
    """Such numbers in the stored results, the published tables and the study's own reports."""
    frame = Store(STUDY).frame().select_dtypes("number")
    numbers = {f"{value:.4f}" for value in frame.to_numpy().ravel()}
    for path in (ROOT / "results" / "paper").glob("*.csv"):
        columns = pd.read_csv(path).select_dtypes("number")
        numbers |= {f"{value:.4f}" for value in columns.to_numpy().ravel()}
    for path in REPORTS.glob("*.md"):
        numbers |= set(quoted(path.read_text()))
    return numbers


@pytest.mark.parametrize("name", ["README.md", "reports/README.md"])
def test_no_figure_in_a_text_is_without_a_source(name):
    text = (ROOT / name).read_text()
    missing = {number for number in quoted(text) if f"{float(number):.4f}" not in known()}
    assert not missing

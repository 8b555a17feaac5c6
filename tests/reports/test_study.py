"""The committed studies: reports follow from their cells, and texts quote nothing else.

When cells have come in, `python -m bench.report STUDY` writes the report of a study anew, and
`PYTHONPATH=.:tests python tests/reports/test_front_page.py` the tables of README.md and of
reports/README.md.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from support.grid import clean_environment
from support.studies import ROOT, STUDIES, known, quoted, the_other_way

from bench.metrics import METRICS
from bench.reports.writing import write
from bench.studies.store import Store

COMPARED = {".md", ".tex", ".csv", ".json"}
TEXTS = ["README.md", "reports/README.md", "docs/first-edition.md", "docs/second-edition.md"]


@pytest.fixture(scope="module", params=STUDIES)
def study(request):
    return request.param


def written(study, folder):
    return {path.name: path for path in write(ROOT / "results" / study, folder / study)}


def test_every_cell_is_sound(study):
    root = ROOT / "results" / study
    keys = {path.name for path in (root / "cells").iterdir()}
    assert {record.key for record in Store(root).records()} == keys
    assert set(pd.read_csv(root / "index.csv")["key"]) == keys


@pytest.mark.usefixtures("sketches")
def test_its_tables_are_written_again_to_the_byte(study, tmp_path):
    tables = written(study, tmp_path)
    committed = {path.name: path for path in (ROOT / "reports" / study).iterdir()}
    assert set(committed) == set(tables)
    for name, path in committed.items():
        if path.suffix in COMPARED:
            assert tables[name].read_bytes() == path.read_bytes(), name


@pytest.mark.slow
def test_its_plots_and_page_are_written_again_to_the_byte(study, tmp_path):
    """With the pinned versions; another matplotlib draws other bytes."""
    regenerated = written(study, tmp_path)
    for path in (ROOT / "reports" / study).iterdir():
        assert regenerated[path.name].read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_the_readme_s_command_trains_a_cell_again(data_dir, tmp_path):
    """To the last digit on the same kind of processor with the same packages, else nearly."""
    readme = (ROOT / "README.md").read_text()
    (command,) = [line for line in readme.splitlines() if line.endswith("--study again")]
    words = shlex.split(command.replace("--data-dir data", f"--data-dir {data_dir}"))
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, env=clean_environment(), check=True)
    (again,) = Store(tmp_path / "results" / "again").records()
    committed = Store(ROOT / "results" / "lastfm-mended").load(again.key)
    same = ("cpu", "packages", "threads")
    equal = all(again.environment[each] == committed.environment[each] for each in same)
    tolerance = 0.0 if equal else 1e-3
    for part in ("valid", "test"):
        for name in METRICS:
            expected = pytest.approx(committed.metrics[part][name], rel=0, abs=tolerance)
            assert again.metrics[part][name] == expected


@pytest.mark.parametrize("name", TEXTS)
def test_no_figure_in_a_text_is_without_a_source(name):
    text = (ROOT / name).read_text()
    assert {f"{float(number):.4f}" for number in quoted(text)} <= known()


@pytest.mark.parametrize(
    ("name", "least"), [("reports/README.md", 10), ("docs/first-edition.md", 20)]
)
def test_intervals_are_those_of_the_significance_files(name, least):
    """A difference in % is followed by its interval, ``(… to …)``, to whole per cents."""
    tables = [
        pd.read_csv(path)[["relative", "relative_low", "relative_high"]]
        for study in STUDIES
        for path in (ROOT / "reports" / study).glob("significance-*.csv")
    ]
    pairs = pd.concat(tables).dropna().to_numpy()
    both = np.vstack([pairs, the_other_way(pairs)])
    known = {(abs(value), low, high) for value, low, high in both.round().tolist()}
    text = " ".join((ROOT / name).read_text().split())
    number = r"([+-]?\d+)"
    found = re.findall(
        rf"{number} %?[^%]{{0,40}}?\(?(?:95 % interval )?{number} to {number}(?: %)?(?=[),])", text
    )
    assert len(found) > least
    for value, low, high in found:
        assert (abs(float(value)), float(low), float(high)) in known, (value, low, high)

"""study.json: exactly the cells of a study, trained again elsewhere."""

from __future__ import annotations

import json
import shutil

import pytest
from support.grid import SMALL, in_process, records

from bench.errors import UserError
from bench.studies import study_file
from bench.studies.store import STUDY_FILE


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two samplers, one of them with a setting of its own and a peer."""
    folder = tmp_path_factory.mktemp("study")
    chosen = ["--samplers", "uniform", "mdcns", "--seeds", "1", "--set", "mdcns.gamma=2"]
    assert in_process(folder, "--workers", "1", *SMALL, *chosen)[0] == 0
    return folder


def test_the_same_cells_are_trained_again_from_the_file_alone(trained, tmp_path):
    path = tmp_path / "elsewhere" / STUDY_FILE
    path.parent.mkdir()
    shutil.copy(trained / "results/smoke/study.json", path)
    assert in_process(tmp_path, "--workers", "1", "--from", str(path))[0] == 0
    found, before = records(tmp_path, "elsewhere"), records(trained)
    assert len(found) == 2
    for key, record in found.items():
        for part in ("config", "metrics", "buckets", "best_epoch"):
            assert record[part] == before[key][part]


def test_what_else_would_choose_cells_is_refused(trained):
    path = trained / "results/smoke/study.json"
    for option, *values in (["--seeds", "2"], ["--preset", "paper"], ["--set", "epochs=3"]):
        status, said = in_process(trained, "--from", str(path), option, *values)
        assert status == 2
        assert f"leave out {option}" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "not a study.json"),
        ('{"cells": 3}', "not a list"),
        ('{"cells": []}', "names no cell"),
    ],
)
def test_a_file_that_is_none_is_one_error(tmp_path, text, message):
    path = tmp_path / "study.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        study_file.plan_of(path, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "0" * 64}, "was trained on other data"),
        ({"sampler": {"name": "unifrom", "hyper": {}}}, "unifrom"),
        ({"protocol": 3}, "is not an object"),
    ],
)
def test_cells_that_cannot_be_had_here_are_one_error(trained, tmp_path, change, message):
    stored = json.loads((trained / "results/smoke/study.json").read_text())
    stored["cells"][0] |= change
    path = tmp_path / "study.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(UserError, match=message):
        study_file.plan_of(path, None)

"""study.json: exactly the cells of a study, trained again elsewhere."""

from __future__ import annotations

import json
import shutil

import pytest
from support.grid import SMALL, grid, in_process, records

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


PLUGIN = """
import samplers
from samplers.uniform import Uniform

@samplers.register("mine")
class Mine(Uniform):
    "As uniform."
"""


def test_components_of_a_plug_in_are_known_to_workers_too(tmp_path):
    """Whose cells are trained again from the file, by two of them."""
    plugin = tmp_path / "plugin_of_mine.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    chosen = [*SMALL, "--samplers", "uniform", "mine", "--seeds", "1", "--plugin", str(plugin)]
    assert grid(tmp_path, "--workers", "1", *chosen).returncode == 0
    words = ["--from", str(tmp_path / "results/smoke/study.json"), "--plugin", str(plugin)]
    found = grid(tmp_path, *words, "--workers", "2", "--study", "again", "--yes")
    assert found.returncode == 0, found.stderr
    assert records(tmp_path, "again").keys() == records(tmp_path).keys()


def test_users_that_a_file_assigned_are_assigned_by_it_again(tmp_path):
    log, roles = tmp_path / "shop.csv", tmp_path / "roles.txt"
    rows = [f"u{user},i{(user * 7 + 5 * step) % 40}" for user in range(40) for step in range(6)]
    log.write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    parts = ["train", "train", "val", "test"]
    roles.write_text("".join(f"u{user} {parts[user % 4]}\n" for user in range(40)))
    small = ["--preset", "smoke", "--set", "dim=8", "N=5", "--backbones", "sasrec", "--yes"]
    chosen = ["--datasets", str(log), "--samplers", "uniform", "--split-file", str(roles)]
    assert in_process(tmp_path, "--workers", "1", *small, *chosen)[0] == 0
    path = tmp_path / "results/smoke/study.json"
    with pytest.raises(UserError, match=r"--split-file that assigned its users"):
        study_file.plan_of(path, None, [str(log)])
    (cell,) = study_file.plan_of(path, None, [str(log)], roles).cells
    assert cell.key in records(tmp_path)
    words = ["--from", str(path), "--datasets", str(log), "--split-file", str(roles)]
    assert in_process(tmp_path, *words, "--dry-run")[0] == 0


def test_a_dataset_that_is_none_of_the_study_s_is_refused(trained):
    with pytest.raises(UserError, match=r"--datasets toys-twin: it is no dataset of the study"):
        study_file.plan_of(trained / "results/smoke/study.json", None, ["toys-twin"])


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

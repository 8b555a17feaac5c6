"""What users were shown: read from a file, made for a twin, asked for by a sampler."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from support import dataset_of

from bench.cell import PRESETS
from bench.datasets import resolve_dataset
from bench.datasets.reading.readers import read_exposures
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.studies.planning import make_plan
from bench.studies.request import preset_request

DATASET = dataset_of([[1, 2, 3], [4, 5]], n_items=9)


def write(path, text):
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_positions_count_what_the_user_had_taken_before(tmp_path):
    path = write(tmp_path / "x.txt.gz", "1 -7 +1 -8 -9 +2 +3 -4\n2 +4 +5\n")
    read = read_exposures(path, DATASET)
    assert read.items.tolist() == [7, 8, 9, 4]
    assert read.positions.tolist() == [0, 1, 1, 3]
    assert read.offsets.tolist() == [0, 4, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 +1 +2 +3\n", "its users are not those"),
        ("1 +1 +2 +3\n2 +4 -10 +5\n", "line 2: -10 is not a signed item id"),
        ("1 +1 0 +2 +3\n2 +4 +5\n", "line 1: 0 is not a signed item id"),
        ("1 +2 +1 +3\n2 +4 +5\n", "are not the interactions"),
        ("1 +1 +2\n2 +3 +4 +5\n", "are not the interactions"),
        (f"1 +1 +2 +3 {-(2**63)}\n2 +4 +5\n", "line 1: -9223372036854775808 is not a signed"),
        ("1 +1 +2 x\n2 +4 +5\n", "line 1"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_exposures(write(tmp_path / "x.txt.gz", text), DATASET)


def test_kuairand_has_its_exposures(data_dir):
    dataset = resolve_dataset("kuairand", data_dir)
    assert len(dataset.exposures.items) == 578_561
    # The first user's line begins +1 -753 -2879 +2 +3 +4 -2725.
    assert dataset.exposures.items[:3].tolist() == [753, 2879, 2725]
    assert dataset.exposures.positions[:3].tolist() == [1, 1, 4]


def test_the_twin_never_shows_before_a_step_what_is_taken_in_it():
    twin = resolve_dataset("kuairand-twin", None)
    shown = twin.exposures
    user = np.repeat(np.arange(twin.n_users), np.diff(shown.offsets))
    assert (shown.items != twin.items[twin.offsets[user] + shown.positions]).all()
    split = twin.n_users - twin.only_tested
    assert shown.offsets[split] == len(shown.items)  # nothing is shown to those only tested on
    assert 1.0 < len(shown.items) / twin.offsets[split] < 1.5
    plain = resolve_dataset("beauty-twin", None)
    assert plain.exposures is None


def request(datasets, samplers):
    return preset_request(PRESETS["smoke"], datasets=datasets, samplers=samplers,
                          backbones=["sasrec"], settings=[])  # fmt: skip


def test_asked_for_by_name_without_exposures_is_an_error_that_says_where_to_get_them():
    with pytest.raises(UserError, match=r"'beauty-twin' records no exposures.*kuairand"):
        make_plan(request(["beauty-twin"], ["exposure"]))


def test_all_samplers_leave_it_out_where_it_cannot_be_and_say_so():
    plan = make_plan(request(["beauty-twin", "kuairand-twin"], None))
    assert [r for r in plan.skipped if "exposure" in r and "beauty-twin" in r]
    found = {cell.dataset for cell in plan.cells if cell.sampler.name == "exposure"}
    assert found == {"kuairand-twin"}


@pytest.mark.parametrize("name", ["user", "leave-one-out"])
def test_training_gets_no_exposure_of_a_held_out_user_or_time(name):
    twin = resolve_dataset("kuairand-twin", None)
    split = make_split(twin, name, 0)
    seen, train = TrainingData.of(twin, split).exposures, split.train
    length = dict(zip(train.users.tolist(), np.diff(train.offsets).tolist(), strict=True))
    expected = [
        (user, int(item), int(position))
        for user in range(twin.n_users)
        for item, position in zip(
            twin.exposures.items[twin.exposures.offsets[user] : twin.exposures.offsets[user + 1]],
            twin.exposures.positions[
                twin.exposures.offsets[user] : twin.exposures.offsets[user + 1]
            ],
            strict=True,
        )
        if position < length.get(user, 0)
    ]
    users = np.repeat(np.arange(twin.n_users), np.diff(seen.offsets)).tolist()
    found = list(zip(users, seen.items.tolist(), seen.positions.tolist(), strict=True))
    assert found == expected
    assert 0 < len(found) < len(twin.exposures.items)

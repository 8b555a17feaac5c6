"""The commands that a page gives train what the study has."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from support import cell_of
from support.results import result_of

from bench import datasets, grid, grid_run
from bench.datasets.official import OfficialSource
from bench.datasets.splits import make_split
from bench.grid_options import parser
from bench.reports import reproduce
from bench.reports.reproduce import commands
from bench.studies.planning import make_plan
from bench.studies.store import Store


@pytest.mark.parametrize("preset", ["smoke", "quick"])
@pytest.mark.parametrize("rates", [[], ["lr=0.003"], ["linrec.lr=0.5"], ["lr=1", "gru4rec.lr=3"]])
def test_the_command_trains_what_the_study_has(tmp_path, preset, rates):
    given = ["--preset", preset, "--datasets", "beauty-twin"]
    given += ["--backbones", "sasrec", "linrec", "gru4rec"]
    given += ["--samplers", "uniform", "mdcns", "gbce", "--objectives", "bpr", "--seeds", "2"]
    given += ["--set", "mdcns.gamma=1.5", "N=15", "sasrec.dropout=0.1", *rates]
    planned = plan_of(given)
    store = Store(tmp_path / "study")
    for cell in planned:
        store.save(result_of(cell))
    (command,) = commands(store)
    words = shlex.split(command.line)
    assert words[:5] == ["python", "-m", "bench.grid", "--study", "study"]
    assert command.notes == []
    assert {cell.key for cell in plan_of(words[3:])} == {cell.key for cell in planned}


def plan_of(arguments):
    options = parser().parse_args(arguments)
    return make_plan(grid_run.request(options)).cells


def test_settings_that_exclude_each_other_need_a_command_each(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 1})))
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 2})))
    found = commands(store)
    assert len(found) == 2
    assert [f"dns+.M={m}" in c.line for c, m in zip(found, (1, 2), strict=True)] in (
        [True, True],
        [False, False],
    )
    assert "In place of made-up give the path of the log." in found[0].notes


def test_a_grid_of_settings_is_one_command_as_long_as_all_of_it_is_there(tmp_path):
    given = ["--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "sasrec", "gru4rec"]
    given += ["--samplers", "dns+", "mixgcf", "--seeds", "2", "--grid"]
    planned = plan_of(given)
    store = Store(tmp_path / "study")
    for cell in planned[:-1]:
        store.save(result_of(cell))
    (command,) = commands(store)
    assert command.notes == ["It also trains what the study does not have: 1 more cells."]
    assert {cell.key for cell in plan_of(shlex.split(command.line)[3:])} == {
        cell.key for cell in planned
    }
    part = Store(tmp_path / "part")  # of two samplers one grid whole, and two settings of another
    for cell in planned:
        if cell.sampler.name == "dns+" or cell.sampler.hyper["mix"] == 0.5:
            part.save(result_of(cell))
    assert sorted("--grid" in command.line for command in commands(part))[-2:] == [False, True]


@pytest.mark.usefixtures("sketches")
def test_a_file_that_assigned_the_users_is_named(tmp_path):
    users = tmp_path / "users by hand.txt"
    data = datasets.resolve_dataset("beauty-twin", None)
    roles = ["train"] * 8 + ["val", "test"]
    labels = data.user_labels.tolist()
    lines = [f"{label} {roles[i % 10]}\n" for i, label in enumerate(labels)]
    users.write_text("".join(lines), encoding="utf-8")
    study = ["--study", "study", "--results", str(tmp_path), "--reports", str(tmp_path / "reports")]
    given = ["--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "gru4rec"]
    given += ["--samplers", "uniform", "--set", "dim=8", "epochs=1", "N=5", "--workers", "1"]
    assert grid.main([*given, *study, "--split-file", str(users)]) == 0
    store = Store(tmp_path / "study")
    (command,) = commands(store)
    assert "--split-file 'users by hand.txt'" in command.line
    assert command.notes == [
        "In place of users by hand.txt give the path of that file, which assigned the users."
    ]
    words = shlex.split(command.line)[3:]
    words[words.index(users.name)] = str(users)
    assert {cell.key for cell in plan_of(words)} == {record.key for record in store.records()}
    # The same with the seeded users beside it: a command each.
    assert grid.main([*given, *study]) == 0
    assert sorted("--split-file" in command.line for command in commands(store)) == [False, True]


def test_users_that_no_seed_gives_were_assigned_by_a_file_even_if_none_is_named(tmp_path):
    store = Store(tmp_path / "study")
    fingerprint, seeded = next(iter(reproduce.SEEDED.items()))
    cell = replace(cell_of(), dataset="beauty", fingerprint=fingerprint, split_digest=seeded)
    store.save(result_of(cell))
    assert "--split-file" not in commands(store)[0].line
    store.save(result_of(replace(cell, split_digest="e" * 16)))
    seeded, assigned = sorted(commands(store), key=lambda command: "FILE" in command.line)
    assert seeded.notes == []
    assert "--split-file FILE" in assigned.line
    assert "trained on users assigned by a file that this study does not name" in assigned.notes[0]


def test_the_authors_users_are_given_by_the_name_of_their_split(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(replace(cell_of(split="authors"), dataset="beauty")))
    (command,) = commands(store)
    assert "--split authors" in command.line
    assert "--split-file" not in command.line


def test_the_seeded_users_of_the_real_datasets_are_known(data_dir):
    names = [
        name
        for name in datasets.registry.names()
        if issubclass(datasets.registry.get(name), OfficialSource)
    ]
    loaded = [datasets.resolve_dataset(name, data_dir) for name in names]
    digests = {data.fingerprint: make_split(data, "user", 0).digest for data in loaded}
    assert digests == reproduce.SEEDED

"""A study on a log of one's own: how it was read goes with its cells, and can be done again."""

from __future__ import annotations

import json
import random
import shlex

import numpy as np
import pandas as pd
import pytest
from support.grid import grid as in_a_process

import bench
from bench import data, grid, report
from bench.cell import PRESETS
from bench.grid_options import parser
from bench.grid_run import request
from bench.reports.reproduce import commands
from bench.studies import external, study_file
from bench.studies.planning import make_plan
from bench.studies.store import Store

OPTIONS = ["--columns", "user=who,item=what,time=when", "--where", "event=buy", "--where",
           "stars>=2", "--min-count", "2", "--repeats", "first"]  # fmt: skip
SYSTEM = ["--samplers", "uniform", "--backbones", "gru4rec", "--workers", "1"]
SETTINGS = ["--set", "epochs=1", "N=5", "dim=8"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    rng = random.Random(0)
    rows = [
        f"c{u};s{rng.randrange(60)};{t};{rng.choice(['buy', 'look'])};{rng.randint(1, 5)}"
        for u in range(80)
        for t in range(20)
    ]
    path = tmp_path_factory.mktemp("log") / "shop.csv"
    path.write_text("\n".join(["who;what;when;event;stars", *rows]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(log, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    where = ["--results", str(folder / "results"), "--reports", str(folder / "reports")]
    given = ["--datasets", str(log), *OPTIONS, *SYSTEM, *SETTINGS]
    assert grid.main([*given, *where]) == 0
    return folder, given


def keys_of(words):
    return {cell.key for cell in make_plan(request(parser().parse_args(words))).cells}


def test_cells_know_their_log_and_what_was_read_of_it(trained, log):
    folder, _ = trained
    (record,) = Store(folder / "results/standard").records()
    assert record.log == "shop.csv"
    assert record.reading.words() == OPTIONS
    page = (folder / "reports/standard/index.html").read_text(encoding="utf-8")
    for said in (
        "1,600 rows read, user=who, item=what, time=when",
        "rows left out by --repeats first",
    ):
        assert said in page
        assert any(said in note for note in record.notes)


def test_the_command_on_the_page_trains_the_same_cells(trained, log):
    folder, _ = trained
    store = Store(folder / "results/standard")
    (command,) = commands(store)
    assert shlex.join(OPTIONS) in command.line
    words = shlex.split(command.line)[3:]
    assert words[words.index("--datasets") + 1] == "shop.csv"
    assert command.notes == ["In place of shop.csv give the path of the log."]
    words[words.index("--datasets") + 1] = str(log)
    assert "--data-dir" not in words
    assert keys_of(words) == {record.key for record in store.records()}


def test_study_json_reads_the_log_as_the_study_did(trained, log, tmp_path):
    folder, given = trained
    path = folder / "results/standard/study.json"
    assert {cell.key for cell in study_file.plan_of(path, None, [str(log)]).cells} == keys_of(given)
    with pytest.raises(bench.UserError, match=r"a log of your own, shop\.csv; give the path of th"):
        study_file.plan_of(path, None)
    other = tmp_path / "other.csv"
    other.write_text("who;what;when;event;stars\na;b;1;buy;5\nb;b;1;buy;5\n", encoding="utf-8")
    with pytest.raises(bench.UserError, match=r"its content is that of no log|no interaction"):
        study_file.plan_of(path, None, [str(other)])
    stored = json.loads(path.read_text(encoding="utf-8"))
    del stored["logs"]  # as studies before have it
    (tmp_path / "study.json").write_text(json.dumps(stored), encoding="utf-8")
    assert study_file.read(tmp_path / "study.json").logs == {}


def test_a_study_of_python_is_that_of_the_command(trained, log):
    _, given = trained
    reading = bench.Reading.of(
        {"user": "who", "item": 1, "time": "when"}, ["event=buy", "stars>=2"], 2, "first"
    )
    plan = bench.plan(
        datasets=log, samplers="uniform", backbones="gru4rec", reading=reading,
        settings={"epochs": 1, "N": 5, "dim": 8},
    )  # fmt: skip
    assert {cell.key for cell in plan.cells} == keys_of(given)


def test_a_log_of_ones_own_has_the_standard_protocol_unless_asked(log):
    named = ["--datasets", str(log), *OPTIONS, *SYSTEM, "--set", "N=5"]
    made = request(parser().parse_args(named))
    assert made.protocol == PRESETS["standard"].protocol
    assert (made.protocol.dim, made.protocol.window) == (64, 50)
    toy = request(parser().parse_args([*named, "--preset", "quick"]))
    assert toy.protocol == PRESETS["quick"].protocol
    for name, preset in (("beauty-twin", "quick"), ("beauty", "standard")):
        made = request(parser().parse_args(["--datasets", name, *SYSTEM]))
        assert made.protocol == PRESETS[preset].protocol


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--datasets", "beauty-twin", "--min-count", "5"], "--min-count is for logs of your own"),
        (["--preset", "standard", *SYSTEM], "--preset standard has no datasets: give --datasets"),
        (["--datasets", "absent.csv"], r"absent\.csv: no such file"),
    ],
)
def test_what_is_for_own_logs_needs_one(words, message):
    with pytest.raises(bench.UserError, match=message):
        make_plan(request(parser().parse_args([*words, *SYSTEM[:4]])))


def test_how_a_log_was_read_cannot_be_changed_for_given_cells(trained, log, capsys):
    path = trained[0] / "results/standard/study.json"
    assert grid.main(["--from", str(path), "--datasets", str(log), "--min-count", "3"]) == 2
    assert "leave out --min-count" in capsys.readouterr().err


def test_commands_that_need_the_log_read_it_as_the_study_did(trained, log, tmp_path, capsys):
    folder, _ = trained
    where = ["--results", str(folder / "results")]
    ranks = tmp_path / "ranks.csv"
    for command in (["references", "standard"], ["export", "standard", "--ranks", str(ranks)]):
        assert report.main([*command, *where]) == 2
        said = capsys.readouterr().err
        assert "of a log of your own, shop.csv; give the path" in said and "--datasets" in said
        assert report.main([*command, *where, "--datasets", str(log)]) == 0
        other = tmp_path / "other.csv"
        other.write_text("user,item\na,b\na,c\n", encoding="utf-8")
        assert report.main([*command, *where, "--datasets", str(other)]) == 2
        assert "as they were for the study" in capsys.readouterr().err
    table, raw = pd.read_csv(ranks), pd.read_csv(log, sep=";")
    assert len(table) > 0
    # The last of what was read of each user is what came next.
    kept = raw[(raw["event"] == "buy") & (raw["stars"] >= 2)].drop_duplicates(["who", "what"])
    counts = kept["what"].value_counts()
    last = kept[kept["what"].map(counts) > 1].groupby("who")["what"].last()
    assert table["item"].tolist() == last[table["user"]].tolist()


def test_a_split_is_exported_by_own_ids_and_predictions_come_back_by_them(
    trained, log, tmp_path, capsys
):
    folder, _ = trained
    split = tmp_path / "split"
    assert data.main(["export", str(log), *OPTIONS, "--to", str(split)]) == 0
    train, inputs = (pd.read_csv(split / f"{name}.csv") for name in ("train", "test_inputs"))
    assert set(train["item"]) | set(inputs["item"]) <= {f"s{i}" for i in range(60)}
    best = train["item"].value_counts().index
    rows = [(u, item, -at) for u in inputs["user"].unique() for at, item in enumerate(best)]
    pd.DataFrame(rows, columns=["user", "item", "score"]).to_csv(tmp_path / "x.csv", index=False)
    given = ["evaluate", "standard", str(tmp_path / "x.csv"), "--name", "popular",
             "--results", str(folder / "results")]  # fmt: skip
    assert report.main(given) == 2
    assert "a log of your own, shop.csv; give the path" in capsys.readouterr().err
    assert report.main([*given, "--dataset", str(log)]) == 0
    lists = np.array([best] * inputs["user"].nunique())
    study = bench.Study("standard", results=folder / "results")
    again = bench.evaluate(study, "again", lists, dataset=str(log))
    from_file, _ = sorted(external.stored(study.store), key=lambda one: one.name == "again")
    assert from_file.metrics == again.metrics
    assert data.main(["export", "beauty-twin", "--min-count", "2", "--to", str(split)]) == 2
    seeded = ["--split", "leave-one-out", "--split-seed", "3"]
    assert data.main(["export", "beauty-twin", *seeded, "--to", str(split)]) == 2
    assert "--min-count is for logs of your own" in capsys.readouterr().err


def test_a_log_that_is_called_like_a_registered_dataset_is_said_to_be_read_all_the_same(tmp_path):
    log = tmp_path / "beauty.csv"
    rows = [f"u{user},i{(user * 7 + 5 * step) % 40}" for user in range(40) for step in range(6)]
    log.write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    found = in_a_process(tmp_path, *SYSTEM, *SETTINGS, "--preset", "smoke", "--datasets", str(log))
    assert found.returncode == 0, found.stderr
    assert "beauty: 240 rows read, user=user, item=item" in found.stdout + found.stderr


def test_a_frame_is_not_written_over_one_that_cells_are_of(tmp_path):
    frame = pd.DataFrame(
        {"user": np.repeat(range(40), 6), "item": (np.arange(240) * 7 + np.arange(240) // 6) % 40}
    )
    chosen = {"samplers": ["uniform"], "backbone": "gru4rec", "preset": "smoke", "seeds": 1,
              "settings": {"dim": 8, "N": 5}, "budget": None, "results": tmp_path}  # fmt: skip
    with pytest.raises(bench.UserError, match=r"study '\.\./elsewhere'"):
        bench.compare(frame, study="../elsewhere", **chosen)
    assert not list(tmp_path.parent.glob("elsewhere"))
    bench.compare(frame, workers=1, progress=False, **chosen)
    path = tmp_path / "frame/frame.csv"  # a study of its own, not that of a budget
    before = path.read_bytes()
    with pytest.raises(bench.UserError, match=r"another frame of that name; give another name"):
        bench.compare(frame[:200], **chosen)
    assert path.read_bytes() == before

"""From training to use: what is loaded in a new process ranks as what was trained."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support import forked
from support.grid import clean_environment

import bench
from bench.datasets import resolve_dataset
from bench.datasets.splits import make_split
from bench.errors import UserError
from bench.metrics import accuracy
from bench.recommend import _parser, main
from bench.studies import run_cell
from bench.training.evaluation import rank_predictions

ROOT = Path(__file__).resolve().parent.parent.parent
N_ITEMS = 40


def label(item):
    return f"sku-{item:03d}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A log with item ids of its own, two samplers trained on it, and the top items of the test
    users as the training process had them."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    lines = ["user,item,timestamp"]
    for user in range(120):
        start = rng.integers(N_ITEMS)
        times = np.arange(7)
        for t in rng.permutation(times):  # not in order of time
            lines.append(f"u{user},{label((start + t) % N_ITEMS)},{100 + t}")
    (folder / "shop.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plan = bench.plan(
        preset="smoke",
        datasets=[str(folder / "shop.csv")],
        backbones=["sasrec"],
        samplers=["uniform", "mdcns"],
        settings={"epochs": 6, "dim": 8, "N": 10},
        seeds=2,
    )
    tops = {}
    trained = run_cell.fit

    def watched(cell, *rest):
        fitted = trained(cell, *rest)
        split = plan.splits[cell.data_key]
        cpu = torch.device("cpu")
        tops[cell.key] = rank_predictions(fitted.models[:1], split.test, cpu, top=20).top
        return fitted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_cell, "fit", watched)
        study = bench.Study("shop", results=folder / "results")
        result = study.run(plan, workers=1, keep_models=True)
    assert result.ok
    return folder, study, tops


RELOADED = """
import json, sys
import torch
import bench
from bench.datasets import resolve_dataset
from bench.datasets.splits import make_split
from bench.metrics import accuracy
from bench.training.evaluation import rank_predictions

folder, key, which = sys.argv[1:]
data = resolve_dataset(f"{folder}/shop.csv", None)
split = make_split(data, "user", 0)
model = bench.load_model("shop", key, which=which, results=f"{folder}/results")
ranking = rank_predictions(model.models, split.test, torch.device("cpu"), top=20)
inputs = [[str(data.item_labels[i - 1]) for i in part]
          for part in __import__("numpy").split(split.test.items, split.test.offsets[1:-1])]
print(json.dumps({"ranks": ranking.ranks.tolist(), "metrics": ranking.accuracy,
                  "ids": ranking.top.tolist(), "top": model.top(inputs, 20)}))
"""


@pytest.mark.parametrize(
    ("sampler", "which", "array"),
    [
        ("uniform", "self", "rank"),
        ("mdcns", "self", "rank"),
        ("mdcns", "peer", "rank_peer"),
        ("mdcns", "ensemble", "rank_ensemble"),
    ],
)
def test_a_reloaded_model_is_the_trained_one_to_the_last_digit(
    shop, tmp_path, sampler, which, array
):
    folder, study, tops = shop
    (record,) = [r for r in study.records() if r.cell.sampler.name == sampler and r.cell.seed == 1]
    (tmp_path / "reloaded.py").write_text(RELOADED, encoding="utf-8")
    words = ["reloaded.py", folder, record.key, which]
    run = forked.run(words, tmp_path, clean_environment())
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    stored = study.store.arrays(record.key)[array]
    assert found["ranks"] == stored.tolist()
    assert found["metrics"] == accuracy(stored)
    if which == "self":
        assert found["metrics"]["ndcg@10"] == record.test["ndcg@10"]
        assert found["ids"] == tops[record.key].tolist()
        labels = resolve_dataset(str(folder / "shop.csv"), None).item_labels
        for ids, row, scored in zip(
            found["ids"], found["top"], np.isfinite(found["ranks"]), strict=True
        ):
            assert scored
            assert row == [labels[i - 1] for i in ids][: len(row)]
            assert len(row) == 20


def recommend(folder, capsys, *arguments):
    """Exit status, table and standard error of the command."""
    status = main(["shop", *map(str, arguments), "--results", f"{folder}/results"])
    printed = capsys.readouterr()
    return status, list(csv.DictReader(io.StringIO(printed.out))), printed.err


def test_scores_are_states_times_items_and_seen_items_are_masked(shop):
    _, study, _ = shop
    model = bench.load_model(study, "uniform", seed=0)
    sequences = [[label(3), label(4)], [label(9)]]
    scores = model.scores(sequences)
    assert scores.shape == (2, N_ITEMS + 1)
    assert scores.dtype == np.float32
    (backbone,) = model.models
    number = {name: i for i, name in enumerate(model.labels, start=1)}
    with torch.no_grad():
        state = backbone.last(torch.tensor([[number[x] for x in sequences[0]]]), torch.tensor([2]))
        wanted = (backbone.items.weight @ state[0]).numpy()
    seen = [0, *(number[x] for x in sequences[0])]
    assert np.isneginf(scores[0, seen]).all()
    np.testing.assert_allclose(np.delete(scores[0], seen), np.delete(wanted, seen), atol=1e-5)
    open_to_all = model.scores(sequences, allow_seen=True)
    np.testing.assert_allclose(open_to_all[0, 1:], wanted[1:], atol=1e-5)
    assert np.isneginf(open_to_all[:, 0]).all()
    order = np.argsort(-scores[0, 1:])[:5]
    assert model.top(sequences, 5)[0] == [model.labels[i] for i in order]
    assert len(model.top(sequences, 10_000)[0]) == N_ITEMS - 2


def test_what_is_asked_of_a_model_is_checked(shop):
    _, study, _ = shop
    model = bench.load_model(study, "uniform", seed=0)
    assert model.top([]) == []
    assert model.scores([]).shape == (0, N_ITEMS + 1)
    with pytest.raises(bench.UserError, match=r"^k=2\.5: must be a whole number"):
        model.top([[label(3)]], k=2.5)
    with pytest.raises(bench.UserError, match="2 users with 1 sequences: give each one"):
        model.table(["a", "b"], [[label(3)]])
    assert model.top(iter([[label(3)], [label(4)]])) == model.top([[label(3)], [label(4)]])
    for wrong in ([label(3)], [[label(3)], label(4)], [3]):
        with pytest.raises(bench.UserError, match=r"^sequence \d is .*; give a list of sequences"):
            model.top(wrong)


def test_an_ensemble_adds_up_scores(shop):
    _, study, _ = shop
    one, two, both = (
        bench.load_model(study, "mdcns", seed=0, which=which).scores([[label(1)]])[0]
        for which in ("self", "peer", "ensemble")
    )
    kept = np.isfinite(both)
    np.testing.assert_allclose(both[kept], (one + two)[kept], atol=1e-5)


def test_a_sequence_is_continued_in_its_own_labels(shop, capsys):
    folder, study, _ = shop
    given = f"{label(3)}, {label(4)}"
    status, table, errors = recommend(
        folder, capsys, "uniform", "--seed", 1, "--sequence", given, "--k", 3
    )
    assert (status, errors) == (0, "")
    model = bench.load_model(study, "uniform", seed=1)
    assert [row["item"] for row in table] == model.top([[label(3), label(4)]], 3)[0]
    assert [row["rank"] for row in table] == ["1", "2", "3"]
    assert not {label(3), label(4)} & {row["item"] for row in table}


def test_what_was_seen_comes_where_it_is_allowed(shop, capsys):
    folder, _, _ = shop
    base = ["uniform", "--seed", 0, "--sequence", label(3), "--k", N_ITEMS]
    _, table, _ = recommend(folder, capsys, *base)
    assert label(3) not in {row["item"] for row in table}
    _, table, _ = recommend(folder, capsys, *base, "--allow-seen")
    assert {row["item"] for row in table} == {label(i) for i in range(N_ITEMS)}


def test_users_of_a_log_each_get_their_own_in_order_of_time(shop, capsys, tmp_path):
    folder, study, _ = shop
    (tmp_path / "new.csv").write_text(
        f"user,item,timestamp\nann,{label(4)},2\nbob,{label(9)},1\nann,{label(3)},1\n"
        f"bob,nosuch,2\ncid,never,1\n"
    )
    out = tmp_path / "top.csv"
    status, _, errors = recommend(
        folder, capsys, "uniform", "--seed", 0, "--users", tmp_path / "new.csv", "--k", 2,
        "--out", out,
    )  # fmt: skip
    assert status == 0
    assert errors.count("warning") == 2
    assert "2 items are not in the catalogue" in errors
    assert "nosuch, never" in errors
    assert "1 users have no known item and are left out (cid, ...)" in errors
    table = pd.read_csv(out)
    model = bench.load_model(study, "uniform", seed=0)
    wanted = model.top([[label(3), label(4)], [label(9)]], 2)
    assert table["user"].tolist() == ["ann", "ann", "bob", "bob"]
    assert table["item"].tolist() == wanted[0] + wanted[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["uniform", "--sequence", "a"], "2 cells match; choose by --seed or a cell's key"),
        (["unifrom", "--sequence", "a"], "did you mean uniform"),
        (["uniform", "--seed", "7", "--sequence", "a"], "no cell has all that was asked for"),
        (["uniform", "--seed", "0", "--sequence", "a"], "called like 'sku-"),
        (["uniform", "--seed", "0", "--sequence", ""], "none of the items"),
        (["uniform", "--seed", "0", "--sequence", label(1), "--k", "0"], "number from 1"),
        (["uniform", "--seed", "0", "--sequence", label(1), "--model", "peer"], "has no peer"),
        (["uniform", "--seed", "0", "--sequence", label(1), "--out", "a.xls"], "--out a.xls"),
        (["uniform", "--seed", "0", "--sequence", label(1), "--device", "tpu"], "--device tpu"),
        (["uniform", "--seed", "0", "--users", "nosuch.csv"], "no such file"),
    ],
)
def test_bad_input_is_one_error(shop, capsys, arguments, message):
    folder, _, _ = shop
    status, table, errors = recommend(folder, capsys, *arguments)
    assert (status, table) == (2, [])
    assert errors.startswith("error: ")
    assert message in errors
    assert "Traceback" not in errors


def test_what_matches_is_listed(shop, capsys):
    folder, study, _ = shop
    _, _, errors = recommend(folder, capsys, "mdcns", "--sequence", "a")
    for record in study.records():
        listed = record.key in errors
        assert listed == (record.cell.sampler.name == "mdcns")


def test_from_python_unknown_items_are_warned_of_and_nothing_known_is_an_error(shop):
    _, study, _ = shop
    model = bench.load_model(study, "uniform", seed=0)
    with pytest.warns(UserWarning, match="nosuch"):
        found = model.top([[label(1), "nosuch"]], 3)
    assert found == model.top([[label(1)]], 3)
    with pytest.raises(UserError, match="sequence 1"):
        model.top([[label(1)], ["nosuch"]])


def test_a_cell_without_models_says_how_to_get_them(shop):
    folder, _, _ = shop
    plan = bench.plan(
        preset="smoke", datasets=[str(folder / "shop.csv")], backbones=["sasrec"],
        samplers=["popularity"], settings={"dim": 8}, seeds=1,
    )  # fmt: skip
    other = bench.Study("without", results=folder / "results")
    other.run(plan, workers=1)
    with pytest.raises(UserError, match="--keep-models"):
        bench.load_model(other, "popularity")


def test_settings_tell_namesakes_apart(shop):
    folder, _, _ = shop
    other = bench.Study("settings", results=folder / "results")
    for size in (2, 4):
        plan = bench.plan(
            preset="smoke", datasets=[str(folder / "shop.csv")], backbones=["sasrec"],
            samplers=["dns+"], settings={"dim": 8, "N": 10, "dns+.M": size}, seeds=1,
        )  # fmt: skip
        other.run(plan, workers=1, keep_models=True)
    model = bench.load_model(other, "dns+ (M=4)")
    assert model.record.cell.sampler.hyper["M"] == 4
    with pytest.raises(UserError, match="2 cells match; choose by a cell's key"):
        bench.load_model(other, "dns+")


def test_what_the_readme_shows_works(tmp_path):
    plan = bench.plan(preset="smoke", backbones=["sasrec"], samplers=["mdcns"])
    bench.Study("demo", results=tmp_path / "results").run(plan, workers=1, keep_models=True)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n([^`]*bench\.load_model[^`]*)```", readme)
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    run = forked.run(["example.py"], tmp_path, clean_environment())
    assert run.returncode == 0, run.stderr
    lists, shape = run.stdout.splitlines()
    assert [len(each) for each in json.loads(lists.replace("'", '"'))] == [5, 5]
    (dataset,) = plan.datasets.values()
    assert shape == f"(1, {dataset.n_items + 1})"


def test_every_option_that_texts_show_exists():
    known = {option for action in _parser()._actions for option in action.option_strings}
    texts = [ROOT / "README.md", ROOT / "docs/models.md"]
    lines = [
        line for text in texts for line in text.read_text(encoding="utf-8").splitlines()
        if "-m bench.recommend " in line and line.startswith(".venv")
    ]  # fmt: skip
    assert len(lines) == 4
    for line in lines:
        assert {word for word in line.split() if word.startswith("--")} <= known
        _parser().parse_args(shlex.split(line.partition("bench.recommend ")[2]))


def test_split_of_a_log_is_what_the_round_trip_takes_it_for(shop):
    """The reload above splits by itself: that it is the study's split is not taken on trust."""
    folder, study, _ = shop
    data = resolve_dataset(str(folder / "shop.csv"), None)
    split = make_split(data, "user", 0)
    assert {r.cell.split_digest for r in study.records()} == {split.digest}

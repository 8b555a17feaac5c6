"""Models of other libraries under this evaluator: the same numbers, or one clear error."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from support import CPU, ignore, random_sequences

import bench
from bench import datasets, report
from bench.analysis.comparison import comparisons
from bench.data import main as data
from bench.datasets.reading import predictions as reading
from bench.datasets.reading.item_ids import ItemIds
from bench.datasets.training_data import TrainingData
from bench.studies import external
from bench.studies.planning import data_of
from bench.studies.split_files import labels_of
from bench.training import evaluation
from bench.training.loop import fit

TINY = {"dim": 8, "window": 8, "N": 10, "epochs": 1}


def log_of(folder, n_users=80, n_items=40):
    """A log of one's own, whose users and items have names."""
    rows = [
        (f"u{user}, jr.", f"sku {item}", 10 * user + place)
        for user, items in enumerate(random_sequences(n_users, n_items))
        for place, item in enumerate(items)
    ]
    path = folder / "shop.csv"
    pd.DataFrame(rows, columns=["user", "item", "timestamp"]).to_csv(path, index=False)
    return path


def study_on(folder, dataset, split, **more):
    study = bench.Study("study", results=folder / "results")
    plan = bench.plan(
        preset="smoke", datasets=[str(dataset)], backbones=["sasrec"],
        samplers=["uniform", "dns"], split=split, settings=TINY, **more,
    )  # fmt: skip
    study.run(plan, workers=1)
    return study


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A study on a log of one's own with several predictions a user; not to be changed."""
    folder = tmp_path_factory.mktemp("shop")
    log = log_of(folder)
    return log, study_on(folder, log, "user-prefixes")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A study on generated data, tested by expectation; not to be changed."""
    return "beauty-twin", study_on(tmp_path_factory.mktemp("twin"), "beauty-twin", "user")


def split_of(study, dataset):
    cell = study.records()[0].cell
    return data_of(cell, None, datasets.resolve_dataset(str(dataset), None))


def called(own, items):
    """What items are called, by number; a log has its own ids."""
    return np.asarray(items) if own.item_labels is None else own.item_labels[np.asarray(items) - 1]


def trained_scores(study, dataset, monkeypatch):
    """``[P, n_items]`` scores of a stored cell's model, which what users have had leads."""
    record = study.records()[0]
    own, split = split_of(study, dataset)
    found = []
    ranks = evaluation._ranks

    def kept(scores, target, counts):
        found.append(scores.clone().numpy())
        return ranks(scores, target, counts)

    fitted = fit(record.cell, TrainingData.of(own, split), split.valid, CPU, ignore)
    monkeypatch.setattr(evaluation, "_ranks", kept)
    evaluation.rank_predictions(fitted.models[:1], split.test, CPU)
    scores = np.concatenate(found)[:, 1:]
    scores[np.isneginf(scores)] = 1e9
    return record, own, split, scores


def test_scores_with_ties_have_the_numbers_of_the_reference_that_they_are_of(twin, tmp_path):
    name, study = twin
    own, split = split_of(study, name)
    counts = 1.0 * np.bincount(split.train.items, minlength=own.n_items + 1)[1:]
    users, items = labels_of(own, split.test), called(own, 1 + np.arange(own.n_items))
    np.savez(tmp_path / "x", scores=np.tile(counts, (len(users), 1)), users=users, items=items)
    found = bench.evaluate(study, "counted", tmp_path / "x.npz", dataset=name).metrics["test"]
    known = study.records()[0].data["references"]["popularity"]
    assert {metric: found[metric] for metric in known} == pytest.approx(known)


@pytest.mark.parametrize("which", ["shop", "twin"])
def test_a_stored_cell_evaluated_again_has_its_numbers_to_the_last_digit(
    which, request, tmp_path, monkeypatch
):
    name, study = request.getfixturevalue(which)
    record, own, split, scores = trained_scores(study, name, monkeypatch)
    labels = labels_of(own, split.test)
    order = np.random.default_rng(1).permutation(len(labels))  # rows come in any order
    columns = np.random.default_rng(2).permutation(own.n_items)
    path = tmp_path / "scores.npz"
    np.savez(
        path, scores=scores[order][:, columns], users=labels[order], items=called(own, 1 + columns)
    )
    made = bench.evaluate(study, "again", path, dataset=str(name))
    for part, metrics in made.metrics.items():
        assert metrics == record.metrics[part]
    assert made.buckets == record.buckets
    ours, theirs = study.store.arrays(record.key), external.arrays_of(study.store, made.key)
    assert theirs.keys() <= ours.keys() and {"rank", "user", "target"} <= theirs.keys()
    for array, values in theirs.items():
        np.testing.assert_array_equal(values, ours[array])
    (comparison,) = comparisons(study.store)
    gains = comparison.user_gains()[record.cell.dataset, "sasrec"]
    same = gains[record.cell.sampler.name]
    pd.testing.assert_series_equal(gains["again (external)"], same, check_names=False)


def test_lists_of_a_models_best_have_its_metrics_as_far_as_they_go(shop, monkeypatch):
    log, study = shop
    record, own, split, scores = trained_scores(study, log, monkeypatch)
    longest = int(np.diff(split.test.offsets).max())
    order = 1 + np.argsort(-scores, axis=1, kind="stable")
    for k, known in ((10, (5, 10)), (20, (5, 10, 20))):
        # As many more as a user may have had, which come first here.
        lists = called(own, order)[:, : k + longest]
        made = bench.evaluate(study, "lists", lists, dataset=str(log))
        at = {name for name in made.test if name.partition("@")[0] in ("ndcg", "recall")}
        assert at == {f"{name}@{K}" for name in ("ndcg", "recall") for K in known}
        assert "mrr" not in made.test
        assert made.depth >= k
        for name in at:
            assert made.test[name] == pytest.approx(record.test[name], abs=1e-12)
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(labels_of(own, split.test), own.n_items),
            "item_id": called(own, order.ravel()),
            "rank": np.tile(np.arange(own.n_items), len(order)),
        }
    ).sample(frac=1, random_state=0)
    whole = bench.evaluate(study, "whole", frame, dataset=str(log))
    assert whole.depth is None
    assert whole.test["mrr"] == pytest.approx(record.test["mrr"], abs=1e-12)


def by_hand(score, seen, target):
    """Rank of a target by counting; None where it is not listed."""
    if target in seen:
        return None
    left = {item: value for item, value in score.items() if item not in seen}
    if target not in left:
        return None
    above = sum(value > left[target] for value in left.values())
    tied = sum(value == left[target] for value in left.values()) - 1
    return 1 + above + tied / 2


def test_ranks_of_scored_lists_are_those_counted_by_hand(shop, tmp_path):
    log, study = shop
    own, split = split_of(study, log)
    rng, test = np.random.default_rng(0), split.test
    rows, expected = [], []
    labels = labels_of(own, test)
    for i, label in enumerate(labels):
        items = 1 + rng.permutation(own.n_items)[: rng.integers(25, own.n_items)]
        score = {int(item): float(rng.integers(0, 12)) for item in items}
        rows += [(label, called(own, item), value) for item, value in score.items()]
        seen = set(test.items[test.offsets[i] : test.offsets[i + 1]].tolist())
        expected.append(by_hand(score, seen, int(test.targets[i])))
    path = tmp_path / "scores.csv"
    pd.DataFrame(rows, columns=["user", "item", "score"]).to_csv(path, index=False)
    made = bench.evaluate(study, "hand", path, dataset=str(log), complete=True)
    found = external.arrays_of(study.store, made.key)["rank"]
    assert found.tolist() == [2.0**31 if rank is None else rank for rank in expected]
    recall = np.mean([rank is not None and rank <= 10 for rank in expected])
    ndcg = np.mean([1 / np.log2(r + 1) if r is not None and r <= 5 else 0 for r in expected])
    assert made.test["recall@10"] == pytest.approx(recall)
    assert made.test["ndcg@5"] == pytest.approx(ndcg)
    assert made.test["mrr"] == pytest.approx(np.mean([1 / r if r else 0 for r in expected]))


def answers(study, log):
    """A good file's table: every item, by its own id."""
    own, split = split_of(study, log)
    labels = labels_of(own, split.test)
    pairs = itertools.product(labels, own.item_labels)
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    return frame.assign(score=np.tile(-np.arange(own.n_items), len(labels)))


HOSTILE = {
    "a user is missing": (lambda f: f[f["user"] != f["user"][0]], "test users are missing"),
    "another user": (
        lambda f: pd.concat([f, f.head(30).assign(user="x")]), "1 users are not tested on"
    ),
    "an item beyond": (
        lambda f: f.assign(item=f["item"].where(f.index != 2, "4000")),
        "line 4: no item '4000' among the 40 of the dataset, whose items are called like 'sku ",
    ),
    "items as numbers": (lambda f: f.assign(item=1), "line 2: no item '1' among the 40"),
    "no item": (lambda f: f.assign(item=f["item"].where(f.index != 0)), "line 2: no item ''"),
    "no score": (lambda f: f[["user", "item"]], "no column 'score' or 'rank'"),
    "no users": (lambda f: f[["item", "score"]], "no column of users; its columns are"),
    "a score that is none": (lambda f: f.assign(score="high"), "line 2: score 'high' is not"),
    "an infinite score": (lambda f: f.assign(score=np.inf), "score 'inf' is not a finite"),
    "an item twice": (lambda f: pd.concat([f, f.head(1)]), "' is twice in the list of user"),
    "one rank": (lambda f: f[["user", "item"]].assign(rank=1), "two items of one rank"),
    "ranks against scores": (
        lambda f: f.assign(rank=f["score"]), "a rank above one of a higher score"
    ),
    "short lists": (lambda f: f.groupby("user").head(11), "of at least 10"),
    "nothing": (lambda f: f.head(0), "empty"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_bad_file_is_one_error_that_says_what_to_do(shop, tmp_path, kind, capsys):
    log, study = shop
    change, message = HOSTILE[kind]
    path = tmp_path / "predictions.csv"
    change(answers(study, log)).to_csv(path, index=False)
    results = str(study.store.root.parent)
    given = ["evaluate", "study", str(path), "--name", kind, "--results", results]
    assert report.main([*given, "--dataset", str(log)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and str(path) in said
    assert kind not in {one.name for one in external.stored(study.store)}


ARRAYS = {
    "not a zip": (None, "write it with numpy.savez"),
    "objects": ({"scores": np.array([[{}]], dtype=object)}, "write it with numpy.savez"),
    "neither": ({"users": np.arange(3)}, "neither scores nor lists"),
    "both": ({"scores": np.ones((2, 2)), "lists": np.ones((2, 2), int)}, "scores and lists"),
    "not a table": ({"scores": np.ones(3)}, "give numbers [predictions, items]"),
    "nan": ({"scores": np.array([[1.0, np.nan]])}, "row 0, column 1 is nan"),
    "a user twice": ({"scores": np.ones((2, 2)), "users": ["a", "a"]}, "user 'a' has several rows"),
    "users of others": ({"scores": np.ones((2, 2)), "users": ["a"]}, "1 users of 2 rows"),
    "an item twice": (
        {"scores": np.ones((1, 2)), "items": ["sku 1"] * 2}, "item 'sku 1' has several columns"
    ),
    "no items": ({"scores": np.ones((1, 2))}, "scores of which items?"),
    "items of others": ({"scores": np.ones((1, 2)), "items": [1]}, "of 2 columns of scores"),
    "no item": ({"scores": np.ones((1, 2)), "items": [0, 1]}, "no item '0' among the 40"),
    "lists with points": ({"lists": np.ones((1, 2))}, "give item ids, texts or whole"),
    "a list's item twice": (
        {"lists": [["sku 3", "sku 3"]]}, "item 'sku 3' is twice in the list of row 0"
    ),
    "nothing listed": ({"lists": np.zeros((2, 2), int)}, "it recommends nothing"),
    "a count of rows": (
        {"scores": np.ones((2, 2)), "items": ["sku 1", "sku 2"]}, "2 rows for"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARRAYS)
def test_a_bad_npz_is_one_error(shop, tmp_path, kind):
    log, study = shop
    arrays, message = ARRAYS[kind]
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x03\x04 no zip") if arrays is None else np.savez(path, **arrays)
    with pytest.raises(bench.UserError) as error:
        bench.evaluate(study, kind, path, dataset=str(log))
    assert message in str(error.value) and str(path) in str(error.value)


def test_the_study_must_have_cells_on_the_data(shop, tmp_path):
    log, study = shop
    array = np.ones((2, 2))
    for more, message in (
        ({"dataset": "beauty-twin"}, "no cell on these data.*--dataset shop --split user-prefixes"),
        ({"split": "user"}, "no cell on these data"),
        ({"seconds": -1.0}, "must be positive"),
    ):
        with pytest.raises(bench.UserError, match=message):
            bench.evaluate(study, "x", array, **more)
    for name in ("", "a\nb", "x" * 65):
        with pytest.raises(bench.UserError, match="1 to 64 characters"):
            bench.evaluate(study, name, array)
    with pytest.raises(bench.UserError, match="no finished cell"):
        bench.evaluate(bench.Study("none", results=tmp_path), "x", array)
    with pytest.raises(bench.UserError, match="no such file"):
        bench.evaluate(study, "x", tmp_path / "none.csv", dataset=str(log))


def test_what_short_lists_do_not_tell_has_a_dash_and_no_test(tmp_path):
    log = log_of(tmp_path)
    study = study_on(tmp_path, log, "leave-one-out")
    own, split = split_of(study, log)
    lists = np.argsort(np.random.default_rng(3).random((len(split.test.targets), own.n_items)))
    longest = int(np.diff(split.test.offsets).max())
    made = bench.evaluate(
        study,
        "Lib",
        called(own, 1 + lists)[:, : 10 + longest][:, :19],
        dataset=str(log),
        seconds=7.0,
    )
    assert 10 <= made.depth < 20
    (comparison,) = comparisons(study.store)
    ((_, table),) = comparison.backbones()
    column = table["Lib (external)"].droplevel("dataset")
    assert column["NG@10"] == made.test["ndcg@10"]
    assert np.isnan(column["NG@20"])
    assert list(comparison.user_gains("ndcg@20")["shop", "sasrec"]) == ["uniform", "dns"]
    assert len(comparison.user_gains("ndcg@20")["shop", "sasrec"]) == len(split.test.targets)
    assert set(comparison.trained["sampler"]) == {"uniform", "dns"}
    assert "Lib (external)" not in comparison.costs().index.get_level_values("sampler")
    folder = tmp_path / "report"
    study.report(folder)
    text = (folder / "comparison-bce.md").read_text(encoding="utf-8")
    assert f"| Lib | shop | 0 | array | {made.depth} | {made.test['ndcg@10']:.4f} | 7 |" in text
    assert "Lib (external)" in (folder / "significance-bce.md").read_text(encoding="utf-8")
    assert "Trained elsewhere, on the same users: Lib." in (folder / "index.html").read_text(
        "utf-8"
    )
    # A second training of the same system: means over both.
    again = bench.evaluate(
        study, "Lib", np.roll(called(own, 1 + lists), 1, axis=1), dataset=str(log), seed=1
    )
    (comparison,) = comparisons(study.store)
    its = comparison.cells[comparison.cells["sampler"] == "Lib (external)"]
    assert sorted(its["seed"]) == [0, 1]
    mean = (made.test["ndcg@10"] + again.test["ndcg@10"]) / 2
    assert comparison.intervals()["mean"]["shop", "sasrec", "Lib (external)"] == pytest.approx(mean)
    path = study.store.root / external.FOLDER / again.key / external.RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": {"test": {}}}))
    with pytest.raises(bench.UserError, match=r"broken external system.*evaluate it again"):
        comparisons(study.store)


def test_where_seeds_draw_users_a_system_needs_all_draws(tmp_path):
    log = log_of(tmp_path, n_users=200)
    study = study_on(tmp_path, log, "user", splits=2)
    shown = []
    for draw in (0, 1):
        cell = next(r.cell for r in study.records() if r.cell.seed == draw)
        own, split = data_of(cell, None, datasets.resolve_dataset(str(log), None))
        scores = np.random.default_rng(0).random((len(split.test.targets), own.n_items))
        given = {"items": own.item_labels, "dataset": str(log)}
        with pytest.raises(bench.UserError, match="which data is meant"):
            bench.evaluate(study, "Lib", scores, **given)
        bench.evaluate(study, "Lib", scores, **given, split_seed=draw, seed=draw)
        (comparison,) = comparisons(study.store)
        shown.append(set(comparison.cells["sampler"]) - {"uniform", "dns"})
    assert shown == [set(), {"Lib (external)"}]


def test_a_frame_and_a_file_of_it_are_read_alike(tmp_path):
    frame = pd.DataFrame({"uid": [7, 7, 8], "movieId": [1, 3, 2], "score": [0.5, 2.0, 1.0]})
    frame.to_csv(tmp_path / "x.tsv", sep="\t", index=False)
    ids = ItemIds(3)
    for found in (reading.of_frame(frame, ids), reading.read(tmp_path / "x.tsv", ids)):
        assert found.labels.tolist() == ["7", "8"]
        table = found.dense(np.array([1, 0]), 3)
        assert table.tolist() == [[-np.inf, -np.inf, 1.0, -np.inf], [-np.inf, 0.5, -np.inf, 2.0]]


def test_exported_files_hold_the_split_and_no_test_target(shop, tmp_path, capsys):
    log, study = shop
    record = study.records()[0]
    own, split = split_of(study, log)
    given = ["export", str(log), "--split", "user-prefixes", "--to", str(tmp_path / "out")]
    assert data(given) == 0
    folder = tmp_path / "out"
    assert str(folder / "train.csv") in capsys.readouterr().out
    train, inputs, targets = (
        pd.read_csv(folder / name) for name in ("train.csv", "test_inputs.csv", "valid_targets.csv")
    )
    np.testing.assert_array_equal(train["item"], called(own, split.train.items))
    np.testing.assert_array_equal(targets["item"], called(own, split.valid.targets))
    raw = pd.read_csv(log)
    assert set(train["user"]) <= set(raw["user"])
    assert not set(train["user"]) & set(inputs["user"].str.rpartition("@")[0])
    assert set(train["item"]) <= set(raw["item"])
    for (user, its), target in zip(
        inputs.groupby("user", sort=False), split.test.targets, strict=True
    ):
        length = int(user.rpartition("@")[2])
        assert its["position"].tolist() == list(range(length))
        assert called(own, target) not in its["item"].tolist()
        times = raw[raw["user"] == user.rpartition("@")[0]]["timestamp"]
        assert its["timestamp"].tolist() == times.tolist()[:length]
    about = json.loads((folder / "split.json").read_text())
    assert about["fingerprint"] == record.cell.fingerprint
    assert about["split_digest"] == record.cell.split_digest
    assert about["test_predictions"] == len(split.test.targets) == inputs["user"].nunique()

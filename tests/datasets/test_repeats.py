"""Targets that their users have had before: misses, and said to be there."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from bench import grid
from bench.analysis.comparison import comparisons
from bench.datasets.splits import Examples, Sequences
from bench.datasets.training_data import TrainingData
from bench.metrics import MISSED
from bench.references import registry
from bench.references.ranking import ranks
from bench.reports.reproduce import commands
from bench.studies.store import Store

GIVEN = ["--workers", "1", "--backbones", "sasrec", "--samplers", "uniform", "--seeds", "1",
         "--preset", "quick", "--set", "epochs=2", "N=1"]  # fmt: skip


def run_of(tmp_path, sequences, *options):
    """The exit status of a run on a log of these sequences."""
    rows = [f"u{u},{item},{t}" for u, its in enumerate(sequences) for t, item in enumerate(its)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["user,item,timestamp", *rows]))
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    return grid.main([*GIVEN, "--datasets", str(log), "--study", "study", *folders, *options])


def distinct(n, catalogue, length, seed=0):
    rng = random.Random(seed)
    return [rng.sample(range(catalogue), length) for _ in range(n)]


def test_which_targets_were_had():
    inputs, targets = [[1, 2, 3], [4], [5, 5, 6]], [2, 1, 5]
    examples = Examples(
        np.concatenate(inputs).astype(np.int32), np.cumsum([0, 3, 1, 3]),
        np.array(targets, dtype=np.int32), np.arange(3),
    )  # fmt: skip
    assert examples.repeated.tolist() == [True, False, True]


def test_in_a_small_catalogue_nothing_is_hit_where_all_targets_were_had(tmp_path, capsys):
    """Ten of twelve items, then the tenth again: it came 7.5th of 12, and Recall@10 was 1."""
    sequences = [[*each, each[-1]] for each in distinct(30, 12, 10)]
    assert run_of(tmp_path, sequences) == 0
    (record,) = Store(tmp_path / "results/study").records()
    assert {name: record.test[name] for name in ("recall@20", "ndcg@10", "mrr")} == {
        "recall@20": 0.0, "ndcg@10": 0.0, "mrr": 0.0
    }  # fmt: skip
    said = "WARNING: 100 % of the held-out targets are items that the user has had already"
    assert f"log: {said}" in capsys.readouterr().out
    assert any(said in note for note in record.data["notes"])
    assert "test_new" not in record.metrics
    assert said in (tmp_path / "reports/study/comparison-bce.md").read_text()


def test_the_dry_run_says_so_too(tmp_path, capsys):
    cycles = [[f"{u % 7}{item}" for item in "abcabcabc"] for u in range(60)]
    assert run_of(tmp_path, cycles, "--dry-run") == 0
    assert "log: WARNING: 100 %" in capsys.readouterr().out


def test_where_some_were_had_metrics_on_the_others_stand_beside(tmp_path, capsys):
    fresh, again = distinct(60, 40, 8), [[*each, each[0]] for each in distinct(20, 40, 8, seed=1)]
    assert run_of(tmp_path, [*fresh, *again]) == 0
    store = Store(tmp_path / "results/study")
    (record,) = store.records()
    arrays, repeated = store.arrays(record.key), record.data["test_repeated"]
    assert 0 < repeated < record.data["test_targets"] / 2
    found = record.metrics["test"]["ndcg@10"], record.metrics["test_new"]["ndcg@10"]
    share = 1 - repeated / record.data["test_targets"]
    assert found[0] == pytest.approx(share * found[1])
    assert (arrays["rank"] > 40).sum() == repeated
    out = capsys.readouterr().out
    assert "% of the held-out targets are items that the user has had already" in out
    assert "WARNING" not in out
    (comparison,) = comparisons(store)
    row = comparison.new_targets().iloc[0]
    assert tuple(row) == pytest.approx(found)
    assert "## New targets" in (tmp_path / "reports/study/comparison-bce.md").read_text()


def test_where_none_were_nothing_is_said(tmp_path, capsys):
    assert run_of(tmp_path, distinct(60, 40, 8)) == 0
    assert "has had already" not in capsys.readouterr().out
    assert "New targets" not in (tmp_path / "reports/study/comparison-bce.md").read_text()


def test_where_what_was_had_is_ranked_a_target_of_that_kind_can_be_hit(tmp_path, capsys):
    """Every user takes the last item once more: recency has all of them first."""
    sequences = [[*each, each[-1]] for each in distinct(60, 40, 8)]
    assert run_of(tmp_path, sequences) == 0
    assert run_of(tmp_path, sequences, "--set", "seen=ranked") == 0
    store = Store(tmp_path / "results/study")
    records = {record.cell.protocol.seen: record for record in store.records()}
    assert {seen: "recency" in r.references for seen, r in records.items()} == {
        "masked": False, "ranked": True
    }  # fmt: skip
    ranked = records["ranked"]
    assert ranked.references["recency"]["ndcg@10"] == 1.0
    assert records["masked"].test["recall@20"] == 0.0
    assert ranked.test["recall@20"] > 0.0
    assert (store.arrays(ranked.key)["rank"] <= 40).all()
    assert "test_seen_as_zero" not in ranked.metrics
    assert records["masked"].cell.data_key != ranked.cell.data_key
    first, second = comparisons(store)  # they stand in no table together
    assert {len(first.cells), len(second.cells)} == {1}
    assert "what users have had ranked" in first.title + second.title
    said = "100 % of the held-out targets are items that the user has had already; these are ranked"
    assert said in capsys.readouterr().out
    page = (tmp_path / "reports/study/index.html").read_text(encoding="utf-8")
    assert said in page
    assert "seen=ranked" in page  # the command, too
    (again,) = [c.line for c in commands(store) if "seen=ranked" in c.line]
    assert "--preset" in again


def test_recency_ranks_by_a_users_own_latest_then_by_popularity():
    train = Sequences(np.array([5, 5, 4, 5, 4, 3], np.int32), np.array([0, 6]), np.array([0]))
    reference = registry.build("recency", {})
    reference.fit(TrainingData(train, 6))
    inputs = np.array([1, 2, 1, 3], np.int32)
    (scores,) = reference.scores(inputs, np.array([0, 4]), np.array([0]))
    order = np.argsort(-scores[1:], kind="stable") + 1
    assert order.tolist() == [3, 1, 2, 5, 4, 6]
    examples = Examples(inputs, np.array([0, 4]), np.array([1], np.int32), np.array([0]))
    assert ranks(reference, replace(examples, masked=False), 6).tolist() == [2.0]
    assert ranks(reference, examples, 6).tolist() == [MISSED]

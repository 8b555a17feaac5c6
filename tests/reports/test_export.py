"""Results handed on: one tidy table, or MLflow."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from support import cell_of
from support.results import result_of

from bench import report
from bench.reports import export
from bench.studies.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "study")
    for seed in (0, 1):
        store.save(result_of(cell_of("mdcns", seed=seed), 0.25))
    return store


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_tidy_table_holds_every_metric_of_every_cell(store, tmp_path, suffix):
    path = tmp_path / f"out.{suffix}"
    arguments = ["export", "study", "--results", str(tmp_path), "--to", str(path)]
    assert report.main(arguments) == 0
    frame = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert frame.groupby("key").size().tolist() == [1 + 6 + 7] * 2  # valid, test, timings
    (value,) = frame.query("part == 'test' and metric == 'ndcg@10' and seed == 1")["value"]
    assert value == 0.25
    assert set(frame["peer"]) == {"gru4rec"} and frame["synthetic"].all()
    assert json.loads(frame["hyper"].iloc[0])["sampler"]["N"] == 5


@pytest.mark.parametrize("to", ["out.xlsx", "no/such/folder/out.csv"])
def test_a_bad_target_is_one_clear_error(store, tmp_path, capsys, to):
    arguments = ["export", "study", "--results", str(tmp_path), "--to", str(tmp_path / to)]
    assert report.main(arguments) == 2
    assert "error: --to" in capsys.readouterr().err
    assert report.main(["export", "none", "--results", str(tmp_path), "--to", "x.csv"]) == 2


def test_every_cell_becomes_a_run_of_mlflow(store, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    assert export.to_mlflow(store, f"sqlite:///{tmp_path}/mlflow.db") == 2
    runs = mlflow.search_runs(experiment_names=["study"], output_format="list")
    assert {run.data.params["seed"] for run in runs} == {"0", "1"}
    assert runs[0].data.metrics["test_ndcg_at_10"] == 0.25
    assert runs[0].data.metrics["epoch_loss"] == 0.7
    assert runs[0].data.params["sampler.N"] == "5"

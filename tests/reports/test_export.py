"""Results handed on: one tidy table, or MLflow."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from support import cell_of
from support.results import result_of

import bench
from bench import report
from bench.metrics import accuracy
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


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ranks_are_by_the_ids_of_the_log(tmp_path, suffix):
    """Of a log whose ids say what comes after what, so that the table checks itself."""
    lines = [f"u{u},i{(7 * u + t) % 50},{t}" for u in range(60) for t in range(5)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,timestamp", *lines]))
    study = bench.Study("study", results=tmp_path)
    study.run(
        bench.plan(
            preset="smoke", datasets=[str(tmp_path / "log.csv")], backbones=["gru4rec"],
            samplers=["uniform", "mdcns"], settings={"N": 10, "dim": 8}, split="leave-one-out",
        ),
        workers=1,
    )  # fmt: skip
    path = tmp_path / f"out.{suffix}"
    arguments = ["export", "study", "--results", str(tmp_path), "--ranks", str(path)]
    assert report.main([*arguments, "--datasets", str(tmp_path / "log.csv")]) == 0
    frame = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert (frame["item"] == [f"i{(7 * int(u[1:]) + 4) % 50}" for u in frame["user"]]).all()
    assert set(frame["length"]) == {4} and set(frame["nth"]) == {1}
    for record in study.records():
        its = frame[frame["key"] == record.key]
        parts = {"test", "test_peer", "test_ensemble"} if record.cell.peer else {"test"}
        assert set(its["part"]) == parts
        for part in parts:
            found = accuracy(its.loc[its["part"] == part, "rank"].to_numpy())
            assert found == {name: record.metrics[part][name] for name in found}


def test_ranks_without_their_log_say_how_to_give_it(tmp_path, capsys):
    cell = cell_of()
    store = Store(tmp_path / "study")
    result = result_of(cell)
    store.save(result)
    arguments = ["export", "study", "--results", str(tmp_path), "--ranks", "x.csv"]
    assert report.main(arguments) == 2
    assert (
        "'made-up'; if it is a log of your own, give its path with --datasets"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("to", ["out.xlsx", "no/such/folder/out.csv"])
def test_a_bad_target_is_one_clear_error(store, tmp_path, capsys, to):
    arguments = ["export", "study", "--results", str(tmp_path), "--to", str(tmp_path / to)]
    assert report.main(arguments) == 2
    assert "error: --to" in capsys.readouterr().err
    assert report.main(["export", "none", "--results", str(tmp_path), "--to", "x.csv"]) == 2


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_full_disk_leaves_an_earlier_export_alone(store, tmp_path, monkeypatch, suffix):
    path = tmp_path / f"all{suffix}"
    export.save(export.tidy(store), path)
    before = path.read_bytes()

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(bench.UserError, match="cannot be written"):
        export.save(export.tidy(store), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.glob(f"*{suffix}*")] == [path.name]


def test_ctrl_c_is_a_line(monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "_site", stopped)
    assert report.main(["site"]) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.fixture
def mlflow():
    return pytest.importorskip("mlflow", reason="needs the extra mlflow")


def test_every_cell_becomes_one_run_of_mlflow(mlflow, store, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert export.to_mlflow(store, uri) == (2, 0)
    assert export.to_mlflow(store, uri) == (2, 2)
    runs = mlflow.search_runs(experiment_names=["study"], output_format="list")
    assert sorted(run.data.params["seed"] for run in runs) == ["0", "1"]
    assert runs[0].data.metrics["test_ndcg_at_10"] == 0.25
    assert runs[0].data.metrics["epoch_loss"] == 0.7
    assert runs[0].data.params["sampler.N"] == "5"


def test_a_cell_that_other_code_trained_again_is_a_run_of_its_own(mlflow, store, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    export.to_mlflow(store, uri)
    store.save(replace(result_of(cell_of("mdcns", seed=0), 0.5), code="other"))
    assert export.to_mlflow(store, uri) == (2, 1)


def test_a_run_that_was_stopped_half_way_does_not_count(mlflow, store, tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "epochs", stopped)
        with pytest.raises(KeyboardInterrupt):
            export.to_mlflow(store, uri)
    assert export.to_mlflow(store, uri) == (2, 0)


@pytest.mark.parametrize("uri", ["nonsense:/x", "http://127.0.0.1:9", "sqlite:////proc/x/m.db"])
def test_a_bad_uri_is_one_clear_error(mlflow, store, tmp_path, capsys, uri):
    arguments = ["export", "study", "--results", str(tmp_path), "--mlflow", uri]
    assert report.main(arguments) == 2
    (error,) = [each for each in capsys.readouterr().err.splitlines() if "error:" in each]
    assert error.startswith(f"error: --mlflow {uri!r}: ")

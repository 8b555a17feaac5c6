"""What two things under one name, mixed or missing things must not do: pass unsaid."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd
import pytest
from support import cell_of
from support.results import result_of

from bench import grid, report
from bench.analysis.comparison import comparisons
from bench.reports.export import tidy
from bench.reports.writing import write
from bench.studies import environment
from bench.studies.spreadsheet import csv_of
from bench.studies.store import Store


def test_two_logs_of_equal_content_are_one_dataset_and_that_is_said(tmp_path, capsys):
    lines = [f"{u},{(7 * u + i) % 40},{i}" for u in range(30) for i in range(6)]
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["user,item,time", *lines]))
    logs = [str(tmp_path / f"{name}.csv") for name in ("one", "two")]
    words = ["--datasets", *logs, "--samplers", "uniform", "--backbones", "sasrec", "--dry-run",
             "--set", "N=3", "--seeds", "1", "--results", str(tmp_path)]  # fmt: skip
    assert grid.main(words) == 0
    said = capsys.readouterr().out
    assert "skipped: two: its content is that of one" in said
    assert "to train: 1 cells" in said


def test_a_log_keeps_the_name_that_a_study_knows_it_by(tmp_path, capsys):
    lines = [f"{u},{(7 * u + i) % 40},{i}" for u in range(30) for i in range(6)]
    for name, seeds in (("one", "1"), ("two", "2")):
        log = tmp_path / f"{name}.csv"
        log.write_text("\n".join(["user,item,time", *lines]))
        words = ["--datasets", str(log), "--samplers", "uniform", "--backbones", "sasrec",
                 "--preset", "smoke", "--set", "N=3", "epochs=1", "--seeds", seeds, "--workers",
                 "1", "--study", "s", "--results", str(tmp_path / "results"),
                 "--reports", str(tmp_path / "reports")]  # fmt: skip
        assert grid.main(words) == 0
    assert "two: its interactions are those of one, as which it goes on" in capsys.readouterr().out
    cells = [record.cell for record in Store(tmp_path / "results/s").records()]
    assert {(cell.dataset, cell.seed) for cell in cells} == {("one", 0), ("one", 1)}


def test_seeds_trained_by_different_code_are_named(tmp_path):
    store = Store(tmp_path / "study")
    for sampler, seed, code in (("dns", 0, "a"), ("dns", 1, "b"), ("uniform", 0, "a"),
                                ("uniform", 1, "a")):  # fmt: skip
        store.save(replace(result_of(cell_of(sampler, seed=seed)), code=code * 16))
    (comparison,) = comparisons(store)
    assert comparison.mixed == ["dns on sasrec on made-up"]
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    assert "Seeds trained by different versions of the code: dns on sasrec on made-up;" in text


def test_cells_of_code_that_is_in_no_commit_are_counted_and_named(tmp_path):
    store = Store(tmp_path / "results/study")
    for sampler, commit in (("uniform", "0ab"), ("dns", "0ab+changes"), ("srns", None)):
        result = result_of(cell_of(sampler))
        result.environment["commit"] = commit
        store.save(result)
    (comparison,) = comparisons(store)
    assert comparison.uncommitted == {"dns": 1}
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    assert "WARNING: 1 of 3 cells are of code that is in no commit" in text
    assert ": dns 1.\n" in text


def test_cells_that_cannot_be_read_are_counted(tmp_path, capsys):
    store = Store(tmp_path / "results/study")
    for sampler in ("uniform", "dns"):
        store.save(result_of(cell_of(sampler)))
    assert store.unreadable() == []
    key = cell_of("dns").key
    (store.root / "cells" / key / "cell.json").write_text("{")
    assert store.unreadable() == [key]
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    assert report.main(["study", *folders]) == 0
    told = capsys.readouterr().err
    assert "warning: 1 cells of" in told and f"({key}, ...)" in told
    for name in ("comparison-bce-synthetic.md", "index.html"):
        text = (tmp_path / "reports/study" / name).read_text()
        assert "1 of the study&#39;s cells" in text or "1 of the study's cells" in text
    export = ["export", "study", *folders[:2], "--to", str(tmp_path / "x.csv")]
    for words in (export, ["compare", "study", "study", *folders[:2]]):
        report.main(words)
        assert "1 cells of" in capsys.readouterr().err


def test_where_no_cell_can_be_read_the_reason_is_said(tmp_path, capsys):
    store = Store(tmp_path / "study")
    store.save(result_of(cell_of()))
    (store.root / "cells" / cell_of().key / "cell.json").write_text("{")
    folders = ["--results", str(tmp_path), "--reports", str(tmp_path / "reports")]
    assert report.main(["study", *folders]) == 2
    assert "none of its cells can be read" in capsys.readouterr().err


FORMULAS = ["=1+1", "+1", "-1", "@a", "\tx", "plain", "a=b"]


def test_no_text_of_a_csv_is_a_formula():
    frame = pd.DataFrame({"name": FORMULAS, "number": [-1.5] * len(FORMULAS)})
    read = pd.read_csv(io.StringIO(csv_of(frame)))
    assert read["name"].tolist() == [*(f"'{text}" for text in FORMULAS[:5]), "plain", "a=b"]
    assert read["number"].tolist() == frame["number"].tolist()


def test_exports_and_reports_have_none_either(tmp_path, capsys):
    store = Store(tmp_path / "results/study")
    cell = cell_of("uniform")
    store.save(result_of(replace(cell, dataset="=HYPERLINK(1)")))
    store.write_index()
    folders = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    assert report.main(["study", *folders]) == 0
    target = tmp_path / "x.csv"
    assert report.main(["export", "study", *folders[:2], "--to", str(target)]) == 0
    files = [target, store.root / "index.csv", *(tmp_path / "reports").rglob("*.csv")]
    assert len(files) > 2
    for path in files:
        found = pd.read_csv(path)
        assert set(found.get("dataset", ["'=HYPERLINK(1)"])) == {"'=HYPERLINK(1)"}, path
    assert set(tidy(store)["dataset"]) == {"=HYPERLINK(1)"}


@pytest.mark.parametrize("count", ["0", "1001", "99999999"])
def test_so_many_seeds_are_a_slip(count, tmp_path, capsys):
    words = ["--datasets", "beauty-twin", "--samplers", "uniform", "--seeds", count, "--dry-run"]
    status = 2
    try:
        assert grid.main([*words, "--results", str(tmp_path)]) == status
    except SystemExit as error:  # argparse's own
        assert error.code == status
    assert "must be" in capsys.readouterr().err


def test_the_harness_s_own_version_is_recorded():
    import torch

    from bench import __version__

    assert environment.describe(torch.device("cpu"), 1)["version"] == __version__

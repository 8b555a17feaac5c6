"""Reports: layout, marks, and real data kept apart from synthetic."""

from __future__ import annotations

import shutil
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from support import cell_of
from support.results import result_of

import samplers
from bench import report
from bench.analysis.comparison import comparisons
from bench.errors import UserError
from bench.reports.summary import by_dataset
from bench.reports.tables import seeds_line
from bench.reports.writing import write
from bench.studies.store import Store


@pytest.fixture
def study(tmp_path):
    store = Store(tmp_path / "results" / "study")
    for sampler, value in (("uniform", 0.1), ("dns", 0.3), ("mdcns", 0.2)):
        for seed, change in ((0, -0.01), (1, 0.01)):
            store.save(result_of(cell_of(sampler, seed=seed), value + change))
    store.save(result_of(cell_of("uniform", "gru4rec"), 0.05))
    return store


def test_the_table_marks_best_and_second_and_shows_gaps(study, tmp_path):
    files = write(study.root, tmp_path / "reports")
    tables = [path for path in files if path.name.startswith("comparison-")]
    assert sorted(path.suffix for path in tables) == [".csv", ".md", ".png", ".svg", ".tex"]
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    assert "| dataset | metric | uniform | dns | mdcns |" in text
    # Two users, at ranks 1 and 2.5: 12.706 (t of 97.5 %, one degree of freedom) x 0.2234, however
    # many seeds there are.
    row = "| made-up | NG@10 | 0.1000 ± 2.8380 | **0.3000** ± 2.8380 | <u>0.2000</u> ± 2.8380 |"
    assert row in text
    assert "| made-up | sasrec | dns | 1 | 5 | 1 | 1 | 2.0 | – | 300 | 0.3000 |" in text
    assert "| made-up | sasrec | mdcns | 2 | 5 |" in text
    assert "Means over 1 to 2 seeds" in text
    assert "made-up: 2 test users" in text
    assert "made-up: a note" in text
    latex = (tmp_path / "reports/comparison-bce-synthetic.tex").read_text()
    assert (
        r" & NG@10 & 0.1000 $\pm$ 2.8380 & \textbf{0.3000} $\pm$ 2.8380 & "
        r"\underline{0.2000} $\pm$ 2.8380 \\"
    ) in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    cells = pd.read_csv(tmp_path / "reports/comparison-bce-synthetic.csv")
    assert len(cells) == 7
    picture = tmp_path / "reports/comparison-bce-synthetic.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("counts", "said"),
    [([1, 2, 3], "over 1 to 3 seeds"), ([2, 2], "over 2 seeds"), ([1], "One seed")],
)
def test_how_many_seeds_there_are_is_said(counts, said):
    assert said in seeds_line(counts)


@pytest.mark.usefixtures("sketches")
def test_synthetic_and_real_never_share_a_table(study, tmp_path):
    real = replace(cell_of("dns"), fingerprint="r" * 64, dataset="real")
    study.save(result_of(real, 0.4, synthetic=False))
    files = write(study.root, tmp_path / "reports")
    tables = {path.name: path.read_text() for path in files if path.suffix == ".md"}
    assert {name for name in tables if name.startswith("comparison-")} == {
        "comparison-bce.md", "comparison-bce-synthetic.md",
    }  # fmt: skip
    assert "SYNTHETIC" in tables["comparison-bce-synthetic.md"].splitlines()[0]
    assert "SYNTHETIC" not in tables["comparison-bce.md"]
    assert "made-up" not in tables["comparison-bce.md"]


def test_other_protocols_and_objectives_get_tables_of_their_own(study, tmp_path):
    study.save(result_of(cell_of("dns", epochs=9), 0.4))
    study.save(result_of(cell_of("dns", objective="bpr"), 0.4))
    found = comparisons(study)
    assert sorted(len(c.cells) for c in found) == [1, 1, 7]
    assert len({c.name for c in found}) == 3


@pytest.mark.usefixtures("sketches")
def test_what_an_earlier_report_wrote_does_not_outlive_its_cells(study, tmp_path):
    cell = cell_of("dns", objective="bpr", seed=1, backbone="gru4rec")
    study.save(result_of(cell, 0.4))
    folder = tmp_path / "reports"
    before = set(write(study.root, folder))
    kept = folder / "comparison-notes.md"
    kept.write_text("somebody's own")
    shutil.rmtree(study.root / "cells" / cell.key)
    study.write_index()
    after = set(write(study.root, folder))
    assert any("bpr" in path.name for path in before - after)
    assert set(folder.iterdir()) == after | {kept}


def test_settings_and_splits_that_differ_are_told_apart(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 1})))
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 2})))
    store.save(result_of(replace(cell_of("uniform"), split_digest="other" + "0" * 11)))
    cells = comparisons(store)[0].cells
    assert set(cells["sampler"]) == {"dns+ (M=1)", "dns+ (M=2)", "uniform"}
    assert cells["dataset"].nunique() == 2


@pytest.mark.usefixtures("sketches")
def test_settings_stand_in_the_order_of_their_numbers(tmp_path):
    store = Store(tmp_path / "study")
    for m in (10, 9, 2):
        store.save(result_of(cell_of("dns+", hyper={"N": 10, "M": m})))
    store.save(result_of(cell_of("uniform")))
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    assert "| uniform | dns+ (M=2) | dns+ (M=9) | dns+ (M=10) |" in text


@pytest.mark.usefixtures("sketches")
def test_samplers_with_a_loss_of_their_own_stand_in_every_table(tmp_path):
    store = Store(tmp_path / "study")
    for objective in ("bce", "bpr"):
        store.save(result_of(cell_of("uniform", objective=objective)))
    store.save(result_of(cell_of("gbce"), 0.7))
    store.save(result_of(cell_of("in-batch", epochs=9)))
    found = {c.name: c for c in comparisons(store)}
    assert set(found) == {
        "comparison-bce-synthetic", "comparison-bpr-synthetic", "comparison-own-synthetic",
    }  # fmt: skip
    for name in ("comparison-bce-synthetic", "comparison-bpr-synthetic"):
        assert list(found[name].cells["sampler"]) == ["uniform", "gbce"]
        assert found[name].own_loss == {"gbce": "gbce"}
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bpr-synthetic.md").read_text()
    assert "Trained with a loss of their own, whatever the title says: gbce: gbce." in text
    assert "| made-up | NG@10 | 0.5000 ± 2.8380 | **0.7000** ± 2.8380 |" in text


def test_a_sampler_that_is_not_registered_is_grouped_by_its_loss(tmp_path):
    store = Store(tmp_path / "study")
    gone = cell_of("dns", objective="gbce")
    store.save(result_of(replace(gone, sampler=replace(gone.sampler, name="a-plug-in"))))
    store.save(result_of(cell_of("uniform")))
    names = {c.name for c in comparisons(store)}
    assert names == {"comparison-bce-synthetic", "comparison-gbce-synthetic"}


@pytest.mark.usefixtures("sketches")
def test_references_stand_last_and_are_not_marked(tmp_path):
    store = Store(tmp_path / "study")
    for sampler, value in (("uniform", 0.1), ("dns", 0.3)):
        result = result_of(cell_of(sampler), value)
        result.data["references"] = {"popularity": {"ndcg@10": 0.05}, "oracle": {"ndcg@10": 0.8}}
        store.save(result)
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    assert "| dataset | metric | uniform | dns | popularity ranking | best reachable |" in text
    assert "| NG@10 | 0.1000 ± 2.8380 | **0.3000** ± 2.8380 | 0.0500 | 0.8000 |" in text
    latex = (tmp_path / "reports/comparison-bce-synthetic.tex").read_text()
    assert (
        r" & NG@10 & 0.1000 $\pm$ 2.8380 & \textbf{0.3000} $\pm$ 2.8380 & 0.0500 & 0.8000 \\"
        in latex
    )


@pytest.mark.usefixtures("sketches")
def test_references_of_some_cells_are_columns_with_dashes_for_the_others(tmp_path):
    store = Store(tmp_path / "study")
    known = {"popularity": {"ndcg@10": 0.05}, "markov": {"ndcg@10": 0.06}, "dns": {"ndcg@10": 0.07}}
    for dataset, seed, data in (("old", 0, {"popularity": known["popularity"]}), ("new", 0, known),
                                ("new", 1, {"popularity": known["popularity"]})):  # fmt: skip
        cell = replace(cell_of("dns", seed=seed), dataset=dataset, fingerprint=dataset * 20)
        result = result_of(cell, 0.3)
        result.data["references"] = data
        store.save(result)
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    # A reference that is called like a sampler says that it is none.
    named = "popularity ranking, dns ranking, markov"
    assert f"For reference, not trained and not marked: {named}." in text
    assert f"| dataset | metric | dns | {named.replace(', ', ' | ')} |" in text
    assert "| new | NG@10 | 0.3000 ± 2.8380 | 0.0500 | 0.0700 | 0.0600 |" in text
    assert "| old | NG@10 | 0.3000 ± 2.8380 | 0.0500 | – | – |" in text


@pytest.mark.usefixtures("sketches")
def test_self_peer_and_ensemble_stand_side_by_side(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(cell_of("uniform"), 0.1))
    paired = result_of(cell_of("mdcns"), 0.3)
    paired.metrics.update(test_peer={"ndcg@10": 0.25}, test_ensemble={"ndcg@10": 0.35})
    store.save(paired)
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    section = text.partition("## Self, peer and ensemble")[2].partition("##")[0]
    assert "| made-up | sasrec | mdcns | 0.3000 | 0.2500 | 0.3500 |" in section
    assert "uniform" not in section


@pytest.mark.usefixtures("sketches")
def test_of_several_settings_it_says_which_validation_would_choose(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(cell_of("uniform"), 0.1))
    #           seed 0: validation, test; seed 1, which one setting lacks
    tried = {1: [(0.3, 0.10), (0.9, 0.90)], 2: [(0.5, 0.20), (0.1, 0.90)], 3: [(0.4, 0.45)]}
    for m, results in tried.items():
        for seed, (valid, test) in enumerate(results):
            result = result_of(cell_of("dns+", seed=seed, hyper={"N": 5, "M": m}), test)
            result.metrics["valid"]["ndcg@20"] = valid
            store.save(result)
    write(store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    section = text.partition("## Settings")[2].partition("##")[0]
    # Median of 0.1, 0.2, 0.45; their deviations from 0.25 are -0.15, -0.05, 0.2.
    row = "dns+ (M=2) | dns+ (M=3) | 3 | 1 | 0.2000 | 0.4500 | 0.2000 | 0.1803"
    assert f"| made-up | sasrec | dns+ | {row} |" in section
    assert "uniform" not in section
    page = (tmp_path / "reports/index.html").read_text()
    assert ">Settings: chosen by validation" in page and ">0.1803<" in page


def test_a_baseline_of_several_settings_is_not_said_to_be_untrained(tmp_path):
    store = Store(tmp_path / "results")
    for count in (1, 5):
        store.save(result_of(cell_of(sampler="uniform", hyper={"K": count})))
    ((_, sentences),) = by_dataset(next(iter(comparisons(store))))
    assert "uniform (K=" in sentences[0] and "was not trained" not in sentences[0]
    store = Store(tmp_path / "others")
    for name in ("dns", "popularity"):
        store.save(result_of(cell_of(sampler=name)))
    ((_, sentences),) = by_dataset(next(iter(comparisons(store))))
    assert "uniform was not trained" in sentences[0]


def test_the_plot_holds_many_samplers(tmp_path):
    store = Store(tmp_path / "study")
    for backbone in ("sasrec", "gru4rec"):
        for sampler in samplers.registry.names():
            store.save(result_of(cell_of(sampler, backbone)))
    write(store.root, tmp_path / "reports")
    image = plt.imread(tmp_path / "reports/comparison-bce-synthetic.png")
    height, width = image.shape[:2]
    assert height > 30 * len(samplers.registry.names())
    assert width < 2000


def test_an_empty_study_says_what_to_do(tmp_path, capsys):
    with pytest.raises(UserError, match=r"run python -m bench\.grid first"):
        write(tmp_path, tmp_path / "reports")
    assert report.main(["nothing", "--results", str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err

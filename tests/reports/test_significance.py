"""Reports on significance: statements, figures, ranks, and the diagram."""

from __future__ import annotations

import io
import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from support.ranks import BLOCKS, save, study_of

import samplers
from bench.analysis.comparison import comparisons
from bench.reports import significance
from bench.reports.plots import ranks as plot_ranks
from bench.reports.plots import style
from bench.reports.render_markdown import markdown
from bench.reports.writing import document_files

pytestmark = pytest.mark.filterwarnings("error")


def test_the_report_has_statements_figures_and_wins(tmp_path):
    (comparison,) = comparisons(study_of(tmp_path, BLOCKS))
    files = document_files(significance.document(comparison))
    name = "significance-bce-synthetic"
    assert set(files) == {f"{name}.{suffix}" for suffix in ("md", "csv")}
    text = files[f"{name}.md"].decode()
    assert text.startswith("# Significance: SYNTHETIC data, bce loss")
    for dataset, backbone in BLOCKS:
        assert f"\n- mdcns beats uniform on {dataset} ({backbone}) by " in text
        assert f"| {dataset} | {backbone} | mdcns |  | mdcns |  |" in text
    assert "150 users, 2 seeds. Warning: the test users are few." in text
    # Seven blocks are needed for a diagram of ranks; how often each is better needs none.
    assert "No diagram of ranks: with 4 blocks" in text
    assert "3 samplers need 7 blocks" in text
    wins = [line for line in text.splitlines() if line.count("/") > 3]
    assert wins[0].startswith("| mdcns | 1.00 |  | ")
    assert "4/0/0" in wins[0]
    assert "0/0/4" in wins[-1]
    assert all(line.count("/") == 4 for line in wins)
    table = pd.read_csv(io.BytesIO(files[f"{name}.csv"]))
    assert len(table) == 4 * (2 + 2)
    red = table[(table["dataset"] == "red") & (table["backbone"] == "sasrec")]
    gains = comparison.user_gains()["red", "sasrec"]
    (row,) = red[(red["first"] == "mdcns") & (red["family"] == "baseline")].itertuples()
    assert row.difference == pytest.approx((gains["mdcns"] - gains["uniform"]).mean())
    assert row.significant
    assert row.seeds_std > 0
    assert comparison.below_best["ndcg@10"] == {
        (dataset, backbone): {"uniform", "dns"} for dataset, backbone in BLOCKS
    }


def test_where_there_is_power_the_report_has_ranks_and_their_diagram(tmp_path):
    (comparison,) = comparisons(study_of(tmp_path, BLOCKS))
    files = document_files(significance.document(comparison, "nemenyi"))
    name = "significance-bce-synthetic"
    assert set(files) == {f"{name}.{suffix}" for suffix in ("md", "csv", "png", "svg")}
    text = files[f"{name}.md"].decode()
    assert "4 blocks, each a dataset with a backbone; 3 samplers." in text
    assert "The 4 blocks are of 2 datasets: blocks of one dataset are not independent" in text
    assert f"]({name}.png)" in text
    assert "Pairs by Nemenyi's test." in text
    assert "No diagram" not in text


def test_pairs_with_neither_best_nor_baseline_are_in_the_csv_file_alone(tmp_path):
    effects = {"uniform": 1.0, "dns": 0.9, "gnno": 0.8, "mdcns": 0.4}
    (comparison,) = comparisons(study_of(tmp_path, BLOCKS[:1], effects))
    document = significance.document(comparison)
    text = markdown(document)
    found = document.data.set_index("family").loc[["other"]]
    assert {*found[["first", "second"]].to_numpy()[0]} == {"dns", "gnno"}
    assert found["relative"].item() > 0
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert not [line for line in rows if line.startswith(("| dns | gnno", "| gnno | dns"))]
    assert "`significance-bce-synthetic.csv` alone" in text


def test_real_data_are_not_called_synthetic_and_one_seed_is_said(tmp_path):
    store = study_of(tmp_path, [("red", "sasrec")], users=320, n_seeds=1, synthetic=False)
    (comparison,) = comparisons(store)
    files = document_files(significance.document(comparison))
    assert set(files) == {"significance-bce.md", "significance-bce.csv"}
    text = files["significance-bce.md"].decode()
    assert "SYNTHETIC" not in text
    statements = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(statements) == 2 + 1  # two against the baseline; the best against dns
    for line in statements:
        assert line.endswith("with one seed, how far another would move it is unknown.")
        assert "few" not in line
    assert "1 block and 3 samplers common to all blocks" in text


def test_missing_cells_are_left_out_and_said(tmp_path):
    store = study_of(tmp_path, BLOCKS)
    save(store, "ahns", "sasrec", np.ones(140), "red")
    save(store, "ahns", "linrec", np.ones(150), "red")
    (comparison,) = comparisons(store)
    text = markdown(significance.document(comparison))
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")}
    assert "no finished cell is here: ahns." in sections["blue, sasrec"]
    assert "tested on 140 of 150 test users" in sections["red, sasrec"]
    assert "One sampler: nothing to compare." in sections["red, linrec"]
    last = sections["Over datasets and backbones"]
    assert "- ahns is left out: no finished cell on blue gru4rec, blue sasrec" in last
    assert "- mdcns is left out: no finished cell on red linrec." in last
    assert "0 samplers common to all blocks" in last


def test_without_the_baseline_the_best_is_compared(tmp_path):
    effects = {"dns": 1.0, "mdcns": 0.3}
    (comparison,) = comparisons(study_of(tmp_path, [("red", "sasrec")], effects))
    text = markdown(significance.document(comparison))
    assert "Against uniform" not in text
    assert "| red | sasrec | mdcns |  | no uniform | no uniform |" in text
    assert "\n- mdcns beats dns on red (sasrec) by " in text


def test_a_single_sampler_is_not_written_about(tmp_path):
    (comparison,) = comparisons(study_of(tmp_path, [("red", "sasrec")], {"uniform": 1.0}))
    assert significance.document(comparison) is None
    assert comparison.below_best["ndcg@10"] == {("red", "sasrec"): set()}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [3, 5, 18])
def test_names_in_the_diagram_do_not_overlap(k, ties):
    names = [*samplers.registry.names()[: k - 1], "mdcns-released (beta=0.5, gamma=1.5)"]
    mean = pd.Series([(k + 1) / 2] * k if ties else np.linspace(1, k, k), index=names)
    cliques = [names[i : i + 3] for i in range(k - 2)]
    with matplotlib.rc_context(style.STYLE):
        figure = plot_ranks.figure_of(mean, cliques, "A title")
        style.lay_out(figure)
        boxes = [
            text.get_window_extent()
            for text in figure.findobj(Text)
            if text.get_text() and text.get_visible()
        ]
    assert len(boxes) >= 2 * k + 1  # names, ticks, the title
    whole = figure.bbox
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    for box in boxes:
        assert box.x0 >= whole.x0 - 1
        assert box.x1 <= whole.x1 + 1


def test_the_diagram_is_the_same_twice_and_leaves_no_theme():
    mean = pd.Series({"dns": 1.0, "$uniform$": 2.0, "mdcns": 3.0})
    before = dict(matplotlib.rcParams)
    one, two = (
        plot_ranks.critical_difference(mean, [["dns", "$uniform$"]], "ranks", "A title")
        for _ in range(2)
    )
    assert dict(matplotlib.rcParams) == before
    assert one.png.startswith(b"\x89PNG")
    assert b"<svg" in one.svg
    assert (one.png, one.svg) == (two.png, two.svg)

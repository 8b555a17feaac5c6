"""The paper's tables filled in beside the published figures."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
from support.paper import filled, margins, real_cell, record_of, rows_of
from support.results import result_of

from bench.reports import paper_tables
from bench.reports.render_latex import latex
from bench.reports.render_markdown import markdown
from bench.reports.writing import document_files, write
from bench.studies import paper_grids
from bench.studies.store import Store

MDCNS = "mdcns-peer-mamba4rec"


def test_published_figures_are_shown_as_they_are_in_the_file():
    names = ["beauty", "toys", "sports", "health", "lastfm", "kuairand"]
    (table,) = filled([record_of(real_cell(name)) for name in names])
    header, *rows = rows_of(markdown(table.document()).partition("## ")[0])
    shown = {
        (row[0], method, row[1]): value
        for row in rows
        if row[2] == "published"
        for method, value in zip(header[3:], row[3:], strict=True)
    }
    figures = pd.read_csv(paper_grids.FOLDER / "table3_overall.csv")
    assert shown == {
        (line.dataset, line.method, line.metric): f"{line.value:.4f}"
        for line in figures.itertuples()
    }
    assert shown["Toys", "MDCNS", "RC@10"] == "0.1200"
    assert "is printed 1.200" in markdown(table.document())


def test_ours_is_the_mean_over_seeds_and_the_difference_is_to_the_published():
    records = [record_of(real_cell(seed=0), 0.0300), record_of(real_cell(seed=1), 0.0400)]
    records.append(record_of(real_cell("toys", seed=0), 0.0496))
    (table,) = filled(records)
    # Beauty, RNS, NG@10 is published as 0.0347.
    assert (
        "| Beauty | NG@10 | published | 0.0347 | 0.0335 | 0.0297 | 0.0497 | 0.0476 | 0.0425 "
        "| 0.0418 | 0.0416 | 0.0685 |\n"
        "| Beauty | NG@10 | ours | 0.0350 ± 0.0020 |" + " missing |" * 8 + "\n"
        "| Beauty | NG@10 | difference | +0.0003 (+0.9 %) |" + "  |" * 8 + "\n"
    ) in markdown(table.document())
    assert (
        "2 of its 54 systems are measured, none on Sports, Health, LastFM, KuaiRand. "
        "Means over 1 to 2 seeds."
    ) in markdown(table.document())
    lines = table.lines.set_index(["dataset", "method", "metric"])
    line = lines.loc[("Beauty", "RNS", "NG@10")]
    assert line["ours"] == pytest.approx(0.035)
    assert line["difference"] == pytest.approx(0.0003)
    assert line["difference_pct"] == pytest.approx(100 * 0.0003 / 0.0347)
    assert line["seeds"] == 2
    assert lines.loc[("Toys", "RNS", "NG@10"), "difference"] == pytest.approx(0)
    assert math.isnan(lines.loc[("Toys", "DNS", "NG@10"), "ours"])
    assert set(table.lines["dataset"]) == {"Beauty", "Toys"}
    assert r"& difference & +0.0003 (+0.9 \%) &" in latex(table.document())
    assert len(document_files(table.document())["table3.csv"].splitlines()) == 1 + 18 * 6


def test_settings_without_a_choice_and_users_of_one_system_stand_apart():
    one, other = (real_cell(sampler=MDCNS, hyper={"gamma": g}) for g in (1.0, 3.0))
    (table,) = filled([record_of(one, 0.02), record_of(other, 0.04)], 7)
    ours = [
        row
        for row in rows_of(markdown(table.document()))
        if row[:1] == ["Beauty"] and row[3] == "ours"
    ]
    assert [row[1:3] + row[4:5] for row in ours if "MDCNS " in row[1]] == [
        ["MDCNS (gamma=1.0)", "mamba4rec", "0.0200 ± 0.0010"],
        ["MDCNS (gamma=3.0)", "mamba4rec", "0.0400 ± 0.0010"],
    ]
    (wide,) = filled([record_of(one, 0.02), record_of(other, 0.04)], 3)
    assert "| MDCNS (gamma=1.0) | MDCNS (gamma=3.0) |" in markdown(wide.document())
    assert "gamma=1.0, omega=1.0" in markdown(wide.document()).partition("## Settings of ours")[2]

    other_users = replace(real_cell(), split_digest="e" * 16)
    (table,) = filled([record_of(real_cell(), 0.02), record_of(other_users, 0.04)])
    for split, value in (("dddddddd", "0.0200"), ("eeeeeeee", "0.0400")):
        row = f"| Beauty (split={split}) | NG@10 | ours | {value} ± 0.0010 | missing |"
        assert row in markdown(table.document())


def test_a_log_of_ones_own_is_not_set_against_the_paper_s_figures():
    """``--datasets ./beauty.csv`` is called beauty too."""
    own = replace(real_cell(), fingerprint="e" * 64)
    assert filled([record_of(own, 0.02)]) == []
    (table,) = filled([record_of(real_cell(), 0.02), record_of(own, 0.04)])
    assert "0.0400" not in markdown(table.document())


def test_the_paper_s_log_without_its_times_is_still_its_log():
    untimed = replace(real_cell(), fingerprint=paper_grids.UNTIMED["beauty"])
    (table,) = filled([record_of(untimed, 0.02)])
    assert "0.0200" in markdown(table.document())


def test_mdcns_as_released_stands_beside_the_text_s():
    text, released = (
        replace(cell, peer=replace(cell.backbone, name="mamba4rec"))
        for cell in (real_cell(sampler=MDCNS), real_cell(sampler="mdcns-released"))
    )
    others = [
        real_cell(sampler=entry.sampler)
        for entry in paper_grids.TABLES[3].entries()
        if entry.dataset == "Beauty" and entry.method != "MDCNS"
    ]
    records = [record_of(text, 0.04), record_of(released, 0.05)]
    (table,) = filled([*records, *(record_of(cell, 0.04) for cell in others)])
    assert "| MDCNS | MDCNS (as released) |" in markdown(table.document())
    change = "| Beauty | NG@10 | MDCNS over the best other"
    assert f"{change} | 37.83 % | 0.00 % |" in markdown(table.document())
    assert f"{change}, MDCNS (as released) | 37.83 % | 25.00 % |" in markdown(table.document())
    assert "MDCNS on SASRec is `mdcns-released`:" in markdown(table.document())
    gru = replace(released, peer=replace(released.backbone, name="gru4rec"))
    (table,) = filled([record_of(gru, 0.05)], 7)
    assert "| Beauty | MDCNSwts (as released) | gru4rec | ours |" in markdown(table.document())
    assert filled([record_of(gru, 0.05)], 3) == []


def test_baselines_as_released_stand_beside_their_authors_forms():
    """The paper's figures are of the released code's forms."""
    records = [
        record_of(real_cell(sampler=sampler), value)
        for sampler, value in [("adasir", 0.03), ("adasir-released", 0.04), ("gnno-released", 0.05)]
    ]
    (table,) = filled(records)
    text = markdown(table.document())
    assert "| RNS | DNS | MixGCF | AdaSIR | AdaSIR (as released) | GNNO (as released) |" in text
    ours = next(line for line in text.splitlines() if "| Beauty | NG@10 | ours |" in line)
    assert [cell.strip()[:6] for cell in ours.split("|")[7:10]] == ["0.0300", "0.0400", "0.0500"]
    assert "AdaSIR on SASRec is `adasir-released`:" in text


def test_protocols_get_files_of_their_own_and_the_papers_comes_first():
    records = [record_of(real_cell(), 0.02), record_of(real_cell(paper_protocol=True), 0.04)]
    first, second = filled(records)
    assert (first.name, second.name) == ("table3", "table3-other-protocol")
    assert "The paper's protocol." in markdown(first.document())
    assert "NOT the paper's protocol: N 5 (paper: 100)" in markdown(second.document())
    assert first.lines["ours"].max() == 0.04
    assert second.lines["ours"].max() == 0.02


def test_lastfm_may_be_split_as_the_papers_logs_show_it():
    (table,) = filled([record_of(real_cell("lastfm", split="user-prefixes", paper_protocol=True))])
    as_logged = " LastFM: split user-prefixes, as in the paper's logs.\n"
    assert f"The paper's protocol.{as_logged}" in markdown(table.document())
    (table,) = filled([record_of(real_cell("lastfm", split="user-prefixes"))])
    assert "NOT the paper's protocol: N 5 (paper: 100), " in markdown(table.document())
    assert f", window 8 (paper: 50).{as_logged}" in markdown(table.document())
    assert filled([record_of(real_cell("beauty", split="user-prefixes"))]) == []


def test_what_is_not_the_papers_system_does_not_count():
    others = [
        real_cell("beauty-twin"),
        real_cell("my_shop"),
        real_cell(sampler="ahns"),
        real_cell(sampler="dns", backbone="linrec"),
        real_cell(split="temporal"),
        real_cell(sampler="mdcns-no-cd"),  # its peer is not the paper's
    ]
    assert paper_tables.fill([record_of(cell) for cell in others], margins) == []
    assert paper_tables.fill([record_of(real_cell(), synthetic=True)], margins) == []


def test_table_5_has_bpr_and_a_peer_that_differs_from_the_model():
    cell = real_cell(sampler="mdcns-peer-sasrec", backbone="mamba4rec", objective="bpr")
    (table,) = paper_tables.fill([record_of(cell, 0.0667)], margins)
    assert table.table.number == 5
    assert "| Beauty | Mamba4Rec | MDCNS | difference |" in markdown(table.document())
    assert "+0.0000 (+0.0 %) |" in markdown(table.document())


def test_drops_and_improvements_are_those_of_the_paper():
    variants = {MDCNS: 0.04, "mdcns-no-cd": 0.03, "mdcns-no-cd-dr": 0.02, "mdcns-no-cd-dr-ms": 0.01}
    records = []
    for sampler, value in variants.items():
        hyper = None if sampler.endswith("-ms") else {"peer": "mamba4rec"}
        cell = real_cell("toys", sampler, hyper=hyper)
        if hyper:
            mamba = replace(cell.backbone, name="mamba4rec")
            cell = replace(cell, peer=mamba)
        records.append(record_of(cell, value))
    (table,) = filled(records, 6)
    # The paper prints a drop of 9.93 % for w/o CD on Toys.
    assert "| Toys | NG@10 | drop, w/o CD | 9.93 % | 25.00 % |" in markdown(table.document())
    assert "| Toys | NG@10 | drop, w/o CD-DR-MS | 24.05 % | 75.00 % |" in markdown(table.document())

    names = [entry.sampler for entry in paper_grids.TABLES[3].entries() if entry.dataset == "Toys"]
    values = {name: 0.06 if name == MDCNS else 0.05 for name in names}
    records = [record_of(real_cell("toys", name), value) for name, value in values.items()]
    (table,) = filled(records, 3)
    assert "| Toys | RC@20 | MDCNS over the best other | 7.66 % | 20.00 % |" in markdown(
        table.document()
    )
    (table,) = filled(records[1:], 3)  # one method missing: there is no best of all
    assert "| Toys | RC@20 | MDCNS over the best other | 7.66 % | missing |" in markdown(
        table.document()
    )


def test_notes_say_which_data_are_not_the_papers():
    (table,) = filled([record_of(real_cell("kuairand")), record_of(real_cell("health"))])
    notes = markdown(table.document()).partition("## Notes on the data")[2]
    assert "KuaiRand: not the paper's KuaiRand" in notes
    assert "Health: Table 2 prints" in notes
    assert r"\selectfont KuaiRand: not the paper's" in latex(table.document())


@pytest.mark.usefixtures("sketches")
def test_a_study_writes_the_tables_it_has_cells_for(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(real_cell("health"), 0.05, synthetic=False))
    store.save(result_of(real_cell("beauty-twin"), 0.05))
    names = {path.name for path in write(store.root, tmp_path / "reports")}
    assert {n for n in names if n.startswith("table")} == {"table3.csv", "table3.md", "table3.tex"}
    for name in ("table3.csv", "table3.md", "table3.tex"):
        assert "twin" not in (tmp_path / "reports" / name).read_text()


def test_copies_of_published_figures_are_the_shared_ones(data_dir):
    shared = data_dir.parent / "spec" / "paper_tables"
    if not shared.is_dir():
        pytest.skip("no ../shared/spec/paper_tables")
    for path in shared.glob("*.csv"):
        assert (paper_grids.FOLDER / path.name).read_bytes() == path.read_bytes()

"""Of whose users a filled table is, and what stands in it of several settings and losses."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from support.paper import filled, real_cell, record_of, rows_of

from bench.reports.render_latex import latex
from bench.reports.render_markdown import markdown
from bench.studies import paper_grids

METHODS = [e.sampler for e in paper_grids.TABLES[3].entries() if e.dataset == "Toys"]
OTHERS = "The published are of other users"


def authors(dataset="beauty", **more):
    return real_cell(dataset, split="authors", paper_protocol=True, **more)


def section(table, heading):
    return markdown(table.document()).partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_the_authors_users_are_the_published_ones_and_said_to_be():
    (table,) = filled([record_of(authors(), 0.03)])
    text = markdown(table.document())
    assert "On Beauty the published are of the same test users" in text
    assert "of other users" not in text
    assert "The paper's protocol. Beauty: split authors, the authors' own users." in text


def test_users_of_two_splits_have_rows_of_their_own_in_one_table():
    ours = real_cell(paper_protocol=True)
    lastfm = real_cell("lastfm", split="user-prefixes", paper_protocol=True)
    records = [record_of(authors(), 0.03), record_of(ours, 0.02), record_of(lastfm, 0.04)]
    (table,) = filled(records)
    text = markdown(table.document())
    shown = {row[0]: row[3] for row in rows_of(text) if row[1:3] == ["NG@10", "ours"]}
    assert shown == {
        "Beauty (split authors)": "0.0300 ± 0.0010",
        "Beauty (split user)": "0.0200 ± 0.0010",
        "LastFM": "0.0400 ± 0.0010",
    }
    assert "On Beauty (split authors) the published are of the same test users" in text
    assert "On Beauty (split user), LastFM the published are of other users" in text
    assert "Beauty (split user): split user, our draw of 70/20/10." in text
    assert "2 of its 54 systems are measured" in text


def test_of_several_settings_of_a_method_validation_chooses():
    records = [record_of(real_cell("toys", name), 0.04) for name in METHODS if name != "dns+"]
    (table,) = filled([*records, record_of(real_cell("toys", "dns+"), 0.05)])
    assert "several settings" not in markdown(table.document())
    for M, value, valid in ((1, 0.05, 0.30), (2, 0.06, 0.20), (4, 0.01, 0.10)):
        cell = real_cell("toys", "dns+", hyper={"M": M})
        records.append(record_of(cell, value, valid=valid))
    (table,) = filled(records)
    text = markdown(table.document())
    assert "| GNNO | DNS+ | MixGCF+ |" in text
    change = "| Toys | NG@10 | MDCNS over the best other | 30.55 % | -20.00 % |"
    assert change in section(table, "Change")
    choice = "| Toys | SASRec | DNS+ | M=1 | M=2 | 3 | 1 | 0.0500 | 0.0600 | 0.0500 | 0.0265 |"
    assert choice in section(table, "Settings: chosen by validation, and best on test")
    assert "Toys: chosen by validation: DNS+ M=1" in latex(table.document())
    lines = table.lines[table.lines["method"] == "DNS+"].groupby("setting")["shown"].all()
    assert lines.to_dict() == {"M=1": True, "M=2": False, "M=4": False}


def test_of_two_losses_the_better_on_validation_is_shown_and_named():
    bce, bpr = (real_cell("toys", "mixgcf", objective=loss) for loss in ("bce", "bpr"))
    (table,) = filled([record_of(bce, 0.03, valid=0.2), record_of(bpr, 0.02, valid=0.3)])
    shown = table.shown.set_index(["method", "metric"]).loc[("MixGCF", "NG@10")]
    assert (shown["loss"], shown["ours"]) == ("bpr", 0.02)
    assert "Toys: chosen by validation: MixGCF loss=bpr" in latex(table.document())
    row = "| Toys | SASRec | MixGCF | loss=bpr | 0.4000 | 0.0200 ± 0.0010 | 0.05 | 0.0117 |  |"
    assert row in section(table, "Validation beside test")
    other = pd.DataFrame(table.document().data).query("loss == 'bce' and metric == 'NG@10'")
    assert other["ours"].tolist() == [0.03]


def test_a_table_of_backbones_has_its_own_loss_where_there_is_one():
    """Tables 4 and 5 are the same systems under two losses; the other does not stand in for it."""
    uniform = {loss: real_cell("toys", objective=loss) for loss in ("bce", "bpr")}
    records = [record_of(uniform["bce"], 0.03, valid=0.2), record_of(uniform["bpr"], 0.02)]
    for number, ours in ((4, 0.03), (5, 0.02)):
        (table,) = filled(records, number)
        shown = table.shown.set_index(["backbone", "method", "metric"])["ours"]
        assert shown["SASRec", "RNS", "NG@10"] == ours
        assert "losses" not in markdown(table.document())
    beauty = record_of(real_cell("beauty", objective="bce", paper_protocol=True), 0.04)
    other_users = record_of(replace(authors(), objective=uniform["bpr"].objective), 0.05)
    (table,) = filled([beauty, other_users], 4)
    assert set(table.shown["dataset"]) == {"Beauty (split authors)", "Beauty (split user)"}


def test_a_table_may_be_of_another_loss_alone_unless_that_is_another_table_s():
    # Of MixGCF no table of BPR has a figure; of uniform Table 5 has one.
    (table,) = filled([record_of(real_cell("toys", "mixgcf", objective="bpr"))])
    assert "| MixGCF | loss=bpr |" in section(table, "Validation beside test")
    uniform = [record_of(real_cell("toys", objective="bpr"))]
    assert filled(uniform) == []
    assert len(filled(uniform, 5)) == 1
    assert filled([record_of(real_cell("toys"))], 5) == []
    assert filled([record_of(real_cell("toys", "mixgcf", objective="softmax"))]) == []


@pytest.mark.parametrize(
    ("dataset", "sampler", "logs"),
    [
        ("beauty", "mdcns-released", "chosen by validation 0.0665, median 0.0629 of 14"),
        ("lastfm", "dns+", "M=10 0.1006, M=15 0.0961, M=20 0.0943"),
        ("toys", "srns", ""),
    ],
)
def test_what_is_known_of_the_authors_logs_stands_beside_validation(dataset, sampler, logs):
    cell = real_cell(dataset, sampler, hyper={"peer": "mamba4rec"} if "mdcns" in sampler else None)
    (table,) = filled([record_of(cell)])
    (row,) = rows_of(section(table, "Validation beside test"))[1:]
    assert row[-1].endswith(logs)
    assert row[4:7] == ["0.4000", "0.0500 ± 0.0010", "0.12"]

"""reports/README.md and the README's table: their tables and verdicts say what is stored.

When cells have come in, `PYTHONPATH=.:tests python tests/reports/test_front_page.py` writes the
tables anew.
"""

from __future__ import annotations

import functools
import statistics

import pandas as pd
import pytest
from support.studies import (
    README,
    ROOT,
    comparisons_of,
    minutes,
    over_seeds,
    published,
    relation,
    rewritten,
    systems_of,
)

from bench.analysis.chosen import as_chosen, preference
from bench.analysis.over_users import LEVEL, holm
from bench.analysis.verdict import verdicts
from bench.studies.store import Store

PAGE = ROOT / "reports" / "README.md"
STUDIES_OF = {
    "Beauty": "beauty-authors-gpu",
    "Toys": "toys-gpu",
    "Sports": "sports-mended",
    "Health": "health-mended",
    "LastFM": "lastfm-mended",
}
"""Dataset to the study that its columns are from."""
TUNED = "lastfm-tuned"
ROWS = {
    "mdcns, peer mamba4rec": "mdcns-peer-mamba4rec",
    "mdcns, peer gru4rec": "mdcns",
    **{
        name: name
        for name in (
            "full-softmax", "sampled-softmax", "mixed", "in-batch", "gbce", "mdcns-text", "srns",
            "adasir-released", "gnno-released", "dns+", "mixgcf+", "uniform", "dns", "mixgcf",
        )
    },
}  # fmt: skip
"""Rows to samplers."""
BACKBONES = {
    "sasrec": "bce", "linrec": "bce", "fmlp4rec": "bce",
    "sasrec ": "bpr", "gru4rec": "bpr", "mamba4rec": "bpr",
}  # fmt: skip
"""Rows of the paper's Tables 4 and 5 to their loss; the names differ by a blank where a backbone
is in both."""


@functools.cache
def chosen(study, dataset, backbone, sampler, objective=None):
    """The records of a system, a list for its seeds; None where there are none.

    Of several settings and, unless it is given, losses those with the most seeds, and of these
    the one with the best mean NDCG@20 on validation.
    """
    found = [
        records
        for records in systems_of(study)
        if records[0].sampler == sampler
        and records[0].cell.dataset == dataset.lower()
        and records[0].cell.backbone.name == backbone
        and (objective is None or records[0].cell.objective.name in (objective, "softmax"))
    ]
    return max(found, key=preference, default=None)


def figure(records):
    """NDCG@10 on test, its deviation over seeds, and the loss where it is not the usual one."""
    if records is None:
        return ""
    mean, *spread = over_seeds(records, "ndcg@10")
    told = f"± {spread[0]:.4f}" if spread else "(1 seed)"
    few = f" ({len(records)} seeds)" if len(records) == 2 else ""
    loss = " BPR" if records[0].cell.objective.name == "bpr" else ""
    return f"{mean:.4f} {told}{few}{loss}"


def untrained(study, dataset, name):
    """A reference's NDCG@10."""
    references = comparisons_of(study)[0].references
    return f"{references[name][dataset.lower()]['ndcg@10']:.4f}"


def samplers_table():
    """A row a sampler: for each dataset ours and the printed, then CPU minutes on Beauty."""
    rows = []
    for shown, name in ROWS.items():
        its = {of: chosen(study, of, "sasrec", name) for of, study in STUDIES_OF.items()}
        row = [shown]
        for records in its.values():
            row += [figure(records), published(records[0]) if records else ""]
        rows.append([*row, f"{cost(STUDIES_OF['Beauty'], its['Beauty']):.1f}"])
    rows.sort(key=lambda row: row[1], reverse=True)
    row = ["co-occurrence, not trained"]
    for of, study in STUDIES_OF.items():
        row += [untrained(study, of, "co-occurrence"), ""]
    return [*rows, [*row, ""]]


def cost(study, records):
    """CPU minutes of a training of a system, mean over its seeds."""
    return statistics.mean(minutes(study)[each.key] for each in records)


def backbones_table():
    """Tables 4 and 5 on Beauty: ours (published), and mdcns beside sampled-softmax: its accuracy,
    with a star where a t test, corrected for the table's rows, tells them apart, and its cost."""
    rows, tests = [], []
    for shown, loss in BACKBONES.items():
        backbone = shown.strip()
        mdcns = "mdcns-peer-sasrec" if backbone == "mamba4rec" else "mdcns-peer-mamba4rec"
        row = [backbone, loss.upper()]
        for name in ("uniform", "dns+", mdcns):
            records = chosen(STUDIES_OF["Beauty"], "Beauty", backbone, name, loss)
            ours = over_seeds(records, "ndcg@10")[0]
            row.append(f"{ours:.4f} ({published(records[0], loss)})")
        softmax = chosen(STUDIES_OF["Beauty"], "Beauty", backbone, "sampled-softmax")
        pairs = pd.read_csv(ROOT / "reports" / STUDIES_OF["Beauty"] / f"significance-{loss}.csv")
        pairs = pairs[pairs["backbone"] == backbone]
        row.append(f"{over_seeds(softmax, 'ndcg@10')[0]:.4f}")
        apart, pair = relation(pairs, mdcns, "sampled-softmax")
        tests.append(pair.p_t)
        mine = chosen(STUDIES_OF["Beauty"], "Beauty", backbone, mdcns, loss)
        times = cost(STUDIES_OF["Beauty"], mine) / cost(STUDIES_OF["Beauty"], softmax)
        rows.append([*row, apart, f"{times:.1f}"])
    for row, p in zip(rows, holm(pd.Series(tests)), strict=True):
        row[-2] += " *" if p < LEVEL else ""
    return rows


def tuned_table():
    """A row a tuned system: at the settings of the table above, and as validation chose, both at
    seed 0; what that costs; then what was chosen, and the epochs that its trials took."""
    outcomes = pd.read_csv(ROOT / "reports" / TUNED / "tuning.csv").set_index("sampler")
    compared = {key for each in comparisons_of(TUNED) for key in each.cells["key"]}
    rows = []
    for record in Store(ROOT / "results" / TUNED).records():
        if record.key not in compared:  # chosen when there were fewer trials
            continue
        name = record.sampler
        given = chosen(STUDIES_OF["LastFM"], "LastFM", "sasrec", name)
        (before,) = (each for each in given if each.cell.seed == record.cell.seed == 0)
        its = outcomes.loc[name]
        setting = its["chosen"].replace(f"{name}.", "").replace("sasrec.", "").replace(" ", ", ")
        figures = [f"{each.test['ndcg@10']:.4f}" for each in (before, record)]
        costs = f"{cost(TUNED, [record]):.1f}"
        rows.append([name, *figures, costs, setting, f"{its['epochs']:,}"])
    return sorted(rows, key=lambda row: row[2], reverse=True)


TABLES = {"sampler": samplers_table, "backbone": backbones_table, "tuned": tuned_table}


def rows_of(corner, *_):
    """What a table, known by its first column, is to hold."""
    return TABLES[corner]() if corner in TABLES else None


@pytest.mark.parametrize(("page", "tables"), [(PAGE, list(TABLES)), (README, ["sampler"])])
def test_tables_say_what_is_stored(page, tables):
    text = page.read_text(encoding="utf-8")
    assert rewritten(text, rows_of) == text
    assert all(f"\n| {corner} |" in text for corner in tables)


@pytest.mark.parametrize("study", STUDIES_OF.values())
def test_the_readme_gives_the_verdicts_of_the_reports(study):
    said = " ".join(README.read_text(encoding="utf-8").split())
    (comparison,) = as_chosen(Store(ROOT / "results" / study))
    (verdict,) = (each for each in verdicts(comparison) if each.backbone == "sasrec")
    assert all(each in said for each in verdict.sentences())


if __name__ == "__main__":
    for text in (README, PAGE):
        content = rewritten(text.read_text(encoding="utf-8"), rows_of)
        text.write_text(content, encoding="utf-8")

"""docs/first-edition.md: its tables say what is stored.

When cells have come in, `PYTHONPATH=.:tests python tests/reports/test_first_edition.py` writes them
anew.
"""

from __future__ import annotations

import itertools
import statistics

import pandas as pd
from support.studies import (
    ROOT,
    minutes,
    over_seeds,
    published,
    relation,
    rewritten,
    systems_of,
)

import samplers
from bench.studies.own_loss import has_own_loss

PAGE = ROOT / "docs" / "first-edition.md"
STUDIES_OF = {
    "Beauty": ["paper-sasrec", "paper-ablation"],
    "Toys": ["paper-sasrec", "paper-ablation"],
    "Sports": ["paper-sasrec"],
    "Health": ["paper-sasrec"],
    "LastFM": ["paper-lastfm"],
    "KuaiRand": ["paper-kuairand"],
}
"""Dataset to the studies that the page's tables of it are from."""

MDCNS = {
    "as released, peer gru4rec": [
        "mdcns-released (peer=gru4rec)",
        "mdcns-released (M=10, N=70, gamma=0.3, tau=2.0)",
    ],
    "as released, peer mamba4rec": ["mdcns-released (peer=mamba4rec)"],
    "the text's, peer gru4rec": ["mdcns-text"],
}
"""The page's names of the variants of MDCNS to those in reports; that with M 10 is KuaiRand's."""

BASELINES = ["uniform", "dns", "dns+", "mixgcf", "mixgcf+", "adasir", "gnno", "srns"]
"""Of the paper's Table 3."""
TWO = " (two models)"


def row_of(records, study):
    """A row of the page's tables, of one system's cells, without its name."""
    ours, *spread = over_seeds(records, "ndcg@10")
    return {
        "ours": f"{ours:.4f}",
        "seeds": str(len(records)),
        "sd": "".join(f"{each:.4f}" for each in spread),
        "published": published(records[0]),
        "CPU min": f"{statistics.mean(minutes(study)[each.key] for each in records):.1f}",
        "coverage": f"{over_seeds(records, 'coverage@10')[0]:.2f}",
    }


def test_the_tables_of_the_page_say_what_is_stored():
    page = PAGE.read_text()
    assert rewritten(page, rows_of) == page
    corners = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")]
    assert set(STUDIES_OF) <= set(corners)
    assert sum(corner in samplers.registry.names() for corner in corners) > 20


def rows_of(corner, *columns):
    """What a table of the page, known by its first columns, is to hold."""
    if corner in STUDIES_OF:
        systems = of_page(corner, STUDIES_OF[corner][0]).items()
        study = STUDIES_OF[corner][0]
        rows = [[name, *row_of(records, study).values()] for name, records in systems]
        return sorted(rows, key=lambda row: row[1], reverse=True)
    if corner == "MDCNS":
        return relations(columns)
    if (corner, *columns[:2]) == ("", "Beauty", "CPU min"):
        return parts([column for column in columns if column in STUDIES_OF])
    return None


def of_page(dataset, study):
    """Systems of a study on a dataset with BCE or their own loss, by the name of their row."""
    found = {}
    for records in systems_of(study):
        cell = records[0].cell
        name, objective = records[0].sampler, cell.objective.name
        if cell.dataset == dataset.lower() and (has_own_loss(name) or objective == "bce"):
            known = name in samplers.registry.names() + samplers.registry.variants()
            # What was stored of the text's ablations has today's name of the text's variant in it.
            usual = samplers.registry.hyper_parameters(name if known else "mdcns-text")
            options = [
                f"{option}={value}"
                for option, value in cell.sampler.hyper.items()
                if value != usual[option].default
                or (name == "dns+" and option == "M")
                or (option == "peer" and value is not None and value not in name)
            ]
            models = "" if cell.peer is None else TWO
            shown = ", ".join([name, *options]) + models
            assert shown not in found  # a name says all that sets a system apart
            found[shown] = records
    return found


def relations(datasets):
    """What the variants of MDCNS have over uniform, the best baseline and sampled-softmax.

    In % with the interval over the test users, and a star where that is significant, corrected;
    then the CPU minutes as a multiple of sampled-softmax's.
    """
    rows = {}
    for dataset in datasets:
        folder = ROOT / "reports" / STUDIES_OF[dataset][0]
        cells, pairs = (
            pd.read_csv(folder / f"{kind}-bce.csv").query(f"dataset == '{dataset.lower()}'")
            for kind in ("comparison", "significance")
        )
        mean = cells.groupby("sampler")[["ndcg@10", "cost_s"]].mean()
        times = mean["cost_s"] / mean["cost_s"]["sampled-softmax"]
        registered = mean.index.str.partition(" ").get_level_values(0)
        best = mean[registered.isin(BASELINES)]["ndcg@10"].idxmax()
        rows.setdefault("best baseline of the paper's Table 3", {})[dataset] = best
        variants = {
            shown: next((name for name in names if name in mean.index), "")
            for shown, names in MDCNS.items()
        }
        for other in ("uniform", best, "sampled-softmax"):
            against = "the best baseline" if other == best else other
            for shown, name in variants.items():
                apart, pair = relation(pairs, name, other)
                star = " *" if pair and pair.significant else ""
                rows.setdefault(f"{shown}, over {against}", {})[dataset] = apart + star
        for shown, name in variants.items():
            if name:
                label = f"{shown}, times the CPU minutes of sampled-softmax"
                rows.setdefault(label, {})[dataset] = f"{times[name]:.1f}"
    return [[name, *(of.get(each, "") for each in datasets)] for name, of in rows.items()]


def parts(datasets):
    """Rows for what the second study of the datasets takes apart: NDCG@10 and CPU minutes."""
    shown = {}
    for dataset in datasets:
        table3, ablation = (of_page(dataset, study) for study in STUDIES_OF[dataset])
        of_parts = STUDIES_OF[dataset][1]
        for name, records in ablation.items():
            if name not in table3 or records[0].cell.peer is not None:
                row = row_of(records, of_parts)
                name = name.removesuffix(TWO)
                shown.setdefault(name, {})[dataset] = [row["ours"], row["CPU min"]]
    rows = [
        [name, *itertools.chain(*(by_dataset.get(each, ["", ""]) for each in datasets))]
        for name, by_dataset in shown.items()
    ]
    return sorted(rows, key=lambda row: row[1::2], reverse=True)


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(), rows_of))

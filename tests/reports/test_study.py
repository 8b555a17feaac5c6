"""The committed studies: reports follow from their cells, and texts quote nothing else.

When cells have come in, `python -m bench.report STUDY` writes the report of a study anew, and
`PYTHONPATH=tests python tests/reports/test_study.py` the tables of README.md and of
reports/README.md.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import shlex
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.grid import clean_environment

import samplers
from bench.analysis.choices import choices_of
from bench.analysis.comparison import comparisons
from bench.analysis.verdict import verdicts
from bench.metrics import METRICS
from bench.reports.writing import write
from bench.studies.own_loss import has_own_loss
from bench.studies.paper_grids import FOLDER, TABLES
from bench.studies.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
PAGE = ROOT / "reports" / "README.md"
STUDIES_OF = {
    "Beauty": ["paper-sasrec", "paper-ablation"],
    "Toys": ["paper-sasrec", "paper-ablation"],
    "Sports": ["paper-sasrec"],
    "Health": ["paper-sasrec"],
    "LastFM": ["paper-lastfm"],
    "KuaiRand": ["paper-kuairand"],
}
"""Dataset to the studies that the page's tables of it are from."""
STUDIES = [
    "paper-sasrec", "paper-ablation", "paper-lastfm", "grid-lastfm", "paper-kuairand",
    "beauty-authors", "beauty-authors-gpu",
]  # fmt: skip
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
README_ROWS = {
    "sampled-softmax, one model": "sampled-softmax",
    "gbce, one model": "gbce",
    "mixed, one model": "mixed",
    "mdcns-released, peer mamba4rec": "mdcns-released, peer=mamba4rec",
    "mdcns-released, peer gru4rec": "mdcns-released, peer=gru4rec",
    "adasir (weights by score)": "adasir, P=10",
    "mdcns-text, peer gru4rec": "mdcns-text, peer=gru4rec, gamma=3.0",
    "dns+, M 10": "dns+, M=10",
    "gnno-proportional": "gnno-proportional, M=5",
    "mixgcf+, M 5": "mixgcf+, M=5",
    **{name: name for name in ("srns", "uniform", "dns", "mixgcf")},
}
"""Rows of the README's table to those of the page's."""
COMPARED = {".md", ".tex", ".csv", ".json"}
TWO = " (two models)"


@pytest.fixture(scope="module", params=STUDIES)
def study(request):
    return request.param


def written(study, folder):
    return {path.name: path for path in write(ROOT / "results" / study, folder / study)}


def test_every_cell_is_sound(study):
    root = ROOT / "results" / study
    keys = {path.name for path in (root / "cells").iterdir()}
    assert {record.key for record in Store(root).records()} == keys
    assert set(pd.read_csv(root / "index.csv")["key"]) == keys


@pytest.mark.usefixtures("sketches")
def test_its_tables_are_written_again_to_the_byte(study, tmp_path):
    tables = written(study, tmp_path)
    committed = {path.name: path for path in (ROOT / "reports" / study).iterdir()}
    assert set(committed) == set(tables)
    for name, path in committed.items():
        if path.suffix in COMPARED:
            assert tables[name].read_bytes() == path.read_bytes(), name


@pytest.mark.slow
def test_its_plots_and_page_are_written_again_to_the_byte(study, tmp_path):
    """With the pinned versions; another matplotlib draws other bytes."""
    regenerated = written(study, tmp_path)
    for path in (ROOT / "reports" / study).iterdir():
        assert regenerated[path.name].read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_the_readme_s_command_trains_a_cell_again(data_dir, tmp_path):
    """To the last digit on the same kind of processor with the same packages, else nearly."""
    readme = (ROOT / "README.md").read_text()
    (command,) = [line for line in readme.splitlines() if line.endswith("--study again")]
    words = shlex.split(command.replace("--data-dir data", f"--data-dir {data_dir}"))
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, env=clean_environment(), check=True)
    (again,) = Store(tmp_path / "results" / "again").records()
    committed = Store(ROOT / "results" / "paper-sasrec").load(again.key)
    same = ("cpu", "packages", "threads")
    equal = all(again.environment[each] == committed.environment[each] for each in same)
    tolerance = 0.0 if equal else 1e-3
    for part in ("valid", "test"):
        for name in METRICS:
            expected = pytest.approx(committed.metrics[part][name], rel=0, abs=tolerance)
            assert again.metrics[part][name] == expected


def quoted(text):
    """Numbers of four decimals, as metrics are written."""
    return re.findall(r"(?<![\d.])0?\.\d{4}(?!\d)", text)


@functools.cache
def known():
    """NDCG@10 on test of cells, means and spreads over seeds and settings, references, published
    figures."""
    values = []
    for study in STUDIES:
        for records in systems_of(study):
            for part in {"test", "test_ensemble"} & set(records[0].metrics):
                values += over_seeds(records, "ndcg@10", part)
                values += [record.metrics[part]["ndcg@10"] for record in records]
        for each in comparisons(Store(ROOT / "results" / study)):
            values += choices_of(each.cells).select_dtypes("number").to_numpy().ravel().tolist()
            for on_datasets in each.references.values():
                values += [metrics["ndcg@10"] for metrics in on_datasets.values()]
    for path in FOLDER.glob("*.csv"):
        table = pd.read_csv(path)
        if "metric" in table:
            table = table[table["metric"] == "NG@10"]
        if "backbone" in table:
            table = table[table["backbone"] == "SASRec"]
        values += table.select_dtypes("number").to_numpy().ravel().tolist()
    return {f"{value:.4f}" for value in values}


@pytest.mark.parametrize("name", ["README.md", "reports/README.md"])
def test_no_figure_in_a_text_is_without_a_source(name):
    text = (ROOT / name).read_text()
    assert {f"{float(number):.4f}" for number in quoted(text)} <= known()


def test_the_intervals_of_the_page_are_those_of_the_significance_files():
    """A difference in % is followed by its interval, ``(… to …)``, to whole per cents."""
    tables = [
        pd.read_csv(path)[["relative", "relative_low", "relative_high"]]
        for study in STUDIES
        for path in (ROOT / "reports" / study).glob("significance-*.csv")
    ]
    pairs = pd.concat(tables).dropna().to_numpy()
    both = np.vstack([pairs, the_other_way(pairs)])
    known = {(abs(value), low, high) for value, low, high in both.round().tolist()}
    text = " ".join(PAGE.read_text().split())
    number = r"([+-]?\d+)"
    found = re.findall(
        rf"{number} %?[^%]{{0,40}}?\(?(?:95 % interval )?{number} to {number}(?: %)?(?=[),])", text
    )
    assert len(found) > 20
    for value, low, high in found:
        assert (abs(float(value)), float(low), float(high)) in known, (value, low, high)


@functools.cache  # all of a study's files, for every row of a table
def systems_of(study):
    """The records of a study, a list for the seeds of each system."""
    systems = {}
    for record in Store(ROOT / "results" / study).records():
        cell = replace(record.cell, seed=0)
        systems.setdefault(json.dumps(cell.config(), sort_keys=True), []).append(record)
    return list(systems.values())


def over_seeds(records, name, part="test"):
    """A metric's mean and, of several seeds, standard deviation over them."""
    values = [record.metrics[part][name] for record in records]
    return [statistics.mean(values), *([statistics.stdev(values)] if len(values) > 1 else [])]


def published(record):
    """NDCG@10 that the paper prints for a cell's system."""
    cell = record.cell
    peer = None if cell.peer is None else cell.peer.name
    system = (cell.dataset, cell.backbone.name, record.sampler, peer)
    for table in TABLES.values():
        for entry in table.entries():
            if table.objective == "bce" and system in (entry.system, entry.released):
                lines = table.published().set_index(["dataset", "backbone", "method", "metric"])
                key = (entry.dataset, entry.backbone, entry.method, "NG@10")
                return f"{lines.loc[key, 'value']:.4f}"
    return ""


@functools.cache
def minutes():
    """CPU minutes of training, by the cell's key, as reports have them."""
    found = {}
    for study in STUDIES:
        for each in comparisons(Store(ROOT / "results" / study)):
            if each.name == "comparison-bce":
                found |= (each.cells.set_index("key")["cost_s"] / 60).to_dict()
    return found


def row_of(records):
    """A row of the page's tables, of one system's cells, without its name."""
    ours, *spread = over_seeds(records, "ndcg@10")
    return {
        "ours": f"{ours:.4f}",
        "seeds": str(len(records)),
        "sd": "".join(f"{each:.4f}" for each in spread),
        "published": published(records[0]),
        "CPU min": f"{statistics.mean(minutes()[each.key] for each in records):.1f}",
        "coverage": f"{over_seeds(records, 'coverage@10')[0]:.2f}",
    }


def test_the_tables_of_the_page_say_what_is_stored():
    page = PAGE.read_text()
    assert rewritten(page) == page
    corners = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")]
    assert set(STUDIES_OF) <= set(corners)
    assert sum(corner in samplers.registry.names() for corner in corners) > 20


def test_the_table_of_the_readme_says_what_is_stored():
    readme = README.read_text()
    assert rewritten(readme) == readme
    assert all(f"| {name} |" in readme for name in README_ROWS)


def rewritten(page):
    """A text with its tables as they are to be, each known by its first columns."""
    lines = []
    for table, its in itertools.groupby(page.splitlines(), key=lambda line: line.startswith("|")):
        its = list(its)
        corner, *columns = [cell.strip() for cell in its[0].strip("|").split("|")]
        if table and corner in STUDIES_OF:
            systems = list(of_page(corner, STUDIES_OF[corner][0]).items())
            rows = [[name, *row_of(records).values()] for name, records in systems]
            its[2:] = lines_of(sorted(rows, key=lambda row: row[1], reverse=True))
        elif table and corner == "MDCNS":
            its[2:] = lines_of(relations(columns))
        elif table and [corner, *columns[:2]] == ["", "Beauty", "published"]:
            its[2:] = lines_of(headline(columns))
        elif table and [corner, *columns[:2]] == ["", "Beauty", "CPU min"]:
            its[2:] = lines_of(parts([column for column in columns if column in STUDIES_OF]))
        lines += its
    return "\n".join(lines) + "\n"


def lines_of(rows):
    return [f"| {' | '.join(row)} |" for row in rows]


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


def headline(columns):
    """Rows of the README: a dataset's column is NDCG@10, those after it what `row_of` names so."""
    of = list(itertools.accumulate(columns, lambda old, new: new if new in STUDIES_OF else old))
    pages = {dataset: of_page(dataset, STUDIES_OF[dataset][0]) for dataset in of}
    rows = []
    for shown, name in README_ROWS.items():
        found = {each: page.get(name) or page.get(name + TWO) for each, page in pages.items()}
        rows_of = {each: row_of(records) for each, records in found.items() if records}
        cells = [
            rows_of.get(dataset, {}).get("ours" if column == dataset else column, "")
            for dataset, column in zip(of, columns, strict=True)
        ]
        rows.append([shown, *cells])
    return sorted(rows, key=lambda row: row[1], reverse=True)


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
                cell = relation(pairs, name, other)
                rows.setdefault(f"{shown}, over {against}", {})[dataset] = cell
        for shown, name in variants.items():
            if name:
                label = f"{shown}, times the CPU minutes of sampled-softmax"
                rows.setdefault(label, {})[dataset] = f"{times[name]:.1f}"
    return [[name, *(of.get(each, "") for each in datasets)] for name, of in rows.items()]


def the_other_way(relative):
    """``[..., 3]`` difference, low and high, in % of the first where it was in % of the second."""
    return 100 * (1 / (1 + relative[..., [0, 2, 1]] / 100) - 1)


def relation(pairs, first, second):
    """The difference of two samplers as the page writes it, whichever the file has first."""
    for row in pairs.itertuples():
        each = np.array([row.relative, row.relative_low, row.relative_high])
        if (row.first, row.second) == (second, first):
            each = the_other_way(each)
        elif (row.first, row.second) != (first, second):
            continue
        value, low, high = (f"{round(number):+d}" for number in each)
        return f"{value} % ({low} to {high})" + (" *" if row.significant else "")
    return ""


def parts(datasets):
    """Rows for what the second study of the datasets takes apart: NDCG@10 and CPU minutes."""
    shown = {}
    for dataset in datasets:
        table3, ablation = (of_page(dataset, study) for study in STUDIES_OF[dataset])
        for name, records in ablation.items():
            if name not in table3 or records[0].cell.peer is not None:
                row = row_of(records)
                name = name.removesuffix(TWO)
                shown.setdefault(name, {})[dataset] = [row["ours"], row["CPU min"]]
    rows = [
        [name, *itertools.chain(*(by_dataset.get(each, ["", ""]) for each in datasets))]
        for name, by_dataset in shown.items()
    ]
    return sorted(rows, key=lambda row: row[1::2], reverse=True)


@pytest.mark.parametrize("study", ["paper-sasrec", "paper-lastfm", "paper-kuairand"])
def test_the_readme_gives_the_verdicts_of_the_reports(study):
    said = " ".join(README.read_text().split())
    every = comparisons(Store(ROOT / "results" / study))
    (comparison,) = (each for each in every if each.name == "comparison-bce")
    for verdict in verdicts(comparison):
        assert all(sentence in said for sentence in verdict.sentences())


if __name__ == "__main__":
    for text in (README, PAGE):
        text.write_text(rewritten(text.read_text()))

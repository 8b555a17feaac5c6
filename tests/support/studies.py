"""The committed studies, and what a text may quote of them."""

from __future__ import annotations

import functools
import itertools
import json
import re
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.choices import choices_of
from bench.analysis.comparison import comparisons
from bench.studies.paper_grids import FOLDER, TABLES
from bench.studies.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent
README = ROOT / "README.md"
STUDIES = [
    "beauty-authors", "beauty-authors-gpu", "beauty-gru4rec", "toys-gpu",
    "sports-mended", "health-mended", "lastfm-mended", "lastfm-tuned",
    "paper-sasrec", "paper-ablation", "paper-lastfm", "grid-lastfm", "paper-kuairand",
]  # fmt: skip


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


def published(record, loss="bce"):
    """NDCG@10 that the paper prints for a cell's system, in a table of that loss."""
    cell = record.cell
    peer = None if cell.peer is None else cell.peer.name
    system = (cell.dataset, cell.backbone.name, record.sampler, peer)
    for table in TABLES.values():
        for entry in table.entries():
            if table.objective == loss and system in (entry.system, entry.released):
                lines = table.published().set_index(["dataset", "backbone", "method", "metric"])
                key = (entry.dataset, entry.backbone, entry.method, "NG@10")
                return f"{lines.loc[key, 'value']:.4f}"
    return ""


@functools.cache
def comparisons_of(study):
    """What the report of a study compares."""
    return comparisons(Store(ROOT / "results" / study))


@functools.cache
def minutes(study):
    """CPU minutes of training, by the cell's key, as the study's report has them; that of another
    study, which may hold the same cell, goes by what was measured for that."""
    found = {}
    for each in comparisons_of(study):
        found |= (each.cells.set_index("key")["cost_s"] / 60).to_dict()
    return found


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
        for each in comparisons_of(study):
            values += choices_of(each.cells).select_dtypes("number").to_numpy().ravel().tolist()
            for on_datasets in each.references.values():
                values += [metrics["ndcg@10"] for metrics in on_datasets.values()]
    for path in FOLDER.glob("*.csv"):
        table = pd.read_csv(path)
        if "metric" in table:
            table = table[table["metric"] == "NG@10"]
        values += table.select_dtypes("number").to_numpy().ravel().tolist()
    return {f"{value:.4f}" for value in values}


def the_other_way(relative):
    """``[..., 3]`` difference, low and high, in % of the first where it was in % of the second."""
    return 100 * (1 / (1 + relative[..., [0, 2, 1]] / 100) - 1)


def relation(pairs, first, second):
    """The difference of two samplers as the page writes it, whichever the file has first, and its
    row; nothing where they are in no row."""
    for row in pairs.itertuples():
        each = np.array([row.relative, row.relative_low, row.relative_high])
        if (row.first, row.second) == (second, first):
            each = the_other_way(each)
        elif (row.first, row.second) != (first, second):
            continue
        value, low, high = (f"{round(number):+d}" for number in each)
        return f"{value} % ({low} to {high})", row
    return "", None


def rewritten(page, rows_of):
    """A text with its tables as they are to be.

    ``rows_of`` has a table's rows from the names of its columns, or None of one to leave alone.
    """
    lines = []
    for table, its in itertools.groupby(page.splitlines(), key=lambda line: line.startswith("|")):
        its = list(its)
        columns = [cell.strip() for cell in its[0].strip("|").split("|")]
        rows = rows_of(*columns) if table else None
        lines += its if rows is None else [*its[:2], *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"

"""Cells of the paper's systems that nobody trained, and its tables filled with them."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from bench.cell import PRESETS
from bench.reports import paper_tables
from bench.studies.paper_grids import FINGERPRINTS
from bench.studies.records import Record
from support import cell_of
from support.results import result_of


def real_cell(dataset="beauty", sampler="uniform", backbone="sasrec", paper_protocol=False, **more):
    cell = replace(cell_of(sampler, backbone, **more), dataset=dataset)
    cell = replace(cell, fingerprint=FINGERPRINTS.get(dataset, "f" * 64))
    if paper_protocol:
        protocol = replace(PRESETS["paper"].protocol, split=cell.protocol.split)
        cell = replace(cell, protocol=protocol)
    return cell


def record_of(cell, value=0.05, synthetic=False, valid=None):
    result = result_of(cell, value, synthetic)
    result.metrics["valid"] |= {} if valid is None else {"ndcg@20": valid}
    return Record(
        cell.key,
        result.code,
        cell,
        result.data,
        result.metrics,
        {},
        1,
        result.timings,
        {},
        cell.system,
    )


def margins(keys):
    metrics = [f"{name}@{K}" for name in ("recall", "ndcg") for K in (5, 10, 20)]
    return pd.Series(0.001 * len(keys), index=metrics)


def filled(records, number=3):
    tables = paper_tables.fill(records, margins)
    return [table for table in tables if table.table.number == number]


def rows_of(markdown):
    return [
        [text.strip() for text in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("| ")
    ]

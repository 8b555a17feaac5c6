"""What the logs of the paper's authors show beside its printed figures, as far as it is known."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from bench.studies.paper_grids import FOLDER, PaperTable

PLACE = ["dataset", "backbone", "loss", "method"]


def logs_of(table: PaperTable, line: Mapping[Any, Any]) -> str:
    """The authors' NDCG@10 on test, for a line of a filled table; empty where none is known.

    Of a grid of settings: that of the run that validation would have chosen, and the median; of
    DNS+ that of each M.
    """
    key = (line["own_dataset"], line["backbone"], table.objective.upper(), line["own"])
    parts = [
        f"chosen by validation {row['chosen_by_validation']:.4f}"
        for row in _rows("author_chosen.csv", key)
    ]
    for row in _rows("author_grid.csv", key)[:1]:  # tables repeat each other
        # Others are not the log that was printed, only that which is nearest to it.
        if row["best_match_count"] == row["n_metrics"]:
            parts.append(f"median {row['grid_median']:.4f} of {row['grid_n']}")
    parts += [f"M={row['M']} {row['value']:.4f}" for row in _rows("author_dns_plus.csv", key)]
    return ", ".join(parts)


def _rows(file: str, key: tuple[str, ...]) -> list[dict[Hashable, Any]]:
    known = _table(file)
    return known[(known[PLACE] == list(key)).all(axis=1)].to_dict("records")


@functools.cache
def _table(file: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / file)

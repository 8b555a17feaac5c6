"""Write the order of samplers on real data, from the stored studies, into the package.

    python tools/real_orders.py

Of each dataset the first study below that has it, with the backbones that have enough samplers.
`bench.analysis.fidelity` reads the file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from bench.analysis import fidelity
from bench.analysis.comparison import comparisons
from bench.studies.store import Store

ROOT = Path(__file__).resolve().parent.parent

STUDIES = ("beauty-authors-gpu", "paper-sasrec", "paper-lastfm", "paper-kuairand")

MENDED = ("adasir", "gnno", "gnno-proportional", "srns")
"""Methods whose cells in the studies ``paper-...`` are of code that has been mended since."""

FEWEST = 9
"""Samplers of an order that says something; a study may have fewer on some backbones."""

SAME = {"mdcns-released": "mdcns"}
"""Systems that are another at the batch size of these studies."""


def real_orders() -> dict[str, dict[str, dict[str, object]]]:
    """As `bench.analysis.fidelity.real_orders` reads it."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for study in STUDIES:
        taken = set(found)
        for comparison in comparisons(Store(ROOT / "results" / study)):
            if comparison.name != "comparison-bce":
                continue
            for (dataset, backbone), order in fidelity.orders(comparison).items():
                if dataset in taken:
                    continue
                kept = [
                    name
                    for name in order.samplers
                    if not (study.startswith("paper-") and name in MENDED)
                    and SAME.get(name) not in order.samplers
                ]
                if len(kept) < FEWEST:
                    continue
                order = order.only(kept)
                found.setdefault(dataset, {})[backbone] = {
                    "study": study,
                    "samplers": [SAME.get(name, name) for name in kept],
                    "means": _rounded(order.means, 6),
                    "covariance": [_rounded(row, 12) for row in order.covariance],
                }
    return found


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def text() -> str:
    """What the file holds."""
    return json.dumps(real_orders(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(fidelity.__file__).with_name("real_orders.json").write_text(text())
    sys.exit(0)

"""Every registered reference keeps the contract, with its defaults and with its parts off."""

from __future__ import annotations

from bench import references
from bench.testing import ReferenceContract

for _name in references.registry.names() + references.registry.variants():
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (ReferenceContract,), {"reference": _name})


class TestOrderOfNoMatter(ReferenceContract):
    reference = "co-occurrence"
    hyper = {"recency": 0.0, "backward": 1.0, "discount": 0.5}


class TestOneNeighbour(ReferenceContract):
    reference = "item-knn"
    hyper = {"k": 1, "shrinkage": 0.0}

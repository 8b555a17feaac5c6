"""What measuring the references takes, which every worker does once before it first tests."""

from __future__ import annotations

import math
import time

from bench.datasets.base import Dataset
from bench.datasets.splits import Split
from bench.datasets.training_data import TrainingData
from bench.references import registry
from bench.references.ranking import measure

FEW = 64
"""Validation predictions that are timed."""

AWAY_S = 3.0
"""Seconds that a process which has not done it before takes beyond what is timed here."""


def seconds_of_references(dataset: Dataset, split: Split, tests: int) -> float:
    """Seconds of all of them, by one setting of each on a few validation predictions.

    Args:
        dataset: what they count, with the split.
        split: its test part is not looked at.
        tests: how many predictions that has.
    """
    data = TrainingData.of(dataset, split)
    valid, some = split.valid, split.valid.first(FEW)
    few = len(some.targets)
    total = AWAY_S
    for name in registry.names():
        reference = registry.build(name, {})
        if not reference.applies(data):
            continue
        started = time.perf_counter()
        reference.fit(data)
        fitted = time.perf_counter()
        measure(reference, some, data.n_items)
        each = (time.perf_counter() - fitted) / few
        settings = math.prod(map(len, registry.search_space(name).values()))
        validated = settings * (fitted - started + each * len(valid.targets))
        total += validated + each * tests
    return total

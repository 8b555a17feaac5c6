"""What needs no training, on the test predictions: its settings chosen by validation."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass
from typing import Any

from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.metrics import SELECT_ON
from bench.references import Reference, registry
from bench.references.base import MOST_SETTINGS
from bench.references.ranking import measure


@dataclass(frozen=True)
class Measured:
    """A reference on one dataset and split.

    Attributes:
        test: metrics on the test predictions.
        hyper: the setting that validation chose.
        valid: its `SELECT_ON` on validation; None where there was nothing to choose.
        cpu_s: CPU seconds of all of it: each setting fitted and validated, the best tested.
    """

    test: dict[str, float]
    hyper: dict[str, Any]
    valid: float | None
    cpu_s: float


def measured(name: str, data: TrainingData, valid: Examples, test: Examples) -> Measured | None:
    """Choose the setting of a registered reference by validation, then test that one.

    Returns:
        None where it does not apply to the data, or to how they are ranked.

    Raises:
        UserError: its settings are too many or impossible, or its scores are none.
    """
    started = time.process_time()
    if registry.get(name).ranks_seen and test.masked:
        return None
    best: Reference | None = None
    chosen, chosen_by = {}, None
    settings = _settings(name)
    for hyper in settings:
        reference = registry.build(name, hyper)
        if not reference.applies(data):
            continue
        reference.fit(data)
        value = measure(reference, valid, data.n_items)[SELECT_ON] if len(settings) > 1 else None
        if best is None or (value or 0) > (chosen_by or 0):
            best, chosen, chosen_by = reference, hyper, value
    if best is None:
        return None
    found = measure(best, test, data.n_items)
    return Measured(found, chosen, chosen_by, time.process_time() - started)


def _settings(name: str) -> list[dict[str, Any]]:
    """All combinations of a reference's search space, the first value of each option first."""
    space = registry.search_space(name)
    count = math.prod(map(len, space.values()))
    if count > MOST_SETTINGS:
        raise UserError(
            f"reference {name!r}: its search_space has {count} combinations; leave it at most "
            f"{MOST_SETTINGS}, as all of them are tried"
        )
    return [
        registry.resolve(name, dict(zip(space, values, strict=True)))
        for values in itertools.product(*space.values())
    ]

"""What training is compared with on the data and split of cells: the references.

Each cell keeps their numbers, so that tables need no data.  Those of a stored study can be
measured again, as its cells may be older than a reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.metrics import SELECT_ON
from bench.references import Reference, registry
from bench.studies.own_logs import Given, logs_of
from bench.studies.planning import data_of
from bench.training.references import Measured, measured

if TYPE_CHECKING:  # a worker process starts sooner without what reads results
    from bench.studies.store import Store

_measured: dict[tuple[str, type[Reference]], Measured | None] = {}
"""By data and split, once a process: a study has many cells of one dataset and split."""


def references_of(
    key: str, data: TrainingData, valid: Examples, test: Examples
) -> dict[str, dict[str, Any]]:
    """Every registered reference on these predictions, as cells keep them.

    Args:
        key: tells this data and split from others.
        data: what they count.
        valid: held-out predictions to choose their settings by.
        test: held-out predictions to test the chosen on.

    Returns:
        ``references``, name to metrics, and ``reference_choices``, name to setting, validation
        and seconds; without those that do not apply to the data.

    Raises:
        UserError: a reference does not keep its contract.
    """
    found: dict[str, Measured] = {}
    for name in registry.names():
        known = key, registry.get(name)
        if known not in _measured:
            _measured[known] = measured(name, data, valid, test)
        one = _measured[known]
        if one is not None:
            found[name] = one
    return {
        "references": {name: one.test for name, one in found.items()},
        "reference_choices": {
            name: {"hyper": one.hyper, f"valid_{SELECT_ON}": one.valid, "cpu_s": one.cpu_s}
            for name, one in found.items()
        },
    }


def measure_again(store: Store, data_dir: Path | None, given: Sequence[str] = ()) -> int:
    """Measure today's references on all data and splits of a study, into its ``references.json``.

    Args:
        store: the study.
        data_dir: where real datasets lie.
        given: names or paths of datasets, for cells whose dataset has another name here.  Logs are
            read as they were for the study.

    Returns:
        How many datasets and splits.

    Raises:
        UserError: the study has no cells, its data is missing or is not what is found here, or a
            reference does not keep its contract.
    """
    records = list(store.records())
    cells = {record.cell.data_key: record.cell for record in records}
    if not cells:
        raise UserError(f"{store.root}: no cells there")
    known = {cell.fingerprint for cell in cells.values()}
    own = Given.of(given, data_dir, logs_of(records), known)
    found = {}
    for key, cell in sorted(cells.items()):
        dataset, split = data_of(cell, data_dir, own.dataset(cell))
        data = TrainingData.of(dataset, split)
        found[key] = references_of(key, data, split.valid, split.test)
    store.save_references(found)
    return len(found)

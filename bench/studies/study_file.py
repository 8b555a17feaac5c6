"""``study.json``: the cells of a study, so that exactly these can be trained again elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import backbones
import samplers
from bench import objectives
from bench.cell import Cell
from bench.datasets import resolve_dataset
from bench.datasets.base import Dataset
from bench.datasets.splits import Split
from bench.errors import UserError
from bench.files import read_json
from bench.studies.cell_files import RECORD
from bench.studies.planning import Plan, data_of, repeats_of

SHAPE = {"cells": [RECORD["config"]]}
MAX_BYTES = 2**26


def read(path: Path) -> list[Cell]:
    """The cells that a file names.

    Raises:
        UserError: it is not there, or is not what `Store.write_index` writes.
    """
    try:
        return [Cell.from_config(each) for each in read_json(path, SHAPE, MAX_BYTES)["cells"]]
    except OSError as error:
        raise UserError(
            f"--from {path}: {error.strerror}; give the study.json of a study, which lies in its "
            "folder under results"
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"--from {path}: {error}; it is not a study.json as python -m bench.grid writes it"
        ) from error


def plan_of(path: Path, data_dir: Path | None, given: Sequence[str] = ()) -> Plan:
    """Exactly the cells of a file, with the data that they need.

    Args:
        path: the file.
        data_dir: where real datasets lie.
        given: names or paths of datasets, for cells whose dataset has another name here.

    Raises:
        UserError: the file is none, names what nobody registered, or its data is not here.
    """
    cells = read(path)
    if not cells:
        raise UserError(f"--from {path}: it names no cell")
    own = {each.fingerprint: each for each in (resolve_dataset(name, data_dir) for name in given)}
    datasets: dict[str, Dataset] = {}
    splits: dict[str, Split] = {}
    for cell in cells:
        _build(cell)
        if cell.data_key not in splits:
            dataset, split = data_of(cell, data_dir, own.get(cell.fingerprint))
            datasets[dataset.fingerprint] = dataset
            splits[cell.data_key] = split
    return Plan(
        cells,
        datasets,
        splits,
        test_users={key: len(split.test.targets) for key, split in splits.items()},
        skipped=[],
        repeats={key: repeats_of(split) for key, split in splits.items()},
    )


def _build(cell: Cell) -> None:
    """Refuse a cell whose components are not here, before any training."""
    samplers.registry.build(cell.sampler.name, cell.sampler.hyper)
    objectives.registry.build(cell.objective.name, cell.objective.hyper)
    for model in cell.models:
        protocol = cell.protocol
        backbones.registry.build(model.name, model.hyper, 1, protocol.dim, protocol.window)

"""``study.json``: the cells of a study, so that exactly these can be trained again elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import backbones
import samplers
from bench import json_shape, objectives
from bench.cell import Cell
from bench.datasets import Reading, is_path, resolve_dataset
from bench.datasets.base import Dataset
from bench.datasets.log_options import SHAPE as READING
from bench.datasets.splits import Split
from bench.errors import UserError
from bench.files import read_json
from bench.studies.cell_files import RECORD
from bench.studies.planning import Plan, data_of, repeats_of

SHAPE = {
    "cells": [RECORD["config"]],
    "logs": (..., {str: {"file": json_shape.name, "reading": READING}}),
}
"""``logs``: fingerprint to the name of a log of one's own, and how it is read."""

MAX_BYTES = 2**26


@dataclass(frozen=True)
class Named:
    """What a file names.

    Attributes:
        cells: to be trained.
        logs: fingerprint to the name of a log of one's own, and how it is read.
    """

    cells: list[Cell]
    logs: dict[str, tuple[str, Reading]]


def read(path: Path) -> Named:
    """The cells that a file names, and how their logs are read.

    Raises:
        UserError: it is not there, or is not what `Store.write_index` writes.
    """
    try:
        stored = read_json(path, SHAPE, MAX_BYTES)
        logs = {
            fingerprint: (log["file"], Reading.from_config(log["reading"]))
            for fingerprint, log in stored.get("logs", {}).items()
        }
        return Named([Cell.from_config(each) for each in stored["cells"]], logs)
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
        given: names or paths of datasets, for cells whose dataset has another name here.  Logs are
            read as they were for the study.

    Raises:
        UserError: the file is none, names what nobody registered, or its data is not here.
    """
    named = read(path)
    cells = named.cells
    if not cells:
        raise UserError(f"--from {path}: it names no cell")
    own = {each.fingerprint: each for each in (_given(name, data_dir, named) for name in given)}
    datasets: dict[str, Dataset] = {}
    splits: dict[str, Split] = {}
    for cell in cells:
        _build(cell)
        if cell.data_key not in splits:
            if cell.fingerprint in named.logs and cell.fingerprint not in own:
                raise UserError(
                    f"--from {path}: it names cells of a log of your own, "
                    f"{named.logs[cell.fingerprint][0]}; give the path of that file, as it was, "
                    "with --datasets"
                )
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


def _given(name: str, data_dir: Path | None, named: Named) -> Dataset:
    """A dataset by name or path, read so that it is one of the file's, if any way makes it one."""
    if not is_path(name):
        return resolve_dataset(name, data_dir)
    refused: UserError | None = None
    for reading in dict.fromkeys([*(reading for _, reading in named.logs.values()), Reading()]):
        try:
            found = resolve_dataset(name, data_dir, reading)
        except UserError as error:  # another log's columns, maybe
            refused = refused or error
            continue
        if found.fingerprint in {cell.fingerprint for cell in named.cells}:
            return found
    raise refused or UserError(
        f"--datasets {name}: its content is that of no log that the study names"
    )


def _build(cell: Cell) -> None:
    """Refuse a cell whose components are not here, before any training."""
    samplers.registry.build(cell.sampler.name, cell.sampler.hyper)
    objectives.registry.build(cell.objective.name, cell.objective.hyper)
    for model in cell.models:
        protocol = cell.protocol
        backbones.registry.build(model.name, model.hyper, 1, protocol.dim, protocol.window)

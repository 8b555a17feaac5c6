"""``study.json``: the cells of a study, so that exactly these can be trained again elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import backbones
import samplers
from bench import json_shape, objectives
from bench.cell import Cell
from bench.datasets import Reading
from bench.datasets.base import Dataset
from bench.datasets.log_options import SHAPE as READING
from bench.datasets.splits import Split
from bench.errors import UserError
from bench.files import read_json
from bench.registry import load_plugin
from bench.studies.cell_files import RECORD
from bench.studies.own_logs import Given, Logs
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
    logs: Logs


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


def plan_of(
    path: Path,
    data_dir: Path | None,
    given: Sequence[str] = (),
    split_file: Path | None = None,
    plugins: Sequence[str] = (),
) -> Plan:
    """Exactly the cells of a file, with the data that they need.

    Args:
        path: the file.
        data_dir: where real datasets lie.
        given: names or paths of datasets, for cells whose dataset has another name here.  Logs are
            read as they were for the study.
        split_file: that assigned the users, if one did.
        plugins: where components are that are not the project's; they are loaded.

    Raises:
        UserError: the file is none, names what nobody registered, or its data is not here.
    """
    for plugin in plugins:
        load_plugin(plugin)
    named = read(path)
    cells = named.cells
    if not cells:
        raise UserError(f"--from {path}: it names no cell")
    own = Given.of(given, data_dir, named.logs, {cell.fingerprint for cell in cells})
    datasets: dict[str, Dataset] = {}
    splits: dict[str, Split] = {}
    for cell in cells:
        _build(cell)
        if cell.data_key not in splits:
            dataset, split = data_of(cell, data_dir, own.dataset(cell), split_file)
            datasets[dataset.fingerprint] = dataset
            splits[cell.data_key] = split
    return Plan(
        cells,
        datasets,
        splits,
        test_users={key: len(split.test.targets) for key, split in splits.items()},
        skipped=[],
        plugins=tuple(plugins),
        repeats={key: repeats_of(split) for key, split in splits.items()},
    )


def _build(cell: Cell) -> None:
    """Refuse a cell whose components are not here, before any training."""
    samplers.registry.build(cell.sampler.name, cell.sampler.hyper)
    objectives.registry.build(cell.objective.name, cell.objective.hyper)
    for model in cell.models:
        protocol = cell.protocol
        backbones.registry.build(model.name, model.hyper, 1, protocol.dim, protocol.window)

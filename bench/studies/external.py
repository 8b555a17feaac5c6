"""Systems that nobody trained here: models of other libraries under this evaluator.

    results/<study>/external/<key>/external.json   name, data, metrics, where they are from
                                   ranks.npz       per test user, as of a cell

An external system has no code digest and no settings, and no cost but what its user says.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench import json_shape
from bench.cell import KEY_LENGTH, Cell
from bench.datasets import is_path
from bench.datasets.reading import predictions as reading
from bench.datasets.reading.item_ids import ItemIds
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.files import read_json, replace, why
from bench.metrics import HEADLINE, TOP
from bench.studies.cell_files import MAX_JSON, read_arrays
from bench.studies.found import found_by
from bench.studies.own_logs import Given, logs_of
from bench.studies.planning import data_of, repeats_of
from bench.studies.records import Arrays
from bench.studies.split_files import labels_of
from bench.studies.store import Store
from bench.training import given

FOLDER, RECORD, RANKS = "external", "external.json", "ranks.npz"
VERSION = 1

Predictions = str | os.PathLike[str] | pd.DataFrame | npt.NDArray[Any]
"""A file, a DataFrame with its columns, or an array of scores or of lists."""

_METRICS = json_shape.having([HEADLINE], json_shape.number)
SHAPE = {
    "version": json_shape.one_of(VERSION),
    "key": json_shape.name,
    "name": json_shape.component,
    "seed": json_shape.whole,
    "dataset": json_shape.name,
    "split": json_shape.name,
    "fingerprint": json_shape.name,
    "split_digest": json_shape.name,
    "data": {
        "synthetic": json_shape.boolean,
        "notes": [json_shape.text],
        "test_users": json_shape.positive,
        str: json_shape.number,
    },
    "metrics": {"test": _METRICS, str: {str: json_shape.number}},
    "buckets": {str: json_shape.having(["users", HEADLINE], json_shape.number)},
    "depth": (None, json_shape.positive),
    "complete": json_shape.boolean,
    "seconds": (None, json_shape.positive),
    "source": json_shape.text,
    "ranks": json_shape.name,
}
"""The shape of ``external.json``."""


@dataclass(frozen=True)
class External:
    """A model of another library on the test users of a dataset and split.

    Attributes:
        key: of its folder; the same for a name, seed, dataset and split.
        name: what its user calls it.
        seed: which of its trainings.
        dataset: what tables call it.
        split: by name.
        fingerprint, split_digest: of the data that it was held against.
        data: numbers of test users and targets, whether the data are synthetic, and their notes.
        metrics: ``{"test": {...}}`` and what cells have beside it; those that are known exactly.
        buckets: the headline metric by item popularity and input length.
        depth: ranks are known so far of everybody; None where all are.
        complete: its user says that it never recommends what is not in its lists.
        seconds: of its training, as its user says; None where nothing is said.
        source: name of the file that its predictions came from, or what else they were.
        ranks: SHA-256 of ``ranks.npz``.
    """

    key: str
    name: str
    seed: int
    dataset: str
    split: str
    fingerprint: str
    split_digest: str
    data: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    buckets: dict[str, dict[str, float]]
    depth: int | None
    complete: bool
    seconds: float | None
    source: str
    ranks: str

    @property
    def data_key(self) -> str:
        """As `Cell.data_key`."""
        return f"{self.fingerprint} {self.split_digest}"

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"{self.name} (external)"

    @property
    def test(self) -> dict[str, float]:
        """Metrics on the test split."""
        return self.metrics["test"]


def evaluate(
    store: Store,
    name: str,
    predictions: Predictions,
    *,
    users: Sequence[Any] | None = None,
    items: Sequence[Any] | None = None,
    dataset: str | None = None,
    split: str | None = None,
    split_seed: int | None = None,
    split_file: Path | None = None,
    seed: int = 0,
    seconds: float | None = None,
    complete: bool = False,
    data_dir: Path | None = None,
) -> External:
    """Rank and measure what another library's model recommends to a study's test users, and keep
    it in the study; the same name, seed, dataset and split take their own place.

    The arguments are those of `bench.evaluate`.

    Raises:
        UserError: as that says.
    """
    if not json_shape.component(name):
        raise UserError(f"--name {name[:80]!r}: expected 1 to 64 characters on one line")
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise UserError(f"--seconds {seconds}: must be positive")
    if not json_shape.whole(seed):
        raise UserError(f"--seed {seed}: must be a whole number from 0")
    own = _own_log(store, dataset, data_dir)
    cell = _cell_of(store, next(iter(own.datasets), dataset), split, split_seed)
    data, parts = data_of(cell, data_dir, own.dataset(cell), split_file)
    called = ItemIds(data.n_items, data.item_labels)
    read, source = _read(predictions, called, users, items)
    ranked = given.rank_given(read, labels_of(data, parts.test), parts.test, data.n_items, complete)
    found = found_by(ranked.ranking, parts.test, TrainingData.of(data, parts))
    made = External(
        key=_key(name, seed, cell.data_key),
        name=name,
        seed=seed,
        dataset=cell.dataset,
        split=parts.name,
        fingerprint=data.fingerprint,
        split_digest=parts.digest,
        data={
            "synthetic": data.synthetic,
            "notes": [*data.notes, *repeats_of(parts)],
            **found.data,
        },
        metrics=_known(found.metrics, ranked),
        buckets=found.buckets,
        depth=ranked.depth,
        complete=complete,
        seconds=seconds,
        source=source,
        ranks="",
    )
    return _save(store, made, found.arrays)


def _key(name: str, seed: int, data_key: str) -> str:
    digest = hashlib.sha256(json.dumps([name, seed, data_key]).encode()).hexdigest()
    return f"external-{digest[:KEY_LENGTH]}"


def _known(
    metrics: Mapping[str, Mapping[str, float]], ranked: given.Given
) -> dict[str, dict[str, float]]:
    """Those metrics that the ranks give exactly, and what lists of ten are made of."""
    known = {*ranked.known, f"coverage@{TOP}", f"popularity@{TOP}"}
    return {
        part: {metric: value for metric, value in its.items() if metric in known}
        for part, its in metrics.items()
    }


def _read(
    predictions: Predictions,
    called: ItemIds,
    users: Sequence[Any] | None,
    items: Sequence[Any] | None,
) -> tuple[reading.Predictions, str]:
    """The predictions, and what they came from."""
    if isinstance(predictions, np.ndarray):
        return reading.of_array(predictions, called, users, items), "array"
    if users is not None or items is not None:
        raise UserError("users and items are of arrays; files and DataFrames name their own")
    if isinstance(predictions, pd.DataFrame):
        return reading.of_frame(predictions, called), "DataFrame"
    path = Path(predictions)
    printable = "".join(letter if letter.isprintable() else "?" for letter in path.name)
    return reading.read(path, called), printable


def _own_log(store: Store, dataset: str | None, data_dir: Path | None) -> Given:
    """The study's log at a path; none of a name."""
    records = list(store.records())
    paths = [] if dataset is None or not is_path(dataset) else [dataset]
    known = {record.cell.fingerprint for record in records}
    return Given.of(paths, data_dir, logs_of(records), known, "--dataset")


def _cell_of(store: Store, dataset: str | None, split: str | None, split_seed: int | None) -> Cell:
    """A cell of the study on the data that is meant.

    Args:
        dataset: its name or fingerprint.

    Raises:
        UserError: the study has none, or has several.
    """
    cells = {record.cell.data_key: record.cell for record in store.records()}
    if not cells:
        raise store.nothing_finished()
    chosen = [
        cell
        for cell in cells.values()
        if dataset in (None, cell.dataset, cell.fingerprint)
        and split in (None, cell.protocol.split)
        and split_seed in (None, cell.protocol.split_seed)
    ]
    if len(chosen) == 1:
        return chosen[0]
    has = ", ".join(
        sorted(
            f"--dataset {c.dataset} --split {c.protocol.split} --split-seed {c.protocol.split_seed}"
            for c in chosen or cells.values()
        )
    )
    if chosen:
        raise UserError(f"{store.root}: which data is meant? it has cells on {has}")
    raise UserError(
        f"{store.root}: no cell on these data, to stand beside; it has {has}; train one on others "
        "with python -m bench.grid --study"
    )


def _save(store: Store, made: External, arrays: Arrays) -> External:
    """Write a system's folder, in place of an older one of the same key."""
    parent = store.root / FOLDER
    final, temporary = parent / made.key, parent / f".{made.key}-{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        np.savez_compressed(temporary / RANKS, allow_pickle=False, **arrays)
        digest = hashlib.sha256((temporary / RANKS).read_bytes()).hexdigest()
        record = {"version": VERSION} | asdict(made) | {"ranks": digest}
        replace(temporary / RECORD, json.dumps(record, indent=1) + "\n")
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(f"{parent}: cannot be written ({why(error)})") from error
    return _load(final)


def stored(store: Store) -> list[External]:
    """The external systems of a study, by name and seed.

    Raises:
        UserError: one of them is damaged.
    """
    found = map(_load, sorted((store.root / FOLDER).glob("[!.]*")))
    return sorted(found, key=lambda one: (one.name, one.seed, one.data_key))


def arrays_of(store: Store, key: str) -> Arrays:
    """The per-user arrays of one of them, as `Store.arrays` has those of cells."""
    return read_arrays(store.root / FOLDER / key / RANKS)


def _load(folder: Path) -> External:
    try:
        record = read_json(folder / RECORD, SHAPE, MAX_JSON)
        del record["version"]
        made = External(**record)
        if made.key != folder.name:
            raise ValueError("it has another key")
        if hashlib.sha256((folder / RANKS).read_bytes()).hexdigest() != made.ranks:
            raise ValueError(f"{RANKS} is not what was written")
        read_arrays(folder / RANKS)
    except Exception as error:  # of two dozen kinds
        raise UserError(
            f"{folder}: broken external system ({str(error)[:200] or type(error).__name__}); "
            "delete the folder, and evaluate it again with python -m bench.report evaluate"
        ) from error
    return made

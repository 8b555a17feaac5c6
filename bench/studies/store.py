"""Results on disk: one directory a cell, complete or absent.

    results/<study>/
        cells/<key>/cell.json    configuration, metrics, timings, environment
                    epochs.csv   one row an epoch
                    ranks.npz    per test user: rank, user, target, input length, target count
                    SHA256SUMS   of these three
        failures/<key>.txt       traceback of the last failure of an unfinished cell
        index.csv                one row a finished cell; rebuilt from the cells at any time
        costs.json               what an epoch of each system costs, measured in turns, in one run
                                 (``python -m bench.speed --study``)
        trials/, trials-test/    the same again for the trials of tuning (`studies.tuning`)

A cell is written under a temporary name and renamed when complete, so a reader never meets half
of one.  Everything is JSON, CSV or NPZ without pickles: results from elsewhere are data, never
code, and a cell counts as broken unless all of it has the shape that reports rely on.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import filelock
import numpy as np
import numpy.typing as npt
import pandas as pd

from bench import json_shape
from bench.cell import KEY_LENGTH, SCHEMA_VERSION, Cell, Protocol
from bench.errors import UserError
from bench.metrics import HEADLINE, METRICS
from bench.studies.records import Record

T = TypeVar("T")
Status = Literal["done", "stale", "missing", "broken"]
Arrays = dict[str, npt.NDArray[Any]]

MAX_JSON, MAX_EPOCHS, MAX_ARRAYS = 2**20, 2**24, 2**28
"""Bytes of ``cell.json``, of ``epochs.csv`` and, unpacked, of ``ranks.npz`` (six million users)."""

FILES, SUMS = ("cell.json", "epochs.csv", "ranks.npz"), "SHA256SUMS"
"""Of a cell; the sums are those of the others."""

MAX_COLUMNS = 1000
"""Of ``epochs.csv``."""

COMPONENT = {"name": json_shape.component, "hyper": json_shape.hyper}
_KINDS = {"int": json_shape.whole, "float": json_shape.number, "str": json_shape.component}
PROTOCOL = {field.name: _KINDS[str(field.type)] for field in fields(Protocol)} | {
    str: json_shape.scalar
}
RECORD = {
    "schema": json_shape.one_of(SCHEMA_VERSION),
    "key": json_shape.name,
    "code": json_shape.name,
    "data": {
        "synthetic": json_shape.boolean,
        "notes": [json_shape.text],
        "references": (..., {str: json_shape.having([HEADLINE], json_shape.number)}),
        str: json_shape.number,
    },
    "metrics": {
        "test": (..., json_shape.having([*METRICS], json_shape.number)),
        "valid": {str: json_shape.number},
        str: {str: json_shape.number},
    },
    "buckets": {str: json_shape.having(["users", HEADLINE], json_shape.number)},
    "best_epoch": json_shape.whole,
    "timings": {str: json_shape.number},
    "environment": {"packages": (..., {str: json_shape.scalar}), str: json_shape.scalar},
    "config": {
        "dataset": json_shape.name,
        "fingerprint": json_shape.name,
        "split_digest": json_shape.name,
        "backbone": COMPONENT,
        "sampler": COMPONENT,
        "peer": (None, COMPONENT),
        "objective": COMPONENT,
        "protocol": PROTOCOL,
        "seed": json_shape.whole,
    },
}
"""The shape of ``cell.json``."""

COSTS = {
    "environment": {"packages": {str: json_shape.scalar}, str: json_shape.scalar},
    "costs": [
        {
            "system": json_shape.text,
            "key": json_shape.name,
            "epoch_cpu_s": json_shape.positive,
            "peak_mb": (None, json_shape.positive),
            "shares": {str: json_shape.number},
            str: json_shape.number,
        }
    ],
}
"""The shape of ``costs.json``."""

PROGRESS = {
    "cell": json_shape.text,
    "epoch": json_shape.number,
    "epochs": json_shape.positive,
    "ndcg": json_shape.number,
}


@dataclass(frozen=True)
class CellResult:
    """What training a cell gives.

    Attributes:
        cell: what was trained.
        code: digest of the source of its sampler, backbones and objective.
        data: the dataset's sizes, whether it is synthetic, its footnotes.
        metrics: ``{"valid": {...}, "test": {...}}`` at the best epoch; no test in a tuning trial.
        buckets: NDCG@10 on test by item popularity and input length; empty in a tuning trial.
        best_epoch: from 1.
        timings: seconds, and peak memory of the process in MB.
        environment: what it ran on.
        epochs: one row an epoch.
        arrays: per test user (in a tuning trial: per validation user), for ``ranks.npz``.
    """

    cell: Cell
    code: str
    data: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    buckets: dict[str, dict[str, float]]
    best_epoch: int
    timings: dict[str, float]
    environment: dict[str, Any]
    epochs: list[dict[str, float]]
    arrays: Arrays


class Store:
    """The results of one study."""

    def __init__(self, root: Path) -> None:
        """
        Args:
            root: ``results/<study>``; made when something is first written.
        """
        self.root = root
        self._cells = root / "cells"
        self._failures = root / "failures"

    def check_writable(self) -> None:
        """Make the study's directory, and clear away what killed runs left half-written.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self._cells.mkdir(parents=True, exist_ok=True)
            probe = self._cells / f".probe-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
            self._sweep()
        except OSError as error:
            raise UserError(
                f"--results: {self.root} cannot be written ({error.strerror}); "
                "choose another directory with --results"
            ) from error

    def _sweep(self) -> None:
        for path in [*self._cells.glob(".*"), *(self.root / ".checkpoints").glob(".*")]:
            key = path.name[1 : 1 + KEY_LENGTH]
            if not re.fullmatch(r"[0-9a-f]+", key) or len(key) < KEY_LENGTH:
                continue  # not ours
            claim = self._lock(key)
            if claim is None:
                continue  # somebody is writing it just now
            if path.name.startswith(f".{key}-old-") and not (self._cells / key).exists():
                path.rename(self._cells / key)  # killed while it was being replaced
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            claim.release()

    def status(self, cell: Cell, code: str) -> Status:
        """Whether the cell is finished, and by today's code.

        Args:
            cell: what is wanted.
            code: digest of the code that would train it now.
        """
        path = self._cells / cell.key
        if not path.exists():
            return "missing"
        try:
            record = self.load(cell.key)
        except UserError:
            return "broken"
        return "done" if record.code == code else "stale"

    def save(self, result: CellResult) -> None:
        """Store a finished cell, in place of an older one of the same key.

        Raises:
            UserError: it cannot be written (a full disk, for one); nothing of it is left.
        """
        key = result.cell.key
        temporary = self._cells / f".{key}-{uuid.uuid4().hex}"
        try:
            self._write(result, temporary)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise UserError(
                f"{self.root} cannot be written ({error.strerror}): {result.cell.label} is lost, "
                "what was stored before is kept; make room and run the same command again"
            ) from error
        final, old = self._cells / key, self._cells / f".{key}-old-{uuid.uuid4().hex}"
        if final.exists():
            final.rename(old)
        temporary.rename(final)
        _sync(self._cells)
        shutil.rmtree(old, ignore_errors=True)
        (self._failures / f"{key}.txt").unlink(missing_ok=True)
        self.checkpoint(key).unlink(missing_ok=True)

    def _write(self, result: CellResult, folder: Path) -> None:
        folder.mkdir(parents=True)
        record = {"schema": SCHEMA_VERSION, "key": result.cell.key} | {
            name: value
            for name, value in asdict(result).items()
            if name not in ("arrays", "epochs", "cell")
        }
        record["config"] = result.cell.config()
        (folder / "cell.json").write_text(json.dumps(record, indent=1) + "\n")
        pd.DataFrame(result.epochs).to_csv(folder / "epochs.csv", index=False)
        np.savez_compressed(folder / "ranks.npz", allow_pickle=False, **result.arrays)
        seal(folder)

    def save_failure(self, cell: Cell, reason: str) -> Path:
        """Keep a failure's traceback, beside the cells and never as one; returns its path."""
        self._failures.mkdir(parents=True, exist_ok=True)
        path = self._failures / f"{cell.key}.txt"
        path.write_text(f"{cell.label}\n{json.dumps(cell.config())}\n\n{reason}\n")
        return path

    def load(self, key: str) -> Record:
        """The record of a finished cell.

        Raises:
            UserError: the cell is broken; names the file.
        """
        folder = self._cells / key
        self._whole(key, lambda: _check_once(folder))
        return self._whole(key, lambda: _read_record(folder / "cell.json", key))

    def _whole(self, key: str, read: Callable[[], T]) -> T:
        """What ``read`` gives, or the one error of a broken cell."""
        try:
            return read()
        except Exception as error:  # damaged JSON, zip, NPY and CSV have two dozen kinds of them
            raise UserError(
                f"{self._cells / key}: broken cell ({str(error)[:200] or type(error).__name__}); "
                "run the grid again to redo it"
            ) from error

    def arrays(self, key: str) -> Arrays:
        """The per-user arrays of a finished cell.

        Raises:
            UserError: they are broken.
        """
        return self._whole(key, lambda: _read_arrays(self._cells / key / "ranks.npz"))

    def epochs(self, key: str) -> pd.DataFrame:
        """The training history of a finished cell.

        Raises:
            UserError: it is broken.
        """
        return self._whole(key, lambda: _read_epochs(self._cells / key / "epochs.csv"))

    def records(self) -> Iterator[Record]:
        """Every readable cell, in the order of keys."""
        for path in sorted(self._cells.glob("[!.]*")):
            try:
                yield self.load(path.name)
            except UserError:
                continue  # the grid names broken cells and redoes them

    def frame(self) -> pd.DataFrame:
        """One row a finished cell: its configuration, metrics and costs."""
        return pd.DataFrame([_row(record) for record in self.records()])

    def write_index(self) -> None:
        """Rebuild ``index.csv`` from the cells."""
        self._replace("index.csv", self.frame().to_csv(index=False))

    def save_costs(self, record: Mapping[str, Any]) -> None:
        """Keep what ``bench.speed`` measured, in place of what an earlier run of it did."""
        self._replace("costs.json", json.dumps(record, indent=1) + "\n")

    def _replace(self, name: str, text: str) -> None:
        """Write a file of the study, so that no reader meets half of it."""
        temporary = self.root / f".{name}-{os.getpid()}"
        temporary.write_text(text)
        temporary.replace(self.root / name)

    def epoch_cpu_seconds(self) -> dict[str, float]:
        """CPU seconds of an epoch's training by `Cell.system`; empty where nobody measured them.

        Raises:
            UserError: ``costs.json`` is not what ``bench.speed`` writes.
        """
        path = self.root / "costs.json"
        if not path.exists():
            return {}
        try:
            record = json.loads(read_limited(path, MAX_JSON))
            json_shape.check(record, COSTS, path.name)
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{path}: {error}; delete it, or measure again with python -m bench.speed --study"
            ) from error
        return {each["key"]: each["epoch_cpu_s"] for each in record["costs"]}

    def checkpoint(self, key: str) -> Path:
        """Where an unfinished cell keeps the state of its training."""
        return self.root / ".checkpoints" / f"{key}.pt"

    def failures(self) -> dict[str, Path]:
        """Key of each cell that failed when last tried, to its traceback."""
        paths = sorted(self._failures.glob("*.txt"))
        return {path.stem: path for path in paths if path.is_file()}

    def running(self) -> Iterator[dict[str, Any]]:
        """What some run is at just now: key, cell, epoch, epochs and validation NDCG@10."""
        for path in sorted((self.root / ".progress").glob("*.json")):
            if not self.taken(path.stem):
                continue  # left by a run that was killed
            try:
                state = json.loads(read_limited(path, MAX_JSON))
                json_shape.check(state, PROGRESS)
            except (OSError, ValueError, RecursionError):
                continue  # it has just finished
            yield state | {"key": path.stem}

    def taken(self, key: str) -> bool:
        """Whether some run is at a cell just now."""
        lock = filelock.FileLock(self.root / ".locks" / f"{key}.lock")
        try:
            with lock.acquire(timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:
            return False  # there is no such directory: nobody has begun

    def claim(self, cell: Cell) -> filelock.FileLock | None:
        """The right to write a cell, until released or the process ends; None when it is taken."""
        return self._lock(cell.key)

    def _lock(self, key: str) -> filelock.FileLock | None:
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        # Taken in the thread that hands out work, released in the one that stores results.
        lock = filelock.FileLock(folder / f"{key}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0.2)  # somebody may only be looking whether it is taken
        except filelock.Timeout:
            return None
        return lock


def read_limited(path: Path, limit: int) -> str:
    """A text of at most so many bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is longer, or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path.name} is longer than {limit} bytes")
    return content.decode()


def seal(folder: Path) -> None:
    """Write down the SHA-256 of a cell's files, as ``sha256sum`` does, and have all of it on disk.

    A machine that dies in the next moment leaves the cell whole; a bit that flips later is noticed.
    """
    (folder / SUMS).write_text(_sums(folder))
    for path in [*(folder / name for name in (*FILES, SUMS)), folder]:
        _sync(path)


def _sums(folder: Path) -> str:
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES]
    return "".join(f"{digest}  {name}\n" for digest, name in zip(digests, FILES, strict=True))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sound: set[tuple[Any, ...]] = set()
"""Cells that could be read, with times and sizes: reports ask for a cell's record many times."""


def _check_once(folder: Path) -> None:
    stats = [(folder / name).stat() for name in (*FILES, SUMS)]
    state = (folder, *((about.st_mtime_ns, about.st_size) for about in stats))
    if state in _sound:
        return
    for name, about, limit in zip(FILES, stats, (MAX_JSON, MAX_EPOCHS, MAX_ARRAYS), strict=False):
        if about.st_size > limit:
            raise ValueError(f"{name} is longer than {limit} bytes")
    if read_limited(folder / SUMS, MAX_JSON) != _sums(folder):
        raise ValueError("its files are not what was written")
    _read_arrays(folder / "ranks.npz")
    _read_epochs(folder / "epochs.csv")
    _sound.add(state)


def _read_record(path: Path, key: str) -> Record:
    stored = json.loads(read_limited(path, MAX_JSON))
    json_shape.check(stored, RECORD, path.name)
    record = Record.from_json(stored)
    if record.key != key:
        raise ValueError("it has another key")
    if record.tested and "test_users" not in record.data:
        raise ValueError("test_users is missing")
    return record


def _read_arrays(path: Path) -> Arrays:
    with zipfile.ZipFile(path) as packed:
        if sum(info.file_size for info in packed.infolist()) > MAX_ARRAYS:
            raise ValueError(f"{path.name} unpacks to more than {MAX_ARRAYS} bytes")
    with np.load(path, allow_pickle=False) as stored:
        arrays: Arrays = dict(stored)
    arrays.pop("allow_pickle", None)  # stored by NumPy 1, which did not know the option
    ranks = arrays["rank"]
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim != 1:
            raise ValueError(f"{name} in {path.name} is not a list of numbers")
        if len(array) != len(ranks) or not len(array):
            raise ValueError(f"{name} in {path.name} has {len(array)} users, rank {len(ranks)}")
    if arrays["user"].dtype.kind == "f" or not (np.isfinite(ranks) & (ranks >= 1)).all():
        raise ValueError(f"{path.name} holds no ranks of users")
    return arrays


def _read_epochs(path: Path) -> pd.DataFrame:
    text = read_limited(path, MAX_EPOCHS)
    commas = {line.count(",") for line in text.splitlines()}
    if len(commas) != 1 or max(commas) >= MAX_COLUMNS:
        raise ValueError(f"{path.name} is no table of at most {MAX_COLUMNS} columns")
    frame = pd.read_csv(io.StringIO(text), index_col=False)
    if any(kind.kind not in "iuf" for kind in frame.dtypes):
        raise ValueError(f"{path.name} holds what is not a number")
    if (np.abs(frame.to_numpy(dtype=np.float64)) > json_shape.LARGEST).any():
        raise ValueError(f"{path.name} holds a number above {json_shape.LARGEST}")
    if frame["epoch"].dtype.kind == "f" or frame["epoch"].min() < 1:
        raise ValueError(f"{path.name} does not number its epochs")
    return frame


def _row(record: Record) -> dict[str, Any]:
    cell = record.cell
    row: dict[str, Any] = {"key": record.key, "dataset": cell.dataset}
    row["synthetic"] = record.synthetic
    row |= {kind: getattr(cell, kind).name for kind in ("backbone", "sampler", "objective")}
    row["peer"] = None if cell.peer is None else cell.peer.name
    row |= {"seed": cell.seed, "split": cell.protocol.split}
    row |= {
        f"{part}_{metric}": value
        for part, metrics in record.metrics.items()
        for metric, value in metrics.items()
    }
    row["best_epoch"] = record.best_epoch
    return row | dict(record.timings)

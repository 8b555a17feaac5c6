"""The files of a cell: their shapes, how they are written and sealed, and how they are read.

    cell.json    configuration, metrics, timings, environment
    epochs.csv   one row an epoch
    ranks.npz    per test user: rank, user, target, input length, target count
    SHA256SUMS   of these three

Everything is JSON, CSV or NPZ without pickles: results from elsewhere are data, never code, and a
cell counts as broken unless all of it has the shape that reports rely on.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import json_shape
from bench.cell import SCHEMA_VERSION, Protocol
from bench.datasets.log_options import SHAPE as READING
from bench.files import read_json, read_limited
from bench.metrics import HEADLINE, METRICS, SELECT_ON
from bench.studies.records import Arrays, CellResult, Record

if TYPE_CHECKING:  # a worker process, which takes shapes from here, starts sooner without it
    import pandas as pd

MAX_JSON, MAX_EPOCHS, MAX_ARRAYS = 2**20, 2**24, 2**28
"""Bytes of ``cell.json``, of ``epochs.csv`` and, unpacked, of ``ranks.npz`` (six million users)."""

FILES, SUMS = ("cell.json", "epochs.csv", "ranks.npz"), "SHA256SUMS"
"""Of a cell; the sums are those of the others."""

MAX_COLUMNS = 1000
"""Of ``epochs.csv``."""

COMPONENT = {"name": json_shape.component, "hyper": json_shape.hyper}
_KINDS = {"int": json_shape.whole, "float": json_shape.number, "str": json_shape.component}
PROTOCOL = {field.name: _KINDS[str(field.type)] for field in fields(Protocol)} | {
    "batches": (..., json_shape.component),
    "seen": (..., json_shape.component),
    str: json_shape.scalar,
}
CHOICE = {
    "hyper": json_shape.hyper,
    f"valid_{SELECT_ON}": (None, json_shape.number),
    "cpu_s": json_shape.number,
}
"""The setting of a reference, its validation (null where there was no choice) and its seconds."""
REFERENCES: dict[Any, Any] = {
    "references": (..., {str: json_shape.having([HEADLINE], json_shape.number)}),
    "reference_choices": (..., {str: CHOICE}),
}
RECORD = {
    "schema": json_shape.one_of(SCHEMA_VERSION),
    "key": json_shape.name,
    "code": json_shape.name,
    "data": {
        "synthetic": json_shape.boolean,
        "notes": [json_shape.text],
        "split_file": (..., json_shape.name),
        "log": (..., json_shape.name),
        "reading": (..., READING),
        **REFERENCES,
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


def write(result: CellResult, folder: Path) -> None:
    """Write a cell's files into a new folder, and seal them.

    Raises:
        OSError: they cannot be written; what was is left there.
    """
    import pandas as pd

    folder.mkdir(parents=True)
    record = {"schema": SCHEMA_VERSION, "key": result.cell.key} | {
        name: value
        for name, value in asdict(result).items()
        if name not in ("arrays", "epochs", "cell", "weights")
    }
    record["config"] = result.cell.config()
    (folder / "cell.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    pd.DataFrame(result.epochs).to_csv(folder / "epochs.csv", index=False)
    np.savez_compressed(folder / "ranks.npz", allow_pickle=False, **result.arrays)
    seal(folder)


def seal(folder: Path) -> None:
    """Write down the SHA-256 of a cell's files, as ``sha256sum`` does, and have all of it on disk.

    A machine that dies in the next moment leaves the cell whole; a bit that flips later is noticed.
    """
    (folder / SUMS).write_text(_sums(folder), encoding="utf-8")
    for path in [*(folder / name for name in (*FILES, SUMS)), folder]:
        sync(path)


def _sums(folder: Path) -> str:
    return "".join(f"{_sum(folder / name)}\n" for name in FILES)


def _sum(path: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"


def put(folder: Path, key: str, write: Callable[[Path], None]) -> None:
    """Have something of a cell written to ``folder/key``, whole, in place of what is there.

    Args:
        folder: whose names that begin with a dot are cleared away by `Store.check_writable`.
        key: of the cell.
        write: given a folder to make and fill.

    Raises:
        OSError: it cannot be written; nothing of it is left, and what was there is kept.
    """
    temporary, final = folder / f".{key}-{uuid.uuid4().hex}", folder / key
    try:
        write(temporary)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    old = folder / f".{key}-old-{uuid.uuid4().hex}"
    if final.exists():
        final.rename(old)
    temporary.rename(final)
    sync(folder)
    shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Have a file, or the names in a directory, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sound: set[tuple[Any, ...]] = set()
"""Cells that could be read, with times and sizes: reports ask for a cell's record many times."""


def check(folder: Path) -> None:
    """Read a cell's files but for its record, once for as long as they stay as they are.

    Raises:
        Exception: one is missing, damaged, or not what was sealed; damaged JSON, zip, NPY and CSV
            have two dozen kinds of it.
    """
    stats = [(folder / name).stat() for name in (*FILES, SUMS)]
    state = (folder, *((about.st_mtime_ns, about.st_size) for about in stats))
    if state in _sound:
        return
    for name, about, limit in zip(FILES, stats, (MAX_JSON, MAX_EPOCHS, MAX_ARRAYS), strict=False):
        if about.st_size > limit:
            raise ValueError(f"{name} is longer than {limit} bytes")
    if read_limited(folder / SUMS, MAX_JSON) != _sums(folder):
        raise ValueError("its files are not what was written")
    read_arrays(folder / "ranks.npz")
    read_epochs(folder / "epochs.csv")
    _sound.add(state)


def is_newer(folder: Path) -> bool:
    """Whether a newer version of this program has written a cell, and not damage its number.

    All that is asked of such a cell is a ``cell.json`` that says so and that, if there are sums,
    is the one that was sealed.
    """
    path = folder / "cell.json"
    try:
        schema = json.loads(read_limited(path, MAX_JSON))["schema"]
        if not json_shape.whole(schema) or schema <= SCHEMA_VERSION:
            return False
        if not (folder / SUMS).exists():
            return True
        return _sum(path) in read_limited(folder / SUMS, MAX_JSON).splitlines()
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def read_record(path: Path, key: str) -> Record:
    """What ``cell.json`` holds, read once as `check` does; see there for what is raised."""
    about = path.stat()
    return _record(path, key, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=2**14)
def _record(path: Path, key: str, _modified: int, _size: int) -> Record:
    """See `read_record`; the time and the size tell a file from what was there before."""
    record = Record.from_json(read_json(path, RECORD, MAX_JSON))
    if record.key != key:
        raise ValueError("it has another key")
    record.reading.words()  # raises what an impossible one does
    if record.tested and "test_users" not in record.data:
        raise ValueError("test_users is missing")
    return record


def read_arrays(path: Path) -> Arrays:
    """What ``ranks.npz`` holds; see `check` for what is raised."""
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


def read_epochs(path: Path) -> pd.DataFrame:
    """What ``epochs.csv`` holds; see `check` for what is raised."""
    import pandas as pd

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

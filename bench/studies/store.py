"""Results on disk: one directory a cell, complete or absent.

    results/<study>/
        cells/<key>/             a finished cell (`studies.cell_files`)
        models/<key>/            its trained weights, where they were asked for
                                 (`studies.model_files`)
        failures/<key>.txt       traceback of the last failure of an unfinished cell
        index.csv                one row a finished cell; rebuilt from the cells at any time
        study.json               the finished cells' configurations (`studies.study_file`)
        costs.json               what an epoch of each system costs, measured in turns, in one run
                                 (``python -m bench.speed --study``)
        references.json          what needs no training, measured later than cells
                                 (``python -m bench.report references``)
        external/                systems of other libraries (`studies.external`)
        trials/, trials-test/    the same again for the trials of tuning (`studies.tuning`)

A cell is written under a temporary name and renamed when complete, so a reader never meets half
of one.  A cell that a newer version of this program has written is left alone.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import filelock
import numpy as np
import pandas as pd

from bench import json_shape
from bench.cell import KEY_LENGTH, Cell
from bench.errors import UserError
from bench.files import check_readable, check_writable, read_json, replace, why
from bench.studies import cell_files
from bench.studies.models import Models
from bench.studies.records import Arrays, CellResult, Record
from bench.studies.spreadsheet import csv_of

T = TypeVar("T")
Status = Literal["done", "stale", "newer", "broken", "missing"]
"""Of a cell: finished by today's code, or by other code; written by a newer version of this
program; there, but damaged or incomplete; not there."""

STUDY_FILE = "study.json"
"""Name of the file of a study's cells, a line a cell in the order of their labels."""

COSTS = {
    "environment": {"packages": {str: json_shape.scalar}, str: json_shape.scalar},
    "costs": [
        {
            "system": json_shape.text,
            "key": json_shape.name,
            "epoch_cpu_s": json_shape.positive,
            "targets_per_s": json_shape.positive,
            "peak_mb": (None, json_shape.positive),
            "shares": {str: json_shape.number},
            str: json_shape.number,
        }
    ],
}
"""The shape of ``costs.json``."""

REFERENCES = {str: cell_files.REFERENCES}
"""The shape of ``references.json``, by `Cell.data_key`."""

PROGRESS = {
    "cell": json_shape.text,
    "epoch": json_shape.number,
    "epochs": json_shape.positive,
    "ndcg": json_shape.number,
}


NEWER = "written by a newer version; kept (update this program to read it)"


class Store:
    """The results of one study.

    Attributes:
        root: ``results/<study>``.
        models: trained weights of its cells, where they are kept.
    """

    def __init__(self, root: Path) -> None:
        """
        Args:
            root: ``results/<study>``; made when something is first written.

        Raises:
            UserError: it is there, and may not be read.
        """
        self.root = root
        self._cells, self.models = root / "cells", Models(root / "models")
        for folder in (root, self._cells, self.models.root):
            check_readable(folder)
        self._failures = root / "failures"

    def check_writable(self) -> None:
        """Make the study's directory, and clear away what killed runs left half-written.

        Raises:
            UserError: it cannot be written.
        """
        check_writable(self._cells, "--results", make=True)
        self._sweep()

    def _sweep(self) -> None:
        hidden = (self.root / ".checkpoints", self.root / ".progress")
        folders = (self._cells, self.models.root, *hidden)
        for path in [path for folder in folders for path in folder.glob(".*")]:
            key = path.name[1 : 1 + KEY_LENGTH]
            if not re.fullmatch(r"[0-9a-f]+", key) or len(key) < KEY_LENGTH:
                continue  # not ours
            claim = self.lock(key)
            if claim is None:
                continue  # somebody is writing it just now
            if path.name.startswith(f".{key}-old-") and not (path.parent / key).exists():
                path.rename(path.parent / key)  # killed while it was being replaced
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            claim.release()

    def status(self, cell: Cell, code: str) -> Status:
        """Whether the cell is finished, and by today's code; see `Status`.

        Args:
            cell: what is wanted.
            code: digest of the code that would train it now.
        """
        folder = self._cells / cell.key
        if not folder.exists():
            return "missing"
        try:
            record = self.load(cell.key)
        except UserError:
            return "newer" if cell_files.is_newer(folder) else "broken"
        return "done" if record.code == code else "stale"

    def save(self, result: CellResult, labels: Sequence[str] | None = None) -> None:
        """Store a finished cell, and its models if they came with it, in place of an older one of
        the same key.

        Args:
            labels: ``[n_items]`` of the items, to be kept with models; None where they are the
                numbers.

        Raises:
            UserError: it cannot be written (a full disk, for one), or what is there is of a newer
                version; nothing of it is left.
        """
        key = result.cell.key
        if cell_files.is_newer(self._cells / key):
            raise UserError(f"{self._cells / key}: {NEWER}")
        try:
            if result.weights:  # first: whoever is killed in between trains the cell again
                self.models.save(result, result.arrays, labels)
            cell_files.put(self._cells, key, lambda folder: cell_files.write(result, folder))
        except OSError as error:
            raise self._lost(result.cell, error) from error
        if not result.weights:
            self.models.forget(key)  # they are of another training
        self._settled(key)

    def keep_models(self, result: CellResult, labels: Sequence[str] | None) -> bool:
        """Store the models of a cell that was finished without; the cell stays as it is.

        Args:
            result: of its training anew.
            labels: as for `save`.

        Returns:
            Whether they gave the stored ranks, to the last digit; if not, nothing is stored.

        Raises:
            UserError: the cell is broken, or the models cannot be written.
        """
        stored, again = self.arrays(result.cell.key), result.arrays
        common = stored.keys() & again.keys()
        if not all(np.array_equal(stored[name], again[name]) for name in common):
            self.checkpoint(result.cell.key).unlink(missing_ok=True)
            return False
        try:
            self.models.save(result, stored, labels)
        except OSError as error:
            raise self._lost(result.cell, error) from error
        self._settled(result.cell.key)
        return True

    def _lost(self, cell: Cell, error: OSError) -> UserError:
        return UserError(
            f"{self.root} cannot be written ({why(error)}): {cell.label} is lost, "
            "what was stored before is kept; make room and run the same command again"
        )

    def _settled(self, key: str) -> None:
        (self._failures / f"{key}.txt").unlink(missing_ok=True)
        self.checkpoint(key).unlink(missing_ok=True)

    def save_failure(self, cell: Cell, reason: str, label: str = "") -> Path:
        """Keep a failure's traceback, beside the cells and never as one; returns its path.  It
        begins with the label that people know the cell by, where that is not its own."""
        self._failures.mkdir(parents=True, exist_ok=True)
        path = self._failures / f"{cell.key}.txt"
        text = f"{label or cell.label}\n{json.dumps(cell.config())}\n\n{reason}\n"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return path

    def load(self, key: str) -> Record:
        """The record of a finished cell.

        Raises:
            UserError: the cell is broken, or of a newer version; names the file.
        """
        folder = self._cells / key
        self._whole(key, lambda: cell_files.check(folder))
        return self._whole(key, lambda: cell_files.read_record(folder / "cell.json", key))

    def _whole(self, key: str, read: Callable[[], T]) -> T:
        """What ``read`` gives, or the one error of a cell that cannot be read."""
        folder = self._cells / key
        try:
            return read()
        except Exception as error:  # of two dozen kinds
            if cell_files.is_newer(folder):
                raise UserError(f"{folder}: {NEWER}") from error
            raise UserError(
                f"{folder}: broken cell ({str(error)[:200] or type(error).__name__}); "
                "run the grid again to redo it"
            ) from error

    def arrays(self, key: str) -> Arrays:
        """The per-user arrays of a finished cell.

        Raises:
            UserError: they are broken.
        """
        return self._whole(key, lambda: cell_files.read_arrays(self._cells / key / "ranks.npz"))

    def epochs(self, key: str) -> pd.DataFrame:
        """The training history of a finished cell.

        Raises:
            UserError: it is broken.
        """
        return self._whole(key, lambda: cell_files.read_epochs(self._cells / key / "epochs.csv"))

    def records(self) -> Iterator[Record]:
        """Every readable cell, in the order of keys."""
        for path in sorted(self._cells.glob("[!.]*")):
            try:
                yield self.load(path.name)
            except UserError:
                continue  # the grid redoes broken cells, and says which are of a newer version

    def unreadable(self) -> list[str]:
        """Keys of the cells that `records` leaves out: damaged, or of a newer version."""
        keys = {path.name for path in self._cells.glob("[!.]*")}
        return sorted(keys - {record.key for record in self.records()})

    def nothing_finished(self) -> UserError:
        """The error of those who need finished cells where there are none that can be read."""
        if left := self.unreadable():
            return UserError(
                f"{self.root}: none of its cells can be read ({left[0]}, ...): they are of a newer "
                "version (update this program) or damaged (the next run trains them again)"
            )
        return UserError(f"{self.root}: no finished cell; run python -m bench.grid first")

    def frame(self) -> pd.DataFrame:
        """One row a finished cell: its configuration, metrics and costs."""
        return pd.DataFrame([_row(record) for record in self.records()])

    def write_index(self) -> None:
        """Rebuild ``index.csv`` and ``study.json`` from the cells."""
        records = list(self.records())
        replace(self.root / "index.csv", csv_of(pd.DataFrame(map(_row, records))))
        cells = sorted((r.cell for r in records), key=lambda cell: (cell.label, cell.key))
        lines = ",\n".join(json.dumps(cell.config(), sort_keys=True) for cell in cells)
        logs = {
            r.cell.fingerprint: {"file": r.log, "reading": r.reading.config()}
            for r in records
            if r.log
        }
        more = f',\n"logs": {json.dumps(logs, sort_keys=True)}' if logs else ""
        replace(self.root / STUDY_FILE, f'{{"cells": [\n{lines}\n]{more}}}\n')

    def save_costs(self, record: Mapping[str, Any]) -> None:
        """Keep what ``bench.speed`` measured, in place of what an earlier run of it did."""
        replace(self.root / "costs.json", json.dumps(record, indent=1) + "\n")

    def costs_in_turns(self) -> dict[str, dict[str, float]]:
        """``epoch_cpu_s`` and ``targets_per_s`` by `Cell.system`; empty where nobody measured them.

        Raises:
            UserError: ``costs.json`` is not what ``bench.speed`` writes.
        """
        record = self._beside("costs.json", COSTS, "python -m bench.speed --study")
        costs = [] if record is None else record["costs"]
        names = ("epoch_cpu_s", "targets_per_s")
        return {each["key"]: {name: each[name] for name in names} for each in costs}

    def save_references(self, record: Mapping[str, Any]) -> None:
        """Keep references of all data and splits of the study, in place of earlier ones."""
        replace(self.root / "references.json", json.dumps(record, indent=1) + "\n")

    def references(self) -> dict[str, dict[str, dict[str, float]]]:
        """References that were measured later than cells: by `Cell.data_key`, name to metrics;
        empty where nobody did.

        Raises:
            UserError: ``references.json`` is not what ``bench.report references`` writes.
        """
        record = self._beside("references.json", REFERENCES, "python -m bench.report references")
        return {key: dict(found.get("references", {})) for key, found in (record or {}).items()}

    def _beside(self, name: str, shape: json_shape.Shape, measured_by: str) -> Any:
        """What was measured apart from the cells; None where nobody did.

        Raises:
            UserError: the file is not what the command writes.
        """
        path = self.root / name
        if not path.exists():
            return None
        try:
            return read_json(path, shape, cell_files.MAX_JSON)
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{path}: {error}; delete it, or measure again with {measured_by}"
            ) from error

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
                state = read_json(path, PROGRESS, cell_files.MAX_JSON)
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
        return self.lock(cell.key)

    def lock(self, name: str) -> filelock.FileLock | None:
        """A lock of the study, until released or the process ends; None when it is taken."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        # Taken in the thread that hands out work, released in the one that stores results.
        lock = filelock.FileLock(folder / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0.2)  # somebody may only be looking whether it is taken
        except filelock.Timeout:
            return None
        return lock


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

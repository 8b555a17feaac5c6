"""A study's results handed on: one tidy table, or MLflow."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pandas as pd

from bench.datasets import Dataset
from bench.errors import UserError, lacking
from bench.files import replace, why
from bench.studies.own_logs import Given, logs_of
from bench.studies.planning import dataset_of
from bench.studies.records import Record
from bench.studies.spreadsheet import csv_of
from bench.studies.store import Store

RANKINGS = {"rank": "test", "rank_peer": "test_peer", "rank_ensemble": "test_ensemble"}
"""Array of ``ranks.npz`` to the part of the metrics that it gives."""


def tidy(store: Store) -> pd.DataFrame:
    """One row a cell, part (``valid``, ``test``, ``test_peer``, ``timing``, ...) and metric.

    Hyper-parameters and protocol are JSON texts, equal for equal settings.

    Raises:
        UserError: the study has no finished cell.
    """
    rows = []
    for record in store.records():
        cell = record.cell
        parts = {name: part for name, part in cell.parts.items() if part is not None}
        about = {
            "study": store.root.name,
            "key": record.key,
            "dataset": cell.dataset,
            "synthetic": record.synthetic,
            **{name: part and part.name for name, part in cell.parts.items()},
            "hyper": json.dumps({name: part.hyper for name, part in parts.items()}, sort_keys=True),
            "protocol": json.dumps(cell.protocol.config(), sort_keys=True),
            "seed": cell.seed,
            "best_epoch": record.best_epoch,
        }
        measured = {**record.metrics, "timing": record.timings}
        rows += [
            about | {"part": part, "metric": metric, "value": float(value)}
            for part, metrics in measured.items()
            for metric, value in metrics.items()
        ]
    if not rows:
        raise store.nothing_finished()
    return pd.DataFrame(rows)


def to_mlflow(store: Store, uri: str) -> tuple[int, int]:
    """Log every cell as a run of the experiment named after the study, unless it is there already;
    returns how many cells there are, and how many of them were there.

    Args:
        store: the study.
        uri: MLflow's tracking URI, ``sqlite:///mlflow.db`` for one.

    Raises:
        UserError: MLflow is not installed, or cannot use what the URI names.
    """
    try:
        import mlflow
    except ImportError as error:
        raise lacking("--mlflow", "mlflow") from error
    # By itself it tries for minutes to reach a server that is not there.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    count, there = 0, 0
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(store.root.name)
        known = {
            (run.data.tags.get("key"), run.data.tags.get("code"))
            for run in mlflow.search_runs(
                experiment_names=[store.root.name],
                filter_string="attributes.status = 'FINISHED'",  # not what was stopped half-way
                output_format="list",
            )
        }
        for record in store.records():
            count += 1
            if (record.key, record.code) in known:
                there += 1
            else:
                _log_run(mlflow, store, record)
    except UserError:
        raise
    except Exception as error:  # each kind of store has its own
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(
            f"--mlflow {uri!r}: {reason}; a URI is sqlite:///mlflow.db or http://host:port, say"
        ) from error
    return count, there


def _log_run(mlflow: ModuleType, store: Store, record: Record) -> None:
    cell = record.cell
    params = cell.protocol.config() | {"dataset": cell.dataset, "seed": cell.seed}
    for name, part in cell.parts.items():
        if part is not None:
            params[name] = part.name
            params |= {f"{name}.{k}": v for k, v in part.hyper.items()}
    tags = {"key": record.key, "code": record.code, "synthetic": record.synthetic}
    with mlflow.start_run(run_name=cell.label, tags=tags):
        mlflow.log_params(params)
        for ranking, metrics in record.metrics.items():
            mlflow.log_metrics({_allowed(f"{ranking}_{k}"): v for k, v in metrics.items()})
        for row in store.epochs(record.key).to_dict("records"):
            step = int(row.pop("epoch"))
            curves = {_allowed(f"epoch_{k}"): v for k, v in row.items() if pd.notna(v)}
            mlflow.log_metrics(curves, step=step)


def _allowed(name: str) -> str:
    """MLflow knows no ``@`` in a name."""
    return name.replace("@", "_at_")


def ranks(store: Store, data_dir: Path | None, given: Sequence[str] = ()) -> pd.DataFrame:
    """One row a cell, test prediction and ranking (``test``, ``test_peer``, ``test_ensemble``).

    ``user`` and ``item`` (the one that came next) are the log's own ids, ``length`` the items of
    the input, ``nth`` tells a user's predictions apart, ``rank`` counts from 1, a tie half.

    Args:
        store: the study.
        data_dir: where real datasets lie.
        given: names or paths of datasets, for cells whose dataset has another name here.  Logs are
            read as they were for the study.

    Raises:
        UserError: the study has no finished cell, or a dataset is not here.
    """
    records = list(store.records())
    known = {record.cell.fingerprint for record in records}
    own = Given.of(given, data_dir, logs_of(records), known)
    found = dict[str, Dataset]()
    frames = []
    for record in records:
        if not record.tested:
            continue
        cell, arrays = record.cell, store.arrays(record.key)
        if cell.fingerprint not in found:
            found[cell.fingerprint] = own.dataset(cell) or dataset_of(cell, data_dir)
        users, items = found[cell.fingerprint].labels(arrays["user"], arrays["target"])
        nth = pd.Series(arrays["user"]).groupby(arrays["user"]).cumcount()
        about = {
            "study": store.root.name,
            "key": record.key,
            "dataset": cell.dataset,
            **{name: part and part.name for name, part in cell.parts.items()},
            "seed": cell.seed,
        }
        of_all = {"user": users, "nth": nth + 1, "item": items, "length": arrays["length"]}
        frames += [
            pd.DataFrame(about | of_all | {"part": part, "rank": arrays[name]})
            for name, part in RANKINGS.items()
            if name in arrays
        ]
    if not frames:
        raise store.nothing_finished()
    return pd.concat(frames, ignore_index=True)


def save(frame: pd.DataFrame, path: Path, option: str = "--to") -> None:
    """Write a table as the file's name says.

    Args:
        frame: the table.
        path: a ``.csv`` or ``.parquet`` file.
        option: that named it.

    Raises:
        UserError: its name says something else, it cannot be written, or pyarrow is not installed.
    """
    try:
        if path.suffix == ".csv":
            replace(path, csv_of(frame))
        elif path.suffix == ".parquet":
            packed = io.BytesIO()
            frame.to_parquet(packed, index=False)
            replace(path, packed.getvalue())
        else:
            raise UserError(f"{option} {path}: the name must end in .csv or .parquet")
    except ImportError as error:
        raise lacking(f"{option} {path}", "parquet") from error
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be written ({why(error)})") from error

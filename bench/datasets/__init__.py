"""Datasets: one file a source, registered by name."""

from __future__ import annotations

import os
from pathlib import Path

from bench.datasets.base import Dataset, DatasetSource, register, registry
from bench.datasets.contract import loaded
from bench.datasets.log_options import USUAL, Reading
from bench.errors import UserError

__all__ = [
    "Dataset",
    "DatasetSource",
    "Reading",
    "data_directory",
    "is_path",
    "register",
    "registry",
    "resolve_dataset",
]

VARIABLE = "BENCH_DATA"


def data_directory(option: str | None) -> Path | None:
    """Where real datasets lie: ``--data-dir``, else ``$BENCH_DATA``, else nowhere.

    Raises:
        UserError: what was given is not a directory.
    """
    for name, given in (("--data-dir", option), (f"${VARIABLE}", os.environ.get(VARIABLE))):
        if given:
            if not Path(given).is_dir():
                raise UserError(f"{name} {given}: no such directory")
            return Path(given)
    return None


def is_path(name: str) -> bool:
    """Whether a dataset is given by the path of a log, and not by a registered name."""
    if name in registry.names():
        return False
    # A name that nobody registered has no dot: what has one is a file that may be missing.
    return os.sep in name or "." in name or Path(name).is_file()


def resolve_dataset(name: str, data_dir: Path | None, reading: Reading = USUAL) -> Dataset:
    """A dataset by its registered name, or a log by its path.

    Args:
        name: one of them.
        data_dir: where real datasets lie.
        reading: how a log is read.

    Raises:
        UserError: unknown name, missing or malformed file, or what a plug-in gives is no dataset.
    """
    if is_path(name):
        # Reading takes pandas, which who asks for names alone does not wait for.
        from bench.datasets.reading.readers import read_log

        return read_log(Path(name), reading=reading)
    return loaded(registry.get(name)(), data_dir)

"""Datasets: one file a source, registered by name."""

from __future__ import annotations

import os
from pathlib import Path

from bench.datasets.base import Dataset, DatasetSource, register, registry
from bench.errors import UserError

__all__ = ["Dataset", "DatasetSource", "data_directory", "register", "registry", "resolve_dataset"]

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


def resolve_dataset(name: str, data_dir: Path | None) -> Dataset:
    """A dataset by its registered name, or a log by its path.

    Raises:
        UserError: unknown name, missing or malformed file.
    """
    # Reading takes pandas, which who asks for names alone does not wait for.
    from bench.datasets.reading.readers import is_log, read_log

    if name not in registry.names() and (is_log(Path(name)) or os.sep in name):
        return read_log(Path(name))
    return registry.get(name)().load(data_dir)

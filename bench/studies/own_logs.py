"""Logs of one's own that a study was trained on: given again by their paths, read as they were."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cell import Cell
from bench.datasets import Reading, is_path, registry, resolve_dataset
from bench.datasets.base import Dataset
from bench.errors import UserError
from bench.studies.records import Record

Logs = Mapping[str, tuple[str, Reading]]
"""Fingerprint to the name of a log's file, and how it was read."""


def logs_of(records: Iterable[Record]) -> Logs:
    """Those that stored cells were trained on."""
    return {each.cell.fingerprint: (each.log, each.reading) for each in records if each.log}


@dataclass(frozen=True)
class Given:
    """Datasets that somebody names for the cells of a study.

    Attributes:
        logs: of the study.
        datasets: by fingerprint.
        option: that gives them, for errors.
    """

    logs: Logs
    datasets: Mapping[str, Dataset]
    option: str

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        data_dir: Path | None,
        logs: Logs,
        fingerprints: Collection[str],
        option: str = "--datasets",
    ) -> Given:
        """By names and paths; a log is read so that it is one of the study's, if any way makes it
        one.

        Args:
            names: of them.
            data_dir: where real datasets lie.
            logs: of the study.
            fingerprints: of all of the study's datasets.
            option: that gives the names.

        Raises:
            UserError: one cannot be read, or is none of the study's.
        """
        found = [_read(name, data_dir, logs, fingerprints, option) for name in names]
        return cls(logs, {each.fingerprint: each for each in found}, option)

    def dataset(self, cell: Cell) -> Dataset | None:
        """The one that a cell was trained on; None where it is found by its registered name.

        Raises:
            UserError: it was read from a log, whose path is not given.
        """
        if (found := self.datasets.get(cell.fingerprint)) is not None:
            return found
        if cell.fingerprint not in self.logs and cell.dataset in registry.names():
            return None
        if cell.fingerprint not in self.logs:
            raise UserError(
                f"nobody registered the dataset {cell.dataset!r}; if it is a log of your own, give "
                f"its path with {self.option}"
            )
        file, _ = self.logs[cell.fingerprint]
        raise UserError(
            f"{cell.dataset}: cells are of a log of your own, {file}; give the path of that file, "
            f"as it was, with {self.option}"
        )


def _read(
    name: str, data_dir: Path | None, logs: Logs, fingerprints: Collection[str], option: str
) -> Dataset:
    if not is_path(name):
        registered = resolve_dataset(name, data_dir)
        if registered.fingerprint not in fingerprints:
            raise UserError(f"{option} {name}: it is no dataset of the study")
        return registered
    refused: UserError | None = None
    for reading in dict.fromkeys([*(reading for _, reading in logs.values()), Reading()]):
        try:
            found = resolve_dataset(name, data_dir, reading)
        except UserError as error:  # another log's columns, maybe
            refused = refused or error
            continue
        if found.fingerprint in fingerprints:
            return found
    if refused is not None:
        raise UserError(f"{refused} (logs are read as they were for the study)")
    raise UserError(f"{option} {name}: its content is that of no log that the study names")

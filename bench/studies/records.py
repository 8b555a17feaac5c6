"""A stored cell read back: what was trained, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

import samplers
from bench.cell import Cell, Component
from bench.datasets import Reading
from bench.errors import UserError

CHANGES = "+changes"
"""After the commit of a cell's code, where files differed from it."""

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class CellResult:
    """What training a cell gives.

    Attributes:
        cell: what was trained.
        code: digest of the source of its sampler, backbones and objective.
        data: the dataset's sizes, whether it is synthetic, its footnotes; the name of the split
            file, if there was one; of a log of one's own its name and how it was read.
        metrics: ``{"valid": {...}, "test": {...}}`` at the best epoch; no test in a tuning trial.
        buckets: NDCG@10 on test by item popularity and input length; empty in a tuning trial.
        best_epoch: from 1.
        timings: seconds, and peak memory of the process in MB.
        environment: what it ran on.
        epochs: one row an epoch.
        arrays: per test user (in a tuning trial: per validation user), for ``ranks.npz``.
        weights: of the model under test and its peer at the best epoch, each as a safetensors
            file; empty where they were not asked for.
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
    weights: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Record:
    """What ``cell.json`` holds.

    Attributes:
        key: of the cell, as it is stored.
        code: digest of the code that trained it.
        cell: what was trained, with every setting.
        data: the dataset's sizes, whether it is synthetic, its footnotes, references and how their
            settings were chosen.
        metrics: ``{"valid": {...}, "test": {...}}`` and other rankings, at the best epoch.
        buckets: the headline metric on test by item popularity and input length.
        best_epoch: from 1.
        timings: seconds, and peak memory of the process in MB.
        environment: what it ran on.
        system: `Cell.system` of what was trained, also where `cell` is without settings.
    """

    key: str
    code: str
    cell: Cell
    data: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, float]]
    buckets: Mapping[str, Mapping[str, float]]
    best_epoch: int
    timings: Mapping[str, float]
    environment: Mapping[str, Any]
    system: str

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Record:
        """Of JSON in the shape of `bench.studies.cell_files.RECORD`.

        Raises:
            TypeError: its configuration has settings that a cell has not.
        """
        cell = Cell.from_config(stored["config"])
        parts = {name: stored[name] for name in cls.__annotations__.keys() - {"cell", "system"}}
        return cls(cell=cell, system=cell.system, **parts)

    @property
    def uncommitted(self) -> bool:
        """Whether its code was in no commit."""
        return str(self.environment.get("commit")).endswith(CHANGES)

    @property
    def sampler(self) -> str:
        """What its sampler, with these settings, is called today; see `Sampler.known_as`."""
        name = self.cell.sampler.name
        try:
            return samplers.registry.get(name).known_as(name, self.cell.sampler.hyper)
        except UserError:  # of a plug-in that is not loaded
            return name

    @property
    def synthetic(self) -> bool:
        return bool(self.data["synthetic"])

    @property
    def tested(self) -> bool:
        """Whether it was; a trial of tuning is not."""
        return "test" in self.metrics

    @property
    def test(self) -> Mapping[str, float]:
        """Metrics of the model under test on the test split."""
        return self.metrics["test"]

    @property
    def valid(self) -> Mapping[str, float]:
        """Its metrics on validation at the best epoch."""
        return self.metrics["valid"]

    @property
    def notes(self) -> list[str]:
        """What a reader of its numbers must know about the dataset."""
        return list(self.data["notes"])

    @property
    def split_file(self) -> str:
        """Name of the file that assigned its users; empty where none did, or none is known of."""
        return str(self.data.get("split_file", ""))

    @property
    def log(self) -> str:
        """Name of the file that its dataset was read from; empty where that is no log of one's
        own."""
        return str(self.data.get("log", ""))

    @property
    def reading(self) -> Reading:
        """How that was read."""
        config = self.data.get("reading")
        return Reading() if config is None else Reading.from_config(config)

    @property
    def references(self) -> Mapping[str, Mapping[str, float]]:
        """What nobody trained, on the same test users: name to metrics."""
        return self.data.get("references", {})

    def without_settings(self) -> Record:
        """The same under the plain names of its components, as if they had nothing to set."""
        cell = self.cell
        plain = replace(
            cell,
            backbone=Component(cell.backbone.name),
            sampler=Component(self.sampler),
            peer=None if cell.peer is None else Component(cell.peer.name),
            objective=Component(cell.objective.name),
        )
        return replace(self, cell=plain)

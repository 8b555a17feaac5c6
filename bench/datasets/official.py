"""What the six real datasets have in common: a file in the data directory, facts, a raw source."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.datasets.base import Dataset, DatasetSource
from bench.errors import UserError

if TYPE_CHECKING:  # what loads pandas is imported when a file is read: names alone need none of it
    import pandas as pd

CORE = 5
"""All six sets keep users and items with at least so many interactions."""


@dataclass(frozen=True)
class Counts:
    """The size of a dataset."""

    users: int
    items: int
    interactions: int

    @property
    def average_length(self) -> float:
        """Interactions per user."""
        return self.interactions / self.users

    @property
    def sparsity(self) -> float:
        """Per cent of user-item pairs without an interaction."""
        return 100 * (1 - self.interactions / (self.users * self.items))


class OfficialSource(DatasetSource):
    """A published dataset; subclasses state the facts and parse the raw download.

    Attributes:
        published: the row of the paper's Table 2.
        expected: the counts of the 5-core that this harness works with.
        difference: why ``expected`` is not ``published``, where it is not.
        notes: what a reader of results must know; reports print them as footnotes.
        licence: terms of the data.
        citation: what to cite.
        url: the official download.
        md5: its checksum where the source publishes one; else the first download is pinned.
    """

    published: ClassVar[Counts]
    expected: ClassVar[Counts]
    difference: ClassVar[str] = ""
    notes: ClassVar[tuple[str, ...]] = ()
    licence: ClassVar[str]
    citation: ClassVar[str]
    url: ClassVar[str]
    md5: ClassVar[str | None] = None

    @abstractmethod
    def events(self, raw: Path) -> pd.DataFrame:
        """The interactions of the raw download, before the 5-core.

        Returns:
            Columns ``user`` and ``item`` (text) and ``time`` (unix seconds, fractions allowed),
            in file order.

        Raises:
            UserError: the file is not what the source publishes; names file and line.
        """

    def load(self, data_dir: Path | None) -> Dataset:
        """Read ``<name>.txt.gz`` or ``<name>.txt``; see `DatasetSource.load`."""
        if data_dir is None:
            raise UserError(
                f"dataset {self.name!r} is not embedded: give --data-dir or $BENCH_DATA, or run "
                f"python -m bench.data fetch {self.name} --data-dir data"
            )
        path = self.path(data_dir)
        if path is None:
            raise UserError(
                f"{data_dir / self.name}.txt.gz: no such file; another --data-dir, or "
                f"python -m bench.data fetch {self.name} --data-dir {data_dir}"
            )
        from bench.datasets.reading.readers import read_exposures, read_log

        times = data_dir / "extra" / f"{self.name}_time.txt.gz"
        dataset = read_log(path, times if times.is_file() else None)
        shown = data_dir / "extra" / f"{self.name}_exposures.txt.gz"
        exposures = read_exposures(shown, dataset) if shown.is_file() else None
        counts = Counts(dataset.n_users, dataset.n_items, dataset.n_interactions)
        notes = self.notes
        if counts != self.expected:
            notes = (
                f"{path.name} is not the published {self.name}: {counts.interactions:,} "
                f"interactions, not {self.expected.interactions:,}; the paper's figures are of "
                "other data",
            )
        return replace(
            dataset, name=self.name, notes=notes, exposures=exposures, file="", reading=None
        )

    def path(self, data_dir: Path) -> Path | None:
        """Where the dataset lies, or None."""
        paths = (data_dir / f"{self.name}{suffix}" for suffix in (".txt.gz", ".txt"))
        return next((path for path in paths if path.is_file()), None)

    def convert(self, raw: Path) -> Dataset:
        """The 5-core of the raw download, each user in time order (ties in file order)."""
        from bench.datasets.reading.kcore import k_core
        from bench.datasets.reading.readers import from_events

        events = k_core(self.events(raw), CORE)
        if events.empty:
            raise UserError(f"{raw}: nothing is left of it after the {CORE}-core")
        return from_events(self.name, events["user"], events["item"], events["time"].to_numpy())

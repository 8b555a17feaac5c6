"""Who is told how a run goes: the log, the display, whoever else wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cell import Cell
from bench.metrics import HEADLINE, SELECT_ON
from bench.studies.estimates import Estimate, confirm
from bench.studies.store import CellResult, Store
from bench.terminal import tell


@dataclass(frozen=True)
class Job:
    """A cell of a batch.

    Attributes:
        label: what people call it; a trial of tuning, or a cell of a sweep, by its values, too.
        progress: where its worker keeps the state of the latest epoch.
    """

    cell: Cell
    label: str
    progress: Path

    @property
    def key(self) -> str:
        return self.cell.key


@dataclass(frozen=True)
class Batch:
    """Cells that are trained side by side; tuning trains one batch a round.

    Attributes:
        store: where they are kept.
        noun: what they are, ``cells`` or ``trials``.
        where: they are trained, for people.
        seconds: cell key to what it takes at most.
        expected: what all of them take at most.
    """

    jobs: tuple[Job, ...]
    store: Store
    noun: str
    where: str
    seconds: Mapping[str, float]
    expected: Estimate


class Listener:
    """Is told how a run goes, by the process that hands out its cells; does nothing with it.

    Whoever listens overrides what it wants to hear of.  An exception stops the run.
    """

    def said(self, text: str) -> None:
        """A line about the study as a whole."""

    def planned(self, estimate: Estimate, results: Path) -> None:
        """Cells will be trained and written under ``results``; a `UserError` says no to it."""

    def began(self, batch: Batch) -> None:
        """The batch's cells are handed out from now on."""

    def started(self, job: Job) -> None:
        """The cell is handed out."""

    def finished(self, job: Job, result: CellResult) -> None:
        """It is trained and stored."""

    def failed(self, job: Job, error: str, traceback: Path) -> None:
        """It is not, for this reason; the traceback is kept in a file."""

    def skipped(self, job: Job, reason: str) -> None:
        """It was not handed out, as another run has it or had it."""

    def ended(self, batch: Batch, complete: bool) -> None:
        """All its cells were finished, failed or skipped; if not complete, the run is stopped."""


class Lines(Listener):
    """Prints what is said about the study."""

    def said(self, text: str) -> None:
        tell(text)


class Question(Listener):
    """Warns of what will not fit and, on a terminal, asks before a large run.

    Attributes:
        yes: do not ask.
    """

    def __init__(self, yes: bool) -> None:
        self.yes = yes

    def planned(self, estimate: Estimate, results: Path) -> None:
        confirm(estimate, results, self.yes)


def shown_metrics(result: CellResult) -> tuple[str, str]:
    """The part and metric that a line about the cell shows; a trial of tuning has no test."""
    return ("test", HEADLINE) if "test" in result.metrics else ("valid", SELECT_ON)

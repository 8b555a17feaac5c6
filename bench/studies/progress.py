"""What a person sees while cells run: finished ones line by line, running ones live."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.studies.listeners import Batch, Job, Listener, shown_metrics
from bench.studies.store import CellResult
from bench.studies.units import duration
from bench.terminal import nobody_reads


class Progress(Listener):
    """The state of a batch, and its display on standard error.

    On a terminal the running cells are shown live with epoch and validation NDCG@10; elsewhere
    there is a line for each finished cell.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None

    def began(self, batch: Batch) -> None:
        self._total, self._workers = len(batch.jobs), batch.expected.workers
        self._left = dict(batch.seconds)
        self._running: dict[str, Path] = {}
        self._seconds = self._seconds_left = sum(batch.seconds.values())
        self._started = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=2,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        self._say(f"training {self._total} {batch.noun} {batch.where}: {batch.expected}")

    def started(self, job: Job) -> None:
        self._running[job.key] = job.progress

    def finished(self, job: Job, result: CellResult) -> None:
        part, metric = shown_metrics(result)
        self._count_off(
            job,
            f"done {job.label}: {part} {metric} {result.metrics[part][metric]:.4f}, "
            f"best epoch {result.best_epoch}, {result.timings['wall_s']:.1f} s",
        )

    def failed(self, job: Job, error: str, traceback: Path) -> None:
        self._count_off(job, f"failed {job.label}: {error} (traceback: {traceback})")

    def skipped(self, job: Job, reason: str) -> None:
        self._count_off(job, f"skipped {job.label}: {reason}")

    def ended(self, batch: Batch, complete: bool) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _count_off(self, job: Job, text: str) -> None:
        self._running.pop(job.key, None)
        self._seconds_left -= self._left.pop(job.key, 0.0)
        done, total = self._total - len(self._left), self._total
        self._say(f"[{done}/{total}, {duration(self.seconds_left())} left] {text}")

    def _say(self, text: str) -> None:
        """Print a line above the display."""
        try:
            self._console.print(Text(text), soft_wrap=True)
        except (BrokenPipeError, SystemExit):  # which rich makes of it
            nobody_reads(sys.stderr)

    def seconds_left(self) -> float:
        """Expected seconds to the end, by the pace so far."""
        # Kept as sums: adding them up for every finished cell takes ever longer in a large study.
        left = max(0.0, self._seconds_left - self._done_in_running())
        done = self._seconds - left
        if done <= 0:
            return left / self._workers
        return left * (time.monotonic() - self._started) / done

    def _states(self) -> list[dict[str, Any]]:
        states = []
        for path in list(self._running.values()):
            try:
                states.append(json.loads(path.read_text(encoding="utf-8")) | {"key": path.stem})
            except (OSError, ValueError):
                continue  # it has just finished
        return states

    def _done_in_running(self) -> float:
        return sum(
            self._left.get(state["key"], 0.0) * state["epoch"] / state["epochs"]
            for state in self._states()
        )

    def _render(self) -> Group:
        done, total = self._total - len(self._left), self._total
        head = Table.grid(padding=(0, 1))
        head.add_row(
            ProgressBar(total=max(total, 1), completed=done, width=30),
            f"{done}/{total} cells",
            f"{duration(time.monotonic() - self._started)} elapsed",
            f"{duration(self.seconds_left())} left",
        )
        running = Table.grid(padding=(0, 1))
        for state in self._states():
            running.add_row(
                state["cell"],
                f"epoch {state['epoch']:.0f}/{state['epochs']}",
                f"validation NDCG@10 {state['ndcg']:.4f}",
            )
        return Group(head, running)

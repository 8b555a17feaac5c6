"""What a person sees while cells run: finished ones line by line, running ones live."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


def duration(seconds: float) -> str:
    """``1:02:03``; days when there are any, up to a million."""
    return str(timedelta(seconds=round(min(seconds, 86_400e6))))


class Progress:
    """The state of a run, and its display on standard error.

    On a terminal the running cells are shown live with epoch and validation NDCG@10; elsewhere
    there is a line for each finished cell.
    """

    def __init__(self, estimates: Mapping[str, float], workers: int, folder: Path) -> None:
        """
        Args:
            estimates: cell key to expected seconds, for all cells to be run.
            workers: how many run at a time.
            folder: where workers keep the state of their latest epoch, ``<key>.json`` each.
        """
        self._total, self._workers, self._folder = len(estimates), workers, folder
        self._left = dict(estimates)
        self._running: dict[str, Path] = {}
        self._seconds = self._seconds_left = sum(estimates.values())
        self._started = time.monotonic()
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Progress:
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def start(self, key: str) -> Path:
        """Count a cell as running; returns where its worker keeps its state."""
        path = self._running[key] = self._folder / f"{key}.json"
        path.unlink(missing_ok=True)  # left by a run that was killed
        return path

    def finished(self, key: str, text: str) -> None:
        """Count a cell off and print a line about it."""
        if key in self._running:
            self._running.pop(key).unlink(missing_ok=True)  # its worker may have been killed
        self._seconds_left -= self._left.pop(key, 0.0)
        done, total = self._total - len(self._left), self._total
        line = f"[{done}/{total}, {duration(self.seconds_left())} left] {text}"
        self._console.print(Text(line), soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line above the display."""
        self._console.print(Text(text), soft_wrap=True)

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

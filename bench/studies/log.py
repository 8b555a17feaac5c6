"""The log of a study.

``results/<study>/log.jsonl`` gets a line of JSON for every event of every run: ``start`` (what is
to be trained, with estimates), ``done`` and ``failed`` (a cell), ``end`` and ``stopped`` (by Ctrl-C
or an error).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import json_shape
from bench.studies.listeners import Batch, Job, Listener, shown_metrics
from bench.studies.store import CellResult, Store

FILE = "log.jsonl"


MAX_LINE = 2**24
"""Characters of a line that is read."""


def _moment(value: Any) -> bool:
    """A time with its zone."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


EVENT = {"event": json_shape.text, "key": (..., json_shape.text)}


START = EVENT | {
    "time": _moment,
    "workers": json_shape.positive,
    "estimates": {str: json_shape.number},
}
"""Shapes of any event, and of the start of a run."""


class Log(Listener):
    """The events of a study, one after another; several runs may write to it."""

    def __init__(self, store: Store) -> None:
        self._path = store.root / FILE

    def event(self, name: str, **about: Any) -> None:
        """Append an event with the time; where there is no room for it, it is left out."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(), "event": name} | about)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")  # one short write: lines of two runs do not mix

    def began(self, batch: Batch) -> None:
        expected = batch.expected
        self.event(
            "start",
            workers=expected.workers,
            threads=expected.threads,
            estimates=dict(batch.seconds),
        )

    def finished(self, job: Job, result: CellResult) -> None:
        part, _ = shown_metrics(result)
        self.event(
            "done",
            key=job.key,
            cell=job.label,
            metrics=result.metrics[part],
            seconds=result.timings["wall_s"],
        )

    def failed(self, job: Job, error: str, traceback: Path) -> None:
        self.event("failed", key=job.key, cell=job.label, error=error)

    def ended(self, batch: Batch, complete: bool) -> None:
        self.event("end" if complete else "stopped")

    def events(self) -> Iterator[dict[str, Any]]:
        """All of them, oldest first; a line that is none, cut off by a kill, is passed over."""
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", errors="replace") as file:
            for line in iter(lambda: file.readline(MAX_LINE), ""):
                try:
                    event = json.loads(line)
                    json_shape.check(event, EVENT)
                    if event["event"] == "start":
                        json_shape.check(event, START)
                except (ValueError, RecursionError):
                    continue
                yield event

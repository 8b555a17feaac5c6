"""How a study stands: its log, and ``python -m bench.grid status STUDY``.

``results/<study>/log.jsonl`` gets a line of JSON for every event of every run: ``start`` (what is
to be trained, with estimates), ``done`` and ``failed`` (a cell), ``end`` and ``stopped`` (by Ctrl-C
or an error).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import shape
from bench.errors import UserError
from bench.progress import duration
from bench.store import Store

FILE = "log.jsonl"
MAX_LINE, MAX_SHOWN = 2**24, 1000
"""Characters of a line of the log that is read, of a failure that is shown."""


def _moment(value: Any) -> bool:
    """A time with its zone."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


EVENT = {"event": shape.text, "key": (..., shape.text)}
START = EVENT | {"time": _moment, "workers": shape.positive, "estimates": {str: shape.number}}
"""Shapes of any event, and of the start of a run."""


class Log:
    """The events of a study, one after another; several runs may write to it."""

    def __init__(self, store: Store) -> None:
        self._path = store.root / FILE

    def event(self, name: str, **about: Any) -> None:
        """Append an event with the time; where there is no room for it, it is left out."""
        line = json.dumps({"time": datetime.now(UTC).isoformat(), "event": name} | about)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:  # one short write: lines of two runs do not mix
                file.write(line + "\n")

    @contextlib.contextmanager
    def run(self, **about: Any) -> Iterator[None]:
        """Append ``start``, and in the end ``end`` or ``stopped``."""
        self.event("start", **about)
        try:
            yield
        except BaseException:
            self.event("stopped")
            raise
        self.event("end")

    def events(self) -> Iterator[dict[str, Any]]:
        """All of them, oldest first; a line that is none, cut off by a kill, is passed over."""
        if not self._path.exists():
            return
        with self._path.open(errors="replace") as file:
            for line in iter(lambda: file.readline(MAX_LINE), ""):
                try:
                    event = json.loads(line)
                    shape.check(event, EVENT)
                    if event["event"] == "start":
                        shape.check(event, START)
                except (ValueError, RecursionError):
                    continue
                yield event


def status(store: Store, now: datetime) -> list[str]:
    """Lines for a person: what is done, running, failed and left, and how long that may take.

    Raises:
        UserError: there is no such study.
    """
    events = list(Log(store).events())
    done = {record["key"]: record for record in store.records()}
    if not events and not done:
        raise UserError(f"{store.root}: no such study; see python -m bench.grid --help")
    starts = [event for event in events if event["event"] == "start"]
    estimates: dict[str, float] = starts[-1]["estimates"] if starts else {}
    running = {state["key"]: state for state in store.running() if state["key"] not in done}
    known = {*done, *running}
    failed = {key: path for key, path in store.failures().items() if key not in known}
    known |= failed.keys()
    left = [key for key in estimates if key not in known]
    begun = sum(map(store.taken, left))
    lines = [
        f"study {store.root}: {len(done)} done, {len(running) + begun} running, "
        f"{len(failed)} failed, {len(left) - begun} waiting"
    ]
    lines += [
        f"  running  {state['cell']}: epoch {state['epoch']:.0f} of at most {state['epochs']}, "
        f"validation NDCG@10 {state['ndcg']:.4f}"
        for state in running.values()
    ]
    lines += [f"  failed   {_first_line(path)} ({path})" for path in failed.values()]
    if begun:
        lines.append(f"  {begun} of them in their first epoch, or on other machines")
    if running or begun:
        lines.append(f"  about {duration(_seconds_left(events, estimates, running, now))} left")
    elif left:
        lines.append("  nobody is at it; run the same command again to continue")
    return lines


def _seconds_left(
    events: Sequence[dict[str, Any]],
    estimates: dict[str, float],
    running: dict[str, Any],
    now: datetime,
) -> float:
    """By the pace of the latest run, or by its estimates before anything is finished."""
    index = max(i for i, event in enumerate(events) if event["event"] == "start")
    ended = {event.get("key") for event in events[index:]}
    part = {key: state["epoch"] / state["epochs"] for key, state in running.items()}
    done = sum(s * (1.0 if key in ended else part.get(key, 0.0)) for key, s in estimates.items())
    left = sum(estimates.values()) - done
    if done <= 0:
        return left / events[index]["workers"]
    started = datetime.fromisoformat(events[index]["time"])
    return max(0.0, left * (now - started).total_seconds() / done)  # clocks may jump


def _first_line(path: Path) -> str:
    with path.open(errors="replace") as file:
        return file.readline(MAX_SHOWN).rstrip("\n")


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    parser = argparse.ArgumentParser(prog="python -m bench.grid status", description=__doc__)
    parser.add_argument("study", nargs="?", default="quick", help="default: quick")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        print("\n".join(status(Store(options.results / options.study), datetime.now(UTC))))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0

"""How a study stands: ``python -m bench.grid status STUDY``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.studies.budget import ROUNDS
from bench.studies.log import Log
from bench.studies.store import Store
from bench.studies.tuning import TESTS, TRIALS
from bench.studies.units import duration

MAX_SHOWN = 1000
"""Characters of a failure that are shown."""

SHOWN = 3
"""Cells that cannot be read, of which the keys are shown."""


def status(store: Store, now: datetime) -> list[str]:
    """Lines for a person: what is done, running, failed and left, and how long that may take; of
    trials and rounds, too, where somebody is at them or there is nothing else yet.

    Raises:
        UserError: there is no such study.
    """
    lines, _ = _lines(store, now)
    whole = bool(lines)
    for part in (TRIALS, TESTS, ROUNDS):
        if (store.root / part).is_dir():
            its, at_work = _lines(Store(store.root / part), now)
            if at_work or not whole:
                lines += its
    if not lines:
        raise UserError(f"{store.root}: no such study; see python -m bench.grid --help")
    return lines


def _lines(store: Store, now: datetime) -> tuple[list[str], bool]:
    """Of one store, none where it is empty; and whether somebody is at it."""
    events = list(Log(store).events())
    done = {record.key: record for record in store.records()}
    unreadable = store.unreadable()
    if not events and not done and not unreadable:
        return [], False
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
    if unreadable:
        shown = ", ".join([*unreadable[:SHOWN], "..."][: len(unreadable)])
        lines.append(
            f"  {len(unreadable)} cells cannot be read, damaged or of a newer version; the next "
            f"run trains the damaged ones again: {shown}"
        )
    if begun:
        lines.append(f"  {begun} of them in their first epoch, or on other machines")
    if running or begun:
        lines.append(f"  about {duration(_seconds_left(events, estimates, running, now))} left")
    elif left:
        lines.append("  nobody is at it; run the same command again to continue")
    return lines, bool(running or begun)


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
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(MAX_SHOWN).rstrip("\n")

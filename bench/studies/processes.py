"""Measuring in a process of its own, and what memory it took."""

from __future__ import annotations

import multiprocessing
import re
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def in_own_processes(count: int, function: Callable[..., T], *arguments: Any) -> list[T]:
    """What the function returns, called at once in so many fresh processes."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=count, mp_context=spawn) as pool:
        calls = [pool.submit(function, *arguments) for _ in range(count)]
        return [call.result() for call in calls]


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in MB (a worker runs many cells: an upper bound)."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` counts the parent's memory at the time of the fork, too
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"))
        if found is not None:
            return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10

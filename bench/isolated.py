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


def in_own_process(function: Callable[..., T], *arguments: Any) -> T:
    """What the function returns, called in a fresh process that does nothing else."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in MB (a worker runs many cells: an upper bound)."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` counts the parent's memory at the time of the fork, too
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        if found is not None:
            return int(found[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10

"""Worker processes that need not load torch, which takes seconds: forks of one that has loaded it.

That one is the fork server of `multiprocessing`.  Where a fork of a process with such libraries is
not safe (macOS), each worker is a fresh process, and loads for itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from multiprocessing import context, forkserver, parent_process, resource_tracker
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

LOADED = ["bench.studies.run_cell"]
"""What a worker has imported when it starts."""

FORKED = sys.platform == "linux"


def start() -> None:
    """Have it load, while this process does something else; nothing if it has been started."""
    if FORKED:
        forkserver.set_forkserver_preload(LOADED)
        resource_tracker.ensure_running()  # now, as it lets Ctrl-C through again when it is started
        with _environment(), _uninterrupted():
            forkserver.ensure_running()


class Workers(context.ForkServerContext if FORKED else context.SpawnContext):  # type: ignore[misc]
    """Makes the processes of a `concurrent.futures.ProcessPoolExecutor`, and can kill them.

    They do not import the script that this process runs, as those of `multiprocessing` do, so it
    may do its work without asking whether its name is ``__main__``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made: list[BaseProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> BaseProcess:  # noqa: N802
        start()
        process = _Process(*args, **kwargs)
        self._made.append(process)
        return process

    def kill(self) -> None:
        """End all that were made."""
        for process in self._made:
            if process.is_alive():
                process.kill()
        self._made.clear()


class _Process(context.ForkServerProcess if FORKED else context.SpawnProcess):  # type: ignore[misc]
    def start(self) -> None:
        with _without_main():
            super().start()


def begin(threads: int, environment: dict[str, str]) -> None:
    """What a worker does first: see that it does not outlive who made it.

    Args:
        threads: of a cell.
        environment: of who made it; that in which torch was loaded may be older.
    """
    os.environ.clear()
    os.environ.update(environment | _for_threads(threads))
    # Ctrl-C reaches the whole process group; the coordinator alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        # A coordinator that was killed is not outlived: the next one may be at this cell already.
        coordinator = parent_process()
        assert coordinator is not None
        coordinator.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _for_threads(threads: int) -> dict[str, str]:
    """Environment variables that libraries of arithmetic read when they are loaded."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # Threads that wait must not spin on processors that other cells could use.
    policy = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    return {**dict.fromkeys(names, str(threads)), "OMP_WAIT_POLICY": policy}


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """That in which torch is loaded; its threads are set when a cell begins."""
    changed = _for_threads(1)
    before = {name: os.environ[name] for name in changed if name in os.environ}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name in changed:
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Processes that are made within are told of no script or module that this one runs."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C does not reach processes that are started within; this one it reaches afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

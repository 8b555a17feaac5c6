"""Where cells run: in this process, or in several through joblib."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator

import joblib

from bench.worker import Outcome, Task, run_task


def run(tasks: Iterable[Task], workers: int, threads: int) -> Iterator[Outcome]:
    """Outcomes as they come; tasks are taken from the iterable only shortly before they run.

    The numbers do not depend on ``workers``: a cell's threads are fixed, and nothing is shared.

    Args:
        tasks: what to run.
        workers: processes; 1 runs everything here.
        threads: of each cell.
    """
    if workers == 1:
        yield from map(run_task, tasks)
        return
    with joblib.parallel_config("loky", inner_max_num_threads=threads):
        parallel = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch=workers
        )
        yield from parallel(joblib.delayed(_run_in_worker)(task) for task in tasks)


def _run_in_worker(task: Task) -> Outcome:
    # Ctrl-C reaches the whole process group; the coordinator alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return run_task(task)

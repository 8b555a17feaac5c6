"""Where cells run: in this process, in processes of this machine, or on a Dask or Ray cluster.

An engine runs a cell somewhere and gives a future; one loop hands out the cells, takes what comes
back, and hands out again what a process or machine had in hand when it died.  The numbers do not
depend on the engine: a cell's threads are fixed, and cells share nothing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any, ClassVar

from bench.errors import UserError, lacking
from bench.studies import warm
from bench.studies.by_value import carry
from bench.studies.run_cell import Material, Outcome, Task, run_task

ATTEMPTS = 3
"""Worker processes that may die under a cell (killed for memory, say) before it has failed."""

Work = tuple[Task, Material]


class Engine(ABC):
    """Somewhere to run cells.

    Attributes:
        lost: what a future raises when the process or machine under its cell died.
        sees_files: whether cells can write progress and checkpoints where this process reads them.
        description: for people.
    """

    lost: tuple[type[BaseException], ...] = ()
    sees_files: ClassVar[bool] = True
    description: str

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Cells at a time, just now."""

    @abstractmethod
    def submit(self, task: Task, material: Material) -> Future[Outcome]:
        """Start a cell; there is room for it."""

    @abstractmethod
    def close(self) -> None:
        """Stop what is running and let go of everything."""


def run(work: Iterable[Work], engine: Engine) -> Iterator[Outcome]:
    """Outcomes as they come; work is taken from the iterable only shortly before it runs.

    Args:
        work: what to run, each with the data it needs.
        engine: where.

    Raises:
        UserError: the cluster is gone.
    """
    left, again, tries = iter(work), deque[Work](), Counter[str]()
    running: dict[Future[Outcome], Work] = {}
    while True:
        while len(running) < engine.capacity:
            one = again.popleft() if again else next(left, None)
            if one is None:
                break
            running[engine.submit(*one)] = one
        if not running:
            return
        # Not for ever: a cluster may have got more workers meanwhile.
        for future in wait(running, timeout=5, return_when=FIRST_COMPLETED).done:
            one = running.pop(future)
            cell = one[0].cell
            try:
                yield future.result()
            except engine.lost as error:
                tries[cell.key] += 1
                if tries[cell.key] < ATTEMPTS:
                    again.append(one)
                    continue
                reason = (
                    f"its worker died {tries[cell.key]} times ({type(error).__name__}); is "
                    "there memory for so many cells at a time (--workers)?"
                )
                yield Outcome(cell, None, reason, traceback.format_exc())
            except Exception as error:  # no cell raises: the worker could not even start it
                reason = f"{type(error).__name__}: {error}"
                yield Outcome(cell, None, reason, traceback.format_exc())


class Here(Engine):
    """One cell after the other, in this process."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.description = "in this process"

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, task: Task, material: Material) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(run_task(replace(task, device=self._device), material))
        return future

    def close(self) -> None:
        pass


def _sent(task: Task, device: str) -> Task:
    """A task as another process needs it."""
    return replace(task, device=device, carried=carry(task.cell))


class Processes(Engine):
    """Processes of this machine, each a pool of its own: one that dies takes one cell with it."""

    lost = (BrokenProcessPool,)

    def __init__(self, devices: Sequence[str], threads: int) -> None:
        """
        Args:
            devices: one for each process.
            threads: of each cell.
        """
        self._slots = [_Slot(device, threads) for device in devices]
        self.description = "in processes of their own"

    @property
    def capacity(self) -> int:
        return len(self._slots)

    def submit(self, task: Task, material: Material) -> Future[Outcome]:
        return next(slot for slot in self._slots if slot.idle).submit(task, material)

    def close(self) -> None:
        for slot in self._slots:
            slot.close()


class _Slot:
    """One process and the device it uses."""

    def __init__(self, device: str, threads: int) -> None:
        self._device, self._threads = device, threads
        self._pool: ProcessPoolExecutor | None = None
        self._future: Future[Outcome] | None = None

    @property
    def idle(self) -> bool:
        return self._future is None or self._future.done()

    def submit(self, task: Task, material: Material) -> Future[Outcome]:
        task = _sent(task, self._device)
        if self._device != "cpu" and self._failed():
            self.close()  # an error on a GPU may have spoilt the process for all cells to come
        try:
            self._future = self._start().submit(run_task, task, material)
        except BrokenProcessPool:  # it died, with this cell's predecessor or idle
            self.close()
            self._future = self._start().submit(run_task, task, material)
        return self._future

    def _failed(self) -> bool:
        future = self._future
        return future is not None and future.exception() is None and future.result().result is None

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._workers = warm.Workers()
            self._pool = ProcessPoolExecutor(
                max_workers=1,
                mp_context=self._workers,
                initializer=warm.begin,
                initargs=(self._threads, dict(os.environ)),
            )
        return self._pool

    def close(self) -> None:
        if self._pool is not None:
            self._workers.kill()
            self._pool.shutdown(wait=True)
        self._pool = None


class Dask(Engine):
    """The workers of a Dask cluster; its scheduler runs what a lost worker had in hand elsewhere.

    Data is sent to the workers once, results come back here; the workers need this package, and no
    directory in common.  A cell that runs when this process ends goes on to its end, in vain.
    """

    lost = (CancelledError,)  # with all workers that held its data; the scheduler sees to the rest
    sees_files = False

    def __init__(self, address: str | None, workers: int | None, device: str) -> None:
        """
        Args:
            address: of the scheduler.
            workers: cells at a time; None for as many as there are workers, at any time.
            device: of every worker.

        Raises:
            UserError: Dask is not installed, or nobody answers there.
        """
        try:
            from distributed import Client
        except ImportError as error:
            raise lacking("--executor dask", "dask") from error
        if address is None:
            raise UserError("--executor dask: give the scheduler's --address, tcp://HOST:8786")
        try:
            self._client = Client(address, timeout=10)
            self._client.wait_for_workers(1, timeout=60)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"--address {address}: no Dask scheduler with a worker answers ({error}); start "
                "them with 'dask scheduler' and 'dask worker ADDRESS --nthreads 1'"
            ) from error
        self._submit = self._client.get_executor(pure=False).submit
        self._workers, self._device, self._address = workers, device, address
        self._sent: dict[str, Any] = {}
        self.description = f"on the Dask cluster at {address}"

    @property
    def capacity(self) -> int:
        with self._reachable():
            return self._workers or max(1, len(self._client.nthreads()))

    def submit(self, task: Task, material: Material) -> Future[Outcome]:
        with self._reachable():
            self._client.wait_for_workers(1)  # all may be gone, and others on their way
            sent = self._sent.get(material.key)
            if sent is None or sent.status != "finished":  # new, or lost with all its holders
                sent = self._client.scatter(material, broadcast=True, hash=False)
                self._sent[material.key] = sent
            future: Future[Outcome] = self._submit(
                _run_one_at_a_time, _sent(task, self._device), sent
            )
        return future

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            if self._client.status != "running":
                raise OSError("the connection was closed")
            yield
        except (OSError, TimeoutError) as error:
            raise UserError(
                f"the Dask scheduler at {self._address} is gone ({error}); what was finished is "
                "kept; run the same command again when it is back"
            ) from error

    def close(self) -> None:
        self._client.close()


_alone = threading.Lock()


def _run_one_at_a_time(task: Task, material: Material) -> Outcome:
    """Torch's streams of random numbers belong to the process, whatever threads a worker has."""
    with _alone:
        return run_task(task, material)


class Ray(Engine):
    """The processes of a Ray cluster, or of a local one made for the occasion.

    Data is kept once a machine, results come back here; the machines need this package, and no
    directory in common.
    """

    sees_files = False

    def __init__(self, address: str | None, workers: int | None, threads: int, device: str) -> None:
        """
        Args:
            address: ``auto``, ``HOST:6379`` or ``ray://HOST:10001``; None starts a cluster here.
            workers: cells at a time; None for as many as the cluster has processors for.
            threads: of each cell.
            device: of every process; ``cuda`` asks Ray for a GPU for each cell.

        Raises:
            UserError: Ray is not installed, or nobody answers there.
        """
        try:
            import ray
        except ImportError as error:
            raise lacking("--executor ray", "ray") from error
        try:
            ray.init(address=address or "local", log_to_driver=False, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"--address {address}: no Ray cluster answers ({error})") from error
        lost = ray.exceptions
        self.lost = (
            lost.WorkerCrashedError,
            lost.NodeDiedError,
            lost.LocalRayletDiedError,
            lost.OutOfMemoryError,
            lost.ObjectLostError,
        )
        self._ray, self._workers, self._threads = ray, workers, threads
        self._device = device
        self._run = ray.remote(
            num_cpus=threads, num_gpus=0 if device == "cpu" else 1, max_retries=0
        )(run_task)
        self._sent: dict[str, Any] = {}
        self.description = (
            "on a Ray cluster made here" if address is None else f"on Ray at {address}"
        )

    @property
    def capacity(self) -> int:
        resources = self._ray.cluster_resources()
        places = int(resources.get("CPU", 1)) // self._threads
        if self._device != "cpu":
            places = min(places, int(resources.get("GPU", 0)))
        return self._workers or max(1, places)

    def submit(self, task: Task, material: Material) -> Future[Outcome]:
        if material.key not in self._sent:
            self._sent[material.key] = self._ray.put(material)
        reference = self._run.remote(_sent(task, self._device), self._sent[material.key])
        future: Future[Outcome] = reference.future()
        return future

    def close(self) -> None:
        self._ray.shutdown()

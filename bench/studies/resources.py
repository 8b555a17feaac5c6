"""What a run may use: processes, threads, GPUs, a cluster."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from bench.errors import UserError
from bench.studies import executors

Executor = Literal["here", "dask", "ray"]


@dataclass(frozen=True)
class Resources:
    """What a run may use; impossible or contradictory ones are refused when they are put together.

    Attributes:
        workers: cells at a time; None for as many as there are processors, or workers of a cluster.
        threads: of each cell.
        device: ``cpu``, ``cuda`` or ``cuda:NUMBER``.
        gpus: numbers of several GPUs of this machine, in place of ``device`` and ``workers``.
        cells_per_gpu: at a time; None for one.
        executor: this machine, or a cluster.
        address: of the cluster; without, Ray starts one here.
    """

    workers: int | None = None
    threads: int = 1
    device: str = "cpu"
    gpus: tuple[int, ...] = ()
    cells_per_gpu: int | None = None
    executor: Executor = "here"
    address: str | None = None

    def __post_init__(self) -> None:
        for name in ("workers", "threads", "cells_per_gpu"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value}: must be at least 1")
        if self.executor not in get_args(Executor):
            known = ", ".join(get_args(Executor))
            raise UserError(f"--executor {self.executor}: expected one of {known}")
        if self.executor == "here" and self.address is not None:
            raise UserError("--address: goes with --executor dask or ray")
        if self.gpus:
            self._check_gpus()
        else:
            self._check_device()

    def _check_device(self) -> None:
        if self.cells_per_gpu is not None:
            raise UserError("--cells-per-gpu: of which GPUs? give --gpus too, such as --gpus 0,1")
        if not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise UserError(f"--device {self.device}: expected cpu, cuda or cuda:NUMBER")
        # A cluster may have GPUs where this machine has none.
        if self.executor == "here" and self.device != "cpu":
            _check_gpu(f"--device {self.device}", int(self.device[5:] or 0))

    def _check_gpus(self) -> None:
        if self.executor != "here" or self.device != "cpu" or self.workers is not None:
            raise UserError(
                "--gpus: goes with none of --device, --workers (see --cells-per-gpu) and --executor"
            )
        for gpu in self.gpus:
            _check_gpu(f"--gpus {','.join(map(str, self.gpus))}", gpu)

    @property
    def devices(self) -> list[str]:
        """The device of each cell that runs at a time on this machine."""
        if self.gpus:
            gpus = sorted(set(self.gpus))
            return [f"cuda:{gpu}" for _ in range(self.cells_per_gpu or 1) for gpu in gpus]
        if self.executor != "here":
            device = self.device if torch.cuda.is_available() else "cpu"
            return [device] * (self.workers or 1)
        cells = 1 if self.device != "cpu" else os.cpu_count() or 1
        return [self.device] * (self.workers or cells)

    def engine(self) -> executors.Engine:
        """Where cells run; to be closed.

        Raises:
            UserError: the cluster is not there.
        """
        if self.executor == "dask":
            return executors.Dask(self.address, self.workers, self.device)
        if self.executor == "ray":
            return executors.Ray(self.address, self.workers, self.threads, self.device)
        if self.devices == ["cpu"]:
            return executors.Here("cpu")
        return executors.Processes(self.devices, self.threads)


def parse_gpus(text: str) -> tuple[int, ...]:
    """``0,1`` as numbers.

    Raises:
        UserError: they are none.
    """
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise UserError(f"--gpus {text}: expected numbers, such as 0,1")
    return tuple(int(number) for number in text.split(","))


def _check_gpu(option: str, gpu: int) -> None:
    if not torch.cuda.is_available():
        raise UserError(f"{option}: this torch sees no GPU; leave it out to train on the CPU")
    if gpu >= torch.cuda.device_count():
        raise UserError(f"{option}: GPU {gpu} is not among the {torch.cuda.device_count()} here")

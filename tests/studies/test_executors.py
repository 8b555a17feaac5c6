"""Wherever cells run, and whatever dies meanwhile, the numbers are the same."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import weakref
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch
from support.cells import CELLS, MATERIAL, cell_of, killer_plugin, numbers, work_of

from bench import grid, grid_run
from bench.errors import UserError
from bench.grid_options import parser
from bench.registry import load_plugin
from bench.studies import executors, run_cell
from bench.studies.run_cell import Outcome, Task
from bench.training import loop


@pytest.fixture(scope="module")
def undisturbed():
    return numbers(executors.run(work_of(CELLS), executors.Here("cpu")))


def in_processes(work, count=2):
    engine = executors.Processes(["cpu"] * count, 1)
    with contextlib.closing(engine):
        return list(executors.run(work, engine))


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    with killer_plugin(tmp_path_factory.mktemp("plugin")) as path:
        yield path


def test_processes_give_the_numbers_of_one(undisturbed):
    assert numbers(in_processes(work_of(CELLS))) == undisturbed


def test_cells_whose_processes_die_are_tried_again_three_times_in_all(
    undisturbed, killer, tmp_path
):
    poison = {}
    for times in (2, 3):
        (tmp_path / str(times)).mkdir()
        poison[times] = cell_of("killer", folder=str(tmp_path / str(times)), times=times)
    outcomes = in_processes(work_of([*poison.values(), *CELLS], (killer,)))
    fates = {times: next(o for o in outcomes if o.cell == poison[times]) for times in poison}
    others = [outcome for outcome in outcomes if outcome.cell not in poison.values()]
    assert numbers(others) == undisturbed  # their neighbours do not even notice
    assert [len(list((tmp_path / str(times)).iterdir())) for times in poison] == [2, 3]
    assert fates[2].result is not None, fates[2].error
    assert "its worker died 3 times" in fates[3].error
    assert "--workers" in fates[3].error


def test_a_worker_that_dies_idle_is_replaced(undisturbed):
    engine = executors.Processes(["cpu"], 1)
    with contextlib.closing(engine):
        first = list(executors.run(work_of(CELLS[:1]), engine))
        (pid,) = engine._slots[0]._pool._processes
        os.kill(pid, signal.SIGKILL)
        rest = list(executors.run(work_of(CELLS[1:]), engine))
    assert numbers(first + rest) == undisturbed


def test_a_plugin_is_the_same_code_wherever_it_lies(tmp_path):
    digests = set()
    for name in ("aaa", "zzz"):
        (tmp_path / name).mkdir()
        with killer_plugin(tmp_path / name):
            digests.add(run_cell.code_digest(cell_of("killer")))
    assert len(digests) == 1


def test_code_that_is_edited_while_it_runs_is_what_was_loaded(tmp_path):
    with killer_plugin(tmp_path) as path:
        before = run_cell.code_digest(cell_of("killer"))
        Path(path).write_text(Path(path).read_text() + "EDITED = True\n")
        assert run_cell.code_digest(cell_of("killer")) == before
        load_plugin(path)
        assert run_cell.code_digest(cell_of("killer")) != before


def test_a_worker_does_not_outlive_its_coordinator():
    script = (
        "import os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from bench.studies import warm\n"
        "pool = ProcessPoolExecutor(1, warm.Workers(), warm.begin, (1, dict(os.environ)))\n"
        "sleep = pool.submit(time.sleep, 600)\n"
        "print(*pool._processes, flush=True)\n"
        "sleep.result()\n"
    )
    coordinator = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    orphan = Path("/proc", str(int(coordinator.stdout.readline())), "stat")
    coordinator.kill()
    coordinator.wait()
    deadline = time.monotonic() + 20
    while orphan.exists() and orphan.read_text().split()[2] != "Z":  # a zombie has ended
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.2)


def test_a_worker_with_other_code_refuses():
    cell = cell_of()
    task = Task(cell, "other code", 1)
    outcome = run_cell.run_task(task, MATERIAL)
    assert outcome.result is None
    assert "other code" in outcome.error


@pytest.mark.parametrize("times", [1, 2])
def test_a_gpu_that_is_full_is_tried_once_more_with_smaller_pieces(undisturbed, monkeypatch, times):
    """No GPU needed: the first evaluations report what torch would."""
    pieces, models = [], []

    def rank_predictions(tried, *arguments, **options):
        pieces.append(options["cut"])
        models.append(weakref.ref(tried[0]))
        if len(pieces) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert models[0]() is None  # what the first try held is free
        return original(tried, *arguments, **options)

    original = loop.rank_predictions
    for module in (loop, run_cell):
        monkeypatch.setattr(module, "rank_predictions", rank_predictions)
    ((task, material),) = work_of(CELLS[:1])
    outcome = run_cell.run_task(task, material)
    if times == 1:
        key = outcome.cell.key
        assert numbers([outcome])[key] == undisturbed[key]
        assert pieces == [1, *[8] * 5]  # three epochs, and two rankings of the test
    else:
        assert outcome.error.startswith("out of GPU memory, twice")
        assert "--cells-per-gpu" in outcome.error


def resources_of(*given):
    return grid_run._resources(parser().parse_args(["--all", *map(str, given)]))


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_each_cell_is_told_its_gpu(two_gpus):
    assert resources_of("--gpus", "0,1", "--cells-per-gpu", 2).devices == [
        "cuda:0", "cuda:1", "cuda:0", "cuda:1"
    ]  # fmt: skip
    assert resources_of("--gpus", "1").devices == ["cuda:1"]
    assert resources_of("--device", "cuda", "--workers", 3).devices == ["cuda"] * 3


@pytest.mark.parametrize(
    "given, message",
    [
        (["--gpus", "0,x"], "expected numbers"),
        (["--gpus", "0,2"], "GPU 2 is not among the 2 here"),
        (["--gpus", "0", "--workers", "2"], "--cells-per-gpu"),
        (["--gpus", "0", "--executor", "ray"], "goes with none of"),
        (["--cells-per-gpu", "2"], "give --gpus too"),
        (["--device", "tpu"], "expected cpu, cuda"),
        (["--address", "tcp://x:1"], "goes with --executor"),
    ],
)
def test_impossible_gpus_are_one_clear_error(two_gpus, given, message):
    with pytest.raises(UserError, match=message):
        resources_of(*given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("given", [["--gpus", "0"], ["--device", "cuda"]])
def test_without_a_gpu_there_is_one_clear_error(given, capsys):
    assert grid.main(["--all", *given]) == 2
    assert capsys.readouterr().err.count("this torch sees no GPU") == 1


class FakePool:
    """In place of a process: says where it would have trained."""

    def submit(self, function, task, material):
        future = Future()
        future.set_result(Outcome(task.cell, None, task.device))
        return future

    def shutdown(self, **options):
        pass


def test_each_slot_trains_on_its_own_device(monkeypatch):
    monkeypatch.setattr(executors._Slot, "_start", lambda slot: FakePool())
    engine = executors.Processes(["cuda:0", "cuda:1", "cuda:0"], 1)
    ((task, material),) = work_of(CELLS[:1])
    said = [slot.submit(task, material).result().error for slot in engine._slots]
    assert said == ["cuda:0", "cuda:1", "cuda:0"]

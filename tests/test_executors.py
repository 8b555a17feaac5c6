"""Wherever cells run, and whatever dies meanwhile, the numbers are the same."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from cells import CELLS, MATERIAL, cell_of, killer_plugin, numbers, work_of

from bench import executors, grid, worker
from bench.worker import Outcome, Task


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


@pytest.mark.parametrize("times, survives", [(2, True), (3, False)])
def test_a_cell_whose_process_dies_is_tried_again(undisturbed, killer, tmp_path, times, survives):
    poison = cell_of("killer", folder=str(tmp_path), times=times)
    outcomes = in_processes(work_of([poison, *CELLS], (killer,)))
    (fate,) = [outcome for outcome in outcomes if outcome.cell == poison]
    others = [outcome for outcome in outcomes if outcome.cell != poison]
    assert numbers(others) == undisturbed  # its neighbours do not even notice
    assert len(list(tmp_path.iterdir())) == times
    if survives:
        assert fate.result is not None, fate.error
    else:
        assert "its worker died 3 times" in fate.error
        assert "--workers" in fate.error


def test_a_worker_does_not_outlive_its_coordinator():
    script = (
        "import os, time\n"
        "from joblib.externals.loky import ProcessPoolExecutor\n"
        "from bench import executors\n"
        "def forever():\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(600)\n"
        "pool = ProcessPoolExecutor(1, initializer=executors._begin, initargs=(os.getpid(),))\n"
        "pool.submit(forever).result()\n"
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
    outcome = worker.run_task(task, MATERIAL)
    assert outcome.result is None
    assert "other code" in outcome.error


@pytest.mark.parametrize("times", [1, 2])
def test_a_gpu_that_is_full_is_tried_once_more_with_smaller_pieces(undisturbed, monkeypatch, times):
    """No GPU needed: the first evaluations report what torch would."""
    calls = []

    def rank_users(*arguments, **options):
        calls.append(1)
        if len(calls) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(*arguments, **options)

    import bench.training

    original = bench.training.rank_users
    monkeypatch.setattr(bench.training, "rank_users", rank_users)
    ((task, material),) = work_of(CELLS[:1])
    outcome = worker.run_task(task, material)
    if times == 1:
        key = outcome.cell.key
        assert numbers([outcome])[key] == undisturbed[key]
    else:
        assert outcome.error.startswith("out of GPU memory, twice")
        assert "--cells-per-gpu" in outcome.error


def options_of(*given):
    return grid._parser().parse_args(["--all", *map(str, given)])


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_each_cell_is_told_its_gpu(two_gpus):
    assert grid._devices(options_of("--gpus", "0,1", "--cells-per-gpu", 2)) == [
        "cuda:0", "cuda:1", "cuda:0", "cuda:1"
    ]  # fmt: skip
    assert grid._devices(options_of("--gpus", "1")) == ["cuda:1"]
    assert grid._devices(options_of("--device", "cuda", "--workers", 3)) == ["cuda"] * 3


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
    with pytest.raises(grid.UserError, match=message):
        grid._devices(options_of(*given))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("given", [["--gpus", "0"], ["--device", "cuda"]])
def test_without_a_gpu_there_is_one_clear_error(given, capsys):
    assert grid.main(["--all", *given]) == 2
    assert capsys.readouterr().err.count("this torch sees no GPU") == 1


def seen_device(task, material):
    time.sleep(0.2)
    return Outcome(task.cell, None, task.device)


def test_devices_are_given_out_evenly(monkeypatch):
    monkeypatch.setattr(executors, "run_task", seen_device)
    outcomes = []
    engine = executors.Processes(["cuda:0", "cuda:1"], 1)
    with contextlib.closing(engine):
        outcomes = list(executors.run(work_of(CELLS[:4]), engine))
    assert sorted({outcome.error for outcome in outcomes}) == ["cuda:0", "cuda:1"]

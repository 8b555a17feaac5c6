"""Cells on a Dask or Ray cluster: real schedulers and worker processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from support.cells import CELLS, ROOT, cell_of, killer_plugin, numbers, work_of

from bench import grid
from bench.errors import UserError
from bench.studies import executors


def launch(*command):
    """A process in a group of its own, to be killed as one."""
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def undisturbed():
    return numbers(executors.run(work_of(CELLS), executors.Here("cpu")))


class Cluster:
    """A Dask scheduler and two workers, without a directory in common."""

    def __init__(self, folder):
        self.folder, file = folder, folder / "scheduler.json"
        self.scheduler = launch(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard",
            "--scheduler-file", file,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self.file, self.workers = file, []

    @property
    def address(self):
        return json.loads(self.file.read_text())["address"]

    def add_worker(self):
        scratch = self.folder / f"worker-{len(self.workers)}"
        scratch.mkdir()
        self.workers.append(launch(
            "distributed.cli.dask_worker", self.address, "--nthreads", 1, "--no-nanny",
            "--no-dashboard", "--local-directory", scratch,
        ))  # fmt: skip

    def close(self):
        for process in [*self.workers, self.scheduler]:
            kill(process)


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")
    with contextlib.closing(Cluster(tmp_path)) as cluster:
        for _ in range(2):
            cluster.add_worker()
        yield cluster


@contextlib.contextmanager
def a_cell_that_kills_its_worker_once(folder):
    """Work with such a cell in its midst, and the numbers that it should come to."""
    kills = folder / "kills"
    kills.mkdir()
    with killer_plugin(folder) as plugin:
        cells = [*CELLS[:3], cell_of("killer", folder=str(kills), times=1), *CELLS[3:]]
        work = work_of(cells, (plugin,))
        (kills / "none").touch()
        expected = numbers(executors.run(work, executors.Here("cpu")))
        (kills / "none").unlink()
        yield work, expected
        assert [path.name for path in kills.iterdir()] == ["0"]


def test_dask_gives_the_numbers_of_one_process_while_a_worker_is_killed(cluster, tmp_path):
    with (
        a_cell_that_kills_its_worker_once(tmp_path) as (work, expected),
        contextlib.closing(executors.Dask(cluster.address, None, "cpu")) as engine,
    ):
        outcomes = list(executors.run(work, engine))
    assert numbers(outcomes) == expected
    assert sum(process.poll() is None for process in cluster.workers) == 1


@pytest.mark.slow
def test_dask_goes_on_when_every_worker_was_lost_and_another_comes(undisturbed, cluster):
    with contextlib.closing(executors.Dask(cluster.address, 2, "cpu")) as engine:
        running = executors.run(work_of(CELLS), engine)
        outcomes = [next(running)]
        for process in cluster.workers:
            kill(process)
        cluster.add_worker()
        outcomes += running
    assert numbers(outcomes) == undisturbed


@pytest.mark.slow
def test_dask_says_that_its_scheduler_is_gone(cluster):
    with contextlib.closing(executors.Dask(cluster.address, 2, "cpu")) as engine:
        running = executors.run(work_of(CELLS), engine)
        next(running)
        kill(cluster.scheduler)
        with pytest.raises(UserError, match="run the same command again"):
            list(running)


@pytest.mark.slow
def test_a_grid_on_dask_writes_here_alone(cluster, tmp_path, monkeypatch):
    home, tasks = tmp_path / "home", []

    def submit(engine, task, material):
        tasks.append(task)
        return original(engine, task, material)

    original = executors.Dask.submit
    monkeypatch.setattr(executors.Dask, "submit", submit)
    assert grid.main([
        "--preset", "smoke", "--backbones", "gru4rec", "--samplers", "uniform", "dns",
        "--set", "dim=8", "window=8", "N=10", "--results", str(home / "results"),
        "--reports", str(home / "reports"), "--executor", "dask", "--address", cluster.address,
    ]) == 0  # fmt: skip
    assert len(list((home / "results/smoke/cells").glob("[!.]*/cell.json"))) == 2
    assert len(tasks) == 2
    assert all(task.progress is None and task.checkpoint is None for task in tasks)


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_one_clear_error(capsys):
    pytest.importorskip("distributed", reason="Dask is not installed (extra: dask)")
    with pytest.raises(UserError, match="no Dask scheduler"):
        executors.Dask("tcp://127.0.0.1:9", None, "cpu")
    with pytest.raises(UserError, match="give the scheduler's --address"):
        executors.Dask(None, None, "cpu")


@pytest.mark.slow
def test_ray_gives_the_numbers_of_one_process_while_a_worker_is_killed(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed (extra: ray)")
    with (
        a_cell_that_kills_its_worker_once(tmp_path) as (work, expected),
        contextlib.closing(executors.Ray(None, 2, 1, "cpu")) as engine,
    ):
        outcomes = list(executors.run(work, engine))
    assert numbers(outcomes) == expected

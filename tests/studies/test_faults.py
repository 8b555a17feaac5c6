"""What goes wrong on real machines, done for real: processes killed, disks filled, bits flipped.

After each fault: nothing finished is lost, nothing half-written counts as finished, the same
command completes the study, and its numbers are those of an undisturbed run.  The terminal summary
shows each fault with what was done and found.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.grid import (
    children,
    clean_environment,
    command,
    fork_servers_of,
    grid,
    numbers,
    records,
    start,
)

from bench.studies.log import Log
from bench.studies.store import Store

pytestmark = pytest.mark.slow

PLUGIN = """
import time
import bench.training.checkpoint
import bench.training.loop

bench.training.checkpoint.EVERY_S = 0.0  # a checkpoint every epoch

_epoch = bench.training.loop.Trainer.epoch

def slow(self, epoch):
    time.sleep(0.1)
    return _epoch(self, epoch)

bench.training.loop.Trainer.epoch = slow
"""
"""A cell takes some seconds, so that a random moment falls into the middle of one."""

STUDY = [
    "--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "sasrec",
    "--set", "dim=8", "window=8", "N=10", "epochs=12", "patience=12",
    "--samplers", "uniform", "srns", "adasir", "mdcns", "--seeds", "2", "--plugin", "slow_cells.py",
]  # fmt: skip
N_CELLS = 8


@pytest.fixture
def found(record_property):
    """Records a row of the table of faults."""
    return lambda fault, done, seen: record_property("fault", (fault, done, seen))


def prepared(folder):
    folder.mkdir(exist_ok=True)
    (folder / "slow_cells.py").write_text(PLUGIN)
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = prepared(tmp_path_factory.mktemp("undisturbed"))
    run = grid(folder, *STUDY, "--workers", 2)
    assert run.returncode == 0, run.stderr
    stored = numbers(folder)
    assert len(stored) == N_CELLS
    return stored


def finish(folder, undisturbed, *options):
    """The same command once more: it completes the study, to the same numbers."""
    run = grid(folder, *STUDY, *options)
    assert run.returncode == 0, run.stderr
    assert numbers(folder) == undisturbed
    assert Store(folder / "results/smoke").frame().shape[0] == N_CELLS
    return run


def stamps(folder):
    """Of every file of every finished cell."""
    cells = Path(folder, "results/smoke/cells")
    return {path: path.stat().st_mtime_ns for path in cells.glob("[!.]*/*")}


def workers_of(process):
    """Process ids of the workers of a run: forks of a process that it has started."""
    return [pid for server in fork_servers_of(process) for pid in children(server)]


def end(process):
    """Wait until nothing is left of a run: whatever holds its output open is an orphan of it."""
    try:
        process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGABRT)
        pytest.fail(f"it does not end: {process.communicate()}")


def start_training(folder):
    """A run of the study that has begun to train."""
    log = folder / "results/smoke/log.jsonl"
    begun = len(log.read_text().splitlines()) if log.exists() else 0
    process = start(folder, *STUDY, "--workers", 2)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and len(log.read_text().splitlines()) > begun:
            break
        time.sleep(0.05)
    return process


def kill(process, kind, rng):
    """Kill a run in some way; whether there was something to kill."""
    if kind == "worker":
        workers = workers_of(process)
        if not workers:
            return False
        os.kill(rng.choice(workers), signal.SIGKILL)
    elif kind == "coordinator":
        process.kill()
    elif kind == "both":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGINT)
    return True


KILLS = 50


def test_fifty_kills_at_random_moments(undisturbed, tmp_path, found, monkeypatch):
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")  # where it stands, should it not end
    rng = random.Random(0)
    kills = {"worker": 0, "coordinator": 0, "both": 0, "ctrl-c": 0}
    studies, kept, resumed = 0, 0, 0
    folder = None
    while sum(kills.values()) < KILLS:
        if folder is None:
            studies += 1
            folder = prepared(tmp_path / f"study-{studies}")
        before = stamps(folder)
        process = start_training(folder)
        for _ in range(rng.randint(1, 3)):
            time.sleep(rng.uniform(0, 10))
            if process.poll() is not None:
                break
            kind = rng.choice(list(kills))
            if not kill(process, kind, rng):
                continue
            kills[kind] += 1
            if kind != "worker":
                break
        else:
            if rng.random() < 0.5:  # let a run that lost only workers come to its end
                process.communicate(timeout=240)
            elif process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        end(process)
        after = stamps(folder)
        assert {path: after.get(path) for path in before} == before  # nothing finished is lost
        kept += len(before) // 4  # files of a cell
        partial = numbers(folder)
        assert partial == {key: undisturbed[key] for key in partial}  # nor half-written
        resumed += len(list((folder / "results/smoke/.checkpoints").glob("[!.]*")))
        if len(partial) == N_CELLS:
            finish(folder, undisturbed)
            folder = None
    if folder is not None:
        finish(folder, undisturbed)
    assert min(*kills.values(), kept, resumed) > 0
    shown = ", ".join(f"{count} × {kind}" for kind, count in kills.items())
    found(
        "kill at a random moment",
        f"{sum(kills.values())} in {studies} studies: {shown}",
        f"{kept} times a finished cell was untouched, {resumed} times one went on from a "
        "checkpoint; all numbers equal",
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(undisturbed, small_disk, tmp_path, workers, found):
    (small_disk / "results").mkdir()
    (small_disk / "ballast").write_bytes(b"\0" * 290_000)
    home = prepared(tmp_path / "home")
    (home / "results").symlink_to(small_disk / "results")
    run = grid(home, *STUDY, "--workers", workers)
    assert run.returncode == 2, run.stderr
    assert "No space left on device" in run.stderr
    assert "Traceback" not in run.stderr
    partial = numbers(home)
    assert partial == {key: undisturbed[key] for key in partial}
    assert 0 < len(partial) < N_CELLS
    before = stamps(home)
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    finish(home, undisturbed, "--workers", workers)
    assert {path: stamps(home)[path] for path in before} == before
    found(
        "full disk",
        f"a 400 kB tmpfs, {workers} workers",
        f"one error naming it, {len(partial)} finished cells kept; completed after making room",
    )


def test_a_read_only_directory(small_disk, tmp_path, found):
    home = prepared(tmp_path / "home")
    (home / "results").symlink_to(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    run = grid(home, *STUDY)
    assert run.returncode == 2
    assert run.stderr.count("cannot be written") == 1
    assert "Traceback" not in run.stderr
    assert "training" not in run.stderr
    found("read-only results", "a tmpfs mounted ro", "one error before training, exit status 2")


def test_flipped_bits_and_cut_files(undisturbed, tmp_path, found):
    rng = random.Random(1)
    folder = prepared(tmp_path / "home")
    finish(folder, undisturbed, "--workers", 2)
    cells = sorted(Path(folder, "results/smoke/cells").glob("[!.]*"))
    damaged, store = 0, Store(folder / "results/smoke")
    for _ in range(200):
        path = rng.choice(sorted(rng.choice(cells).iterdir()))
        content = path.read_bytes()
        if rng.random() < 0.7:
            bit = rng.randrange(8 * len(content))
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
        else:
            changed = content[: rng.randrange(len(content))]
        path.write_bytes(changed)
        assert path.parent.name not in {record.key for record in store.records()}
        damaged += 1
        path.write_bytes(content)
    victims = rng.sample(cells, 2)
    (victims[0] / "cell.json").write_bytes((victims[0] / "cell.json").read_bytes()[:-200])
    content = bytearray((victims[1] / "ranks.npz").read_bytes())
    content[len(content) // 2] ^= 4
    (victims[1] / "ranks.npz").write_bytes(content)
    run = finish(folder, undisturbed, "--workers", 2)
    assert "6 done, 2 broken" in run.stdout
    found(
        "bit flipped, file cut off",
        f"{damaged} random ones, one at a time",
        "each was noticed; broken cells are named and trained again to the same numbers",
    )


JUMPING = """
import itertools, random, runpy, sys, time

_time, _rng, _count = time.time, random.Random(0), itertools.count()

def jumping():
    return _time() + _rng.choice([-1, 0, 1]) * 86400 * 365

time.time = jumping
sys.argv = ["bench.grid", *sys.argv[1:]]
runpy.run_module("bench.grid", run_name="__main__")
"""


def test_a_clock_that_jumps(undisturbed, tmp_path, found):
    folder = prepared(tmp_path / "home")
    (folder / "jumping.py").write_text(JUMPING)
    words = command(folder, *STUDY, "--workers", 2)
    run = subprocess.run(
        [sys.executable, "jumping.py", *words[3:]], cwd=folder, env=clean_environment(),
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert numbers(folder) == undisturbed
    log = Log(Store(folder / "results/smoke"))
    log.event("start", workers=1, threads=1, estimates={"missing": 10.0})
    with log._path.open("a") as file:  # and a run begun in what is now the future
        file.write('{"time": "2999-01-01T00:00:00+00:00", "event": "start", "workers": 1, '
                   '"estimates": {"missing": 10.0}}\n')  # fmt: skip
    status = subprocess.run(
        [sys.executable, "-m", "bench.grid", "status", "smoke"], cwd=folder,
        env=clean_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert status.returncode == 0, status.stderr
    assert "8 done" in status.stdout
    found("clock that jumps", "years back and forth at every reading", "completed, numbers equal")


def test_two_coordinators(undisturbed, tmp_path, found):
    folder = prepared(tmp_path / "home")
    both = [start(folder, *STUDY, "--workers", 2) for _ in range(2)]
    said = [process.communicate(timeout=240) for process in both]
    assert {process.returncode for process in both} <= {0, 1}, said
    done = sum(errors.count("] done ") for _, errors in said)
    assert done == N_CELLS  # each cell by one of them
    assert all("Traceback" not in errors for _, errors in said)
    finish(folder, undisturbed)
    shared = sum(errors.count("another run is at it") > 0 for _, errors in said)
    found("two coordinators", "started at once", f"no cell twice; {shared} said who had the rest")


HUNGRY = """
import os, resource
import torch
import samplers

@samplers.register("hungry")
class Hungry(samplers.Sampler):
    '''Wants a terabyte.'''
    def sample(self, views):
        return [samplers.Negatives(ids=torch.ones((10**12 // 8,), dtype=torch.int64))]

@samplers.register("killed")
class Killed(samplers.Sampler):
    '''Dies in the middle, as the kernel's out-of-memory killer would have it.'''
    steps = 0
    def sample(self, views):
        self.steps += 1
        if self.steps == 12:
            os.kill(os.getpid(), 9)
        return [samplers.Negatives(ids=view.pool(1)) for view in views]

@samplers.register("nan")
class Nan(samplers.Sampler):
    '''Makes the loss infinite, from the second step on.'''
    share = 1.0
    def sample(self, views):
        vectors = self.share * views[0].embed(views[0].pool(1))
        self.share = 1e38
        return [samplers.Negatives(vectors=vectors)]
"""


def test_cells_that_run_out_of_memory_or_diverge(tmp_path, found):
    folder = prepared(tmp_path / "home")
    (folder / "bad.py").write_text(HUNGRY)
    run = grid(
        folder, "--preset", "smoke", "--backbones", "sasrec", "--set", "dim=8", "N=10",
        "--samplers", "uniform", "hungry", "killed", "nan", "dns", "--plugin", "bad.py",
        "--workers", 2,
    )  # fmt: skip
    assert run.returncode == 1
    said = [line for line in run.stderr.splitlines() if line.startswith("failed: ")]
    assert len(said) == 3
    for name, reason in [("hungry", "memory"), ("killed", "its worker died 3 times"),
                         ("nan", "training diverged")]:  # fmt: skip
        (line,) = [line for line in said if f"/{name}/" in line]
        assert reason in line, line
    kept = {record["config"]["sampler"]["name"] for record in records(folder).values()}
    assert kept == {"uniform", "dns"}
    found("memory runs out in a cell", "an allocation of 1 TB", "that cell failed, others done")
    found("kernel kills for memory", "SIGKILL in every try", "failed after 3 tries, others done")
    found(
        "loss is not a number",
        "vectors of 1e36",
        "that cell failed at its first epoch, others done",
    )

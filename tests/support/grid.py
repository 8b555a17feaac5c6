"""The grid as a user runs it, in a process of its own, and what it has stored."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.grid import main
from support import forked

ROOT = Path(__file__).resolve().parent.parent.parent


SMALL = [
    "--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "sasrec",
    "--set", "dim=8", "window=8", "N=10",
]  # fmt: skip


def grid(folder, *arguments):
    """Run ``python -m bench.grid`` with results under ``folder``."""
    return forked.run(command(folder, *arguments)[1:], folder, clean_environment())


def command(folder, *arguments):
    return [
        sys.executable, "-m", "bench.grid", "--results", f"{folder}/results",
        "--reports", f"{folder}/reports", *map(str, arguments),
    ]  # fmt: skip


def clean_environment():
    kept = {name: value for name, value in os.environ.items() if name != "BENCH_DATA"}
    return kept | {"PYTHONPATH": str(ROOT)}


def records(folder, study="smoke"):
    paths = sorted(Path(folder, "results", study, "cells").glob("[!.]*/cell.json"))
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def numbers(folder):
    """What must not depend on how the grid was run."""
    return {
        key: (record["metrics"], record["buckets"], record["best_epoch"])
        for key, record in records(folder).items()
    }


def start(folder, *arguments):
    return subprocess.Popen(
        command(folder, *arguments),
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def fork_servers_of(process):
    """Process ids of what its workers are forks of."""
    return [pid for pid in children(process.pid) if b"forkserver" in told(pid, "cmdline")]


def children(pid):
    return [int(child) for child in told(pid, f"task/{pid}/children").split()]


def told(pid, what):
    """What the kernel tells of a process; nothing when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/{what}").read_bytes()
    return b""


def wait_for_cells(folder, count):
    deadline = time.monotonic() + 120
    while len(records(folder)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_process(folder, *arguments):
    """Exit status and standard error of the command, without a new process."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(
                ["--results", f"{folder}/results", "--reports", f"{folder}/reports", *arguments]
            )
        except SystemExit as stop:  # argparse's own checks
            status = stop.code
    return status, errors.getvalue()

"""Commands in processes of their own that need not load torch and matplotlib, which takes seconds.

A process that has loaded them waits, and each command is a fork of it: with its own directory,
environment, streams and exit, and nothing that one does is seen by another.  What a fresh
interpreter does first (reading ``$PYTHONUTF8``, say) has been done: who tests that, or what is
loaded when, starts one.  Figures of their reports are sketches.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.datasets import resolve_dataset

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST = 1 << 17
"""Bytes of a request, most of them its environment."""

LOADED = ("bench.grid_run", "bench.reports.writing")
"""What takes long to import."""
DRAWN = "beauty-twin"
"""What most commands train on: a twin is drawn once a process."""


def run(words, cwd, environment, timeout=240):
    """As `subprocess.run` with ``[sys.executable, *words]``: ``-m MODULE ...`` or ``SCRIPT ...``.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    words = [str(word) for word in words]
    request = json.dumps({"words": words, "cwd": str(cwd), "environment": environment}).encode()
    assert len(request) < LONGEST
    theirs, ours = os.pipe()
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as errors,
        open(theirs, encoding="ascii") as said,
    ):
        socket.send_fds(_waiting(), [request], [out.fileno(), errors.fileno(), ours])
        os.close(ours)
        pid = int(said.readline())
        if not select.select([said], [], [], timeout)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            said.readline()  # it has ended
            raise subprocess.TimeoutExpired(words, timeout)
        status = int(said.readline())
        texts = []
        for file in (out, errors):
            file.seek(0)
            texts.append(file.read())
    return subprocess.CompletedProcess(words, status, *texts)


@functools.cache
def _waiting():
    """The socket of the process that waits; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, "-c", f"from support.forked import serve; serve({theirs.fileno()})"],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    return ours


def serve(number):
    """Wait for requests on this socket, and become one in each fork."""
    for module in LOADED:
        importlib.import_module(module)
    resolve_dataset(DRAWN, None)
    path = [each for each in sys.path if each not in ("", str(ROOT), str(ROOT / "tests"))]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that watch
    with socket.socket(fileno=number) as requests:
        while True:
            request, files, _, _ = socket.recv_fds(requests, LONGEST, 3)
            if not request:
                return
            if os.fork() == 0:
                break
            for file in files:
                os.close(file)
    out, errors, status = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid:
        _watch(pid, status)
    os.close(status)
    _become(**json.loads(request), out=out, errors=errors, path=path)


def _watch(pid, status):
    """Tell the command's process id, wait for its end, and tell its exit status."""
    with open(status, "w", encoding="ascii") as told:
        print(pid, file=told, flush=True)
        _, how = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(how), file=told, flush=True)
    os._exit(0)


def _become(words, cwd, environment, out, errors, path):
    """Run the command, as ``python WORDS`` would."""
    from support import sketches  # no sooner than what waits: it imports matplotlib

    os.setsid()
    os.chdir(cwd)
    os.dup2(out, 1)
    os.dup2(errors, 2)
    os.environ.clear()
    os.environ.update(environment)
    given = [each for each in environment.get("PYTHONPATH", "").split(":") if each]
    module = words[0] == "-m"
    sys.argv = words[1:] if module else words
    sys.path[:] = [cwd if module else str(Path(cwd, words[0]).parent), *given, *path]
    with sketches.sketched():
        if module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")

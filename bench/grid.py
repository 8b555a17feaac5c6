"""python -m bench.grid: cross samplers, backbones and datasets, train what is missing, report.

Exit status: 0 all cells are finished; 1 some are not (they are named at the end, with the reason:
they failed, or another run is at them); 2 bad input, a directory that cannot be written, a cluster
that is gone; 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.  What was finished is kept.

``python -m bench.grid status STUDY`` says how a study stands; see `bench.studies.status`.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.errors import UserError
from bench.grid_file import parse
from bench.registry import load_plugin
from bench.studies import warm
from bench.terminal import Parser, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _stopped_by(signal.SIGTERM, signal.SIGHUP):
            return _status(given[1:]) if given[:1] == ["status"] else _run(parse(given))
    except UserError as error:
        tell(f"error: {error}", error=True)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        tell(f"error: {error}; make room and run the same command again", error=True)
        return 2
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args else signal.SIGINT
        tell("stopped; run the same command again to continue", error=True)
        return 128 + number


@contextlib.contextmanager
def _stopped_by(*numbers: signal.Signals) -> Iterator[None]:
    """These signals, which schedulers and lost terminals send, stop like Ctrl-C.

    What is ignored (by ``nohup``) stays ignored.
    """

    def stop(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.getsignal(number) for number in numbers}
    if threading.current_thread() is not threading.main_thread():
        before.clear()  # signals are not for other threads
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(options: argparse.Namespace) -> int:
    """List what is registered, or train and report what the options ask for."""
    # Who only asks for help or for names does not wait for all that training and reports load.
    if options.list is not None:
        from bench.studies.listing import described, listing

        for plugin in options.plugin:
            load_plugin(plugin)
        tell("\n\n".join(map(described, options.list)) or listing())
        return 0
    began = time.monotonic()  # a budget pays for what is loaded, too
    workers = (options.workers or os.cpu_count() or 1) if options.executor == "here" else 0
    if workers > 1 and not options.dry_run:
        warm.start()  # it loads beside this process
    from bench import grid_run

    try:
        return grid_run.run(options, began)
    except SystemExit as stop:  # else nothing would be said, and the status could be 0
        *_, last = traceback.extract_tb(stop.__traceback__)
        raise UserError(
            f"{last.filename}, line {last.lineno}: ended the program (SystemExit: {stop.code}); a "
            "component must raise an error in its place"
        ) from stop


def _status(arguments: Sequence[str]) -> int:
    """Say how a study stands."""
    status = Parser(
        prog="python -m bench.grid status",
        description="How a study stands: what is done, running, failed and waiting.",
    )
    status.add_argument("study", nargs="?", default="quick", help="default: quick")
    status.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    options = status.parse_args(arguments)
    from bench.api import Study  # as above

    tell("\n".join(Study(options.study, results=options.results).status()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Lines for whoever started a command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

from bench.errors import UserError


class Parser(argparse.ArgumentParser):
    """Options of a command, of which a mistake is one line, like all other errors."""

    def error(self, message: str) -> NoReturn:
        tell(f"error: {message} (--help shows the options)", error=True)
        self.exit(2)


def positive(text: str) -> int:
    """The type of an option that is a whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1")
    return value


def on_terminal() -> bool:
    """Whether somebody can be asked, and sees the question."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def tell(text: str, *, error: bool = False) -> None:
    """Print a line on standard output, or on standard error; if whoever read it has gone, nothing
    more is told, and what is under way goes on."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:  # closed before we came
        return
    try:
        encoding = stream.encoding or "utf-8"
        # A terminal that is not of UTF-8 shows what it cannot as an escape.
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except BrokenPipeError:
        nobody_reads(stream)


def status_of(command: Callable[[], int], stopped: str = "stopped") -> int:
    """The exit status of a command: 2 and a line for bad input, 130 and a line when it is stopped.

    Args:
        command: does its work; returns its status.
        stopped: what is said when it is stopped by Ctrl-C.
    """
    try:
        return command()
    except UserError as error:
        tell(f"error: {error}", error=True)
        return 2
    except KeyboardInterrupt:
        tell(stopped, error=True)
        return 130


def nobody_reads(stream: TextIO) -> None:
    """Let what is written from now on come to nothing."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())

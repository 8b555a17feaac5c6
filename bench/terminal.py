"""Lines for whoever started a command."""

from __future__ import annotations

import os
import sys
from typing import TextIO


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


def nobody_reads(stream: TextIO) -> None:
    """Let what is written from now on come to nothing."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())

"""Lines for whoever started a command."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def tell(text: str, *, error: bool = False) -> None:
    """Print a line on standard output, or on standard error; if whoever read it has gone, nothing
    more is told, and what is under way goes on."""
    stream = sys.stderr if error else sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        nobody_reads(stream)


def nobody_reads(stream: TextIO) -> None:
    """Let what is written from now on come to nothing."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())

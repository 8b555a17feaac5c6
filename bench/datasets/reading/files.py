"""Files that nobody vouches for: read in pieces, and refused as soon as one passes a limit.

What is wrong is one `UserError` that names the file, the line, the limit and the remedy.  Memory
goes into what is kept of a file, never into the file itself or what it would unpack to.
"""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.errors import UserError

MAX_BYTES = 2**31
"""Longest file, unpacked: some 60 million interactions."""

MAX_LINE = 2**22
"""Longest line in bytes: a user with half a million interactions."""

MAX_RATIO, RATIO_FROM = 100, 2**20
"""A compressed file may unpack to so many times its size; below so many bytes, to any.

Logs unpack to some 3 to 20 times their size, a bomb of zeros to a thousand times.
"""

CHUNK = 2**20

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
"""How such files begin."""


class Limited(io.RawIOBase):
    """A binary stream that ends in a `UserError` beyond ``MAX_BYTES`` and ``MAX_RATIO``."""

    def __init__(self, name: str, source: Any, packed: Callable[[], int] | None) -> None:
        """
        Args:
            name: what errors call it.
            source: a binary stream.
            packed: how many compressed bytes its content so far came from; None if it is not
                compressed.
        """
        self._name, self._source, self._packed = name, source, packed
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._source.read(min(len(buffer), CHUNK))
        self._size += len(chunk)
        if self._size > MAX_BYTES:
            raise UserError(
                f"{self._name}: longer than {MAX_BYTES} bytes unpacked; keep only the columns "
                "user, item and timestamp, or fewer users"
            )
        if self._packed and self._size > max(RATIO_FROM, MAX_RATIO * self._packed()):
            raise UserError(
                f"{self._name}: unpacks to more than {MAX_RATIO} times its size, as no log does; "
                "if it is meant to, unpack it by hand"
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)


class Text(io.RawIOBase):
    """A binary stream that ends in a `UserError` at what is not UTF-8, or not in lines."""

    def __init__(self, name: str, source: Any, max_line: int = MAX_LINE) -> None:
        """
        Args:
            name: what errors call it.
            source: a binary stream.
            max_line: longest line in bytes.
        """
        self._name, self._source, self._max_line = name, source, max_line
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._line, self._length = 1, 0  # of the line that the next chunk goes on with

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # A line that begins and ends within a chunk is thereby short enough.
        chunk = self._source.read(min(len(buffer), CHUNK, self._max_line)) or b""
        self._check(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _check(self, chunk: bytes) -> None:
        try:
            self._decoder.decode(chunk, final=not chunk)
            nul = chunk.find(b"\0")
            bad = None if nul < 0 else chunk.count(b"\n", 0, nul)
        except UnicodeDecodeError as error:
            bad = error.object.count(b"\n", 0, error.start)
        if bad is not None:
            raise UserError(
                f"{self._name}, line {self._line + bad}: not UTF-8 text; convert it with iconv"
            )
        end = chunk.find(b"\n")
        if self._length + (len(chunk) if end < 0 else end) > self._max_line:
            raise UserError(
                f"{self._name}, line {self._line}: longer than {self._max_line} bytes, as no line "
                "of a log is; is it another kind of file?"
            )
        self._line += chunk.count(b"\n")
        self._length = len(chunk) - chunk.rfind(b"\n") - 1 + (self._length if end < 0 else 0)


@contextlib.contextmanager
def open_text(path: Path, max_line: int = MAX_LINE) -> Iterator[io.BufferedReader]:
    """A text file, unpacked if it is compressed by gzip, checked as it is read.

    Args:
        path: of the file.
        max_line: longest line in bytes.

    Raises:
        UserError: also in the ``with`` block: it cannot be read, is damaged, not UTF-8 or passes
            a limit.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
            raw.seek(0)
            if start.startswith(ZIP) and not path.suffix == ".gz":
                raise UserError(f"{path}: a zip archive; unpack it")
            packed = path.suffix == ".gz" or start.startswith(GZIP)
            source: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            limited = Limited(str(path), source, raw.tell if packed else None)
            yield io.BufferedReader(Text(str(path), limited, max_line), CHUNK)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def up_to_the_last(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends, but for empty ones after which there is nothing."""
    empty = 0
    for number, line in enumerate(lines, 1):
        if line == "\n":
            empty += 1
            continue
        yield from ((before, "") for before in range(number - empty, number))
        empty = 0
        yield number, line.rstrip("\n")


def last_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

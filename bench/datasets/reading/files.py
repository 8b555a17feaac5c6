"""Files that nobody vouches for: read in pieces, and refused as soon as one passes a limit.

What is wrong is one `UserError` that names the file, the line, the limit and the remedy.  Memory
goes into what is kept of a file, never into the file itself or what it would unpack to.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
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

GZIP, ZIP, BZIP2, XZ, PARQUET = b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"PAR1"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""How such files begin."""

PACKED: dict[bytes, Callable[[Any], Any]] = {
    GZIP: gzip.open,
    BZIP2: bz2.open,
    XZ: lzma.open,
}
"""What unpacks a file of one stream that begins so."""

UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
"""Byte order marks of UTF-16, as spreadsheets write it."""

DAMAGED = (
    zipfile.BadZipFile, lzma.LZMAError, zlib.error, struct.error, EOFError, OSError, OverflowError,
    RuntimeError,  # encrypted, or (NotImplementedError) compressed in a way that is not known
)  # fmt: skip
"""What a damaged archive makes the standard library raise; and ValueError."""


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
                f"{self._name}, line {self._line + bad}: not UTF-8 text; convert it, such as with "
                "iconv -f WINDOWS-1252 -t UTF-8 (or is it no text at all?)"
            )
        end = chunk.find(b"\n")
        if self._length + (len(chunk) if end < 0 else end) > self._max_line:
            raise UserError(
                f"{self._name}, line {self._line}: longer than {self._max_line} bytes, as no line "
                "of a log is; is it another kind of file?"
            )
        self._line += chunk.count(b"\n")
        self._length = len(chunk) - chunk.rfind(b"\n") - 1 + (self._length if end < 0 else 0)


class Utf8(io.RawIOBase):
    """A binary stream of UTF-16, as UTF-8."""

    def __init__(self, name: str, source: Any, encoding: str) -> None:
        """
        Args:
            name: what errors call it.
            source: a binary stream that begins with a byte order mark.
            encoding: of it.
        """
        self._name, self._source, self._left = name, source, b""
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = self._source.read(CHUNK)
            try:
                self._left = self._decoder.decode(chunk, final=not chunk).encode()
            except UnicodeError as error:
                raise UserError(f"{self._name}: damaged UTF-16 ({last_line(error)})") from error
            if not chunk:
                break
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


@contextlib.contextmanager
def open_text(path: Path, max_line: int = MAX_LINE) -> Iterator[io.BufferedReader]:
    """A text file, unpacked if it is compressed, whatever its name ends in, checked as it is read.

    Args:
        path: of the file: plain, by gzip, bzip2 or xz, or the one file of a zip archive; UTF-8, or
            UTF-16 with a byte order mark.
        max_line: longest line in bytes.

    Raises:
        UserError: also in the ``with`` block: it cannot be read, is damaged, not text or passes
            a limit.
    """
    name = str(path)
    try:
        with path.open("rb") as raw, contextlib.ExitStack() as opened:
            source: Any = io.BufferedReader(_unpacked(path, raw, opened), CHUNK)
            encoding = UTF16.get(source.peek(2)[:2])
            if encoding is not None:
                source = Utf8(name, source, encoding)
            yield io.BufferedReader(Text(name, source, max_line), CHUNK)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def start(path: Path) -> bytes:
    """How a file begins.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            return raw.read(8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _unpacked(path: Path, raw: Any, opened: contextlib.ExitStack) -> Limited:
    begins = raw.read(8)
    raw.seek(0)
    if begins.startswith(ZIP):
        return _member(path, raw, opened)
    unpack = next((unpack for magic, unpack in PACKED.items() if begins.startswith(magic)), None)
    if begins.startswith(ZSTANDARD):
        raise UserError(f"{path}: packed by zstd, which is not read; unpack it (zstd -d)")
    if unpack is None and path.suffix == ".gz":
        unpack = gzip.open  # whose error says that it is none
    return Limited(str(path), raw if unpack is None else unpack(raw), unpack and raw.tell)


def _member(path: Path, raw: Any, opened: contextlib.ExitStack) -> Limited:
    """The one file of a zip archive."""
    try:
        archive = opened.enter_context(zipfile.ZipFile(raw))
        members = [each for each in archive.infolist() if not _is_beside(each)]
        if len(members) != 1:
            names = ", ".join(each.filename[-40:] for each in members[:MEMBERS_SHOWN])
            raise UserError(
                f"{path}: a zip archive of {len(members)} files{f' ({names})' if names else ''}; "
                "unpack it and give the one that is the log"
            )
        (found,) = members
        # What the headers say of sizes is not relied on, only held against each other.
        packed = min(found.compress_size, path.stat().st_size)
        return Limited(str(path), opened.enter_context(archive.open(found)), lambda: packed)
    except (*DAMAGED, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({last_line(error)})") from error


MEMBERS_SHOWN = 10


def _is_beside(member: zipfile.ZipInfo) -> bool:
    """A folder, or what a Mac adds."""
    parts = PurePosixPath(member.filename).parts
    return member.is_dir() or "__MACOSX" in parts or parts[-1:] == (".DS_Store",)


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

"""Files that others may read at any time, or that others may have written."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from pathlib import Path
from typing import Any

from bench import json_shape
from bench.errors import UserError

MAX_NAME = 100
"""Bytes of a folder's name: with what is added to it file systems take it."""


def check_name(option: str, name: str) -> None:
    """That a folder's name is one plain name, which cannot lead elsewhere.

    Raises:
        UserError: it is not.
    """
    plain = name.isprintable() and not {"/", "\\"} & set(name) and name.strip() == name
    if not plain or not 1 <= len(name.encode(errors="replace")) <= MAX_NAME or name.startswith("."):
        raise UserError(
            f"{option} {name[:MAX_NAME]!r}: expected the name of a folder: 1 to {MAX_NAME} "
            "bytes (letters beyond ASCII have two to four) without / and \\, no dot in front"
        )


def why(error: OSError) -> str:
    """The reason of an error, in a few words."""
    return error.strerror or str(error) or type(error).__name__


def check_writable(folder: Path, option: str, *, make: bool = False) -> None:
    """See that files can be written to a directory, or where it is to be made.

    Args:
        folder: the directory.
        option: that it was given by.
        make: make it.

    Raises:
        UserError: they cannot.
    """
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        whole = folder.absolute()
        place = next(path for path in (whole, *whole.parents) if path.exists())
        probe = place / f".probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"{option}: {folder} cannot be written ({why(error)}); choose another directory with "
            f"{option}"
        ) from error


def check_readable(folder: Path) -> None:
    """See that a directory, if it is there, may be entered and listed; to a search with a pattern
    one that may not be looks empty.

    Raises:
        UserError: it may not.
    """
    if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder}: may not be read; see to its permissions")


def replace(path: Path, content: str | bytes) -> None:
    """Write a file, so that no reader meets half of it; a link gives way to it.

    Args:
        path: in a directory that is there.
        content: all of it; text is written as UTF-8.

    Raises:
        OSError: it cannot be written; what was there is kept.
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_limited(path: Path, limit: int) -> str:
    """A text of at most so many bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is longer, or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path.name} is longer than {limit} bytes")
    return content.decode()


def read_json(path: Path, shape: json_shape.Shape, limit: int) -> Any:
    """JSON of this shape, of at most so many bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, too long, or of another shape.
        RecursionError: it is nested too deeply.
    """
    stored = json.loads(read_limited(path, limit))
    json_shape.check(stored, shape, path.name)
    return stored

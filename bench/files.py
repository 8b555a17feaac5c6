"""Files that others may read at any time, or that others may have written."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path
from typing import Any

from bench import json_shape


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

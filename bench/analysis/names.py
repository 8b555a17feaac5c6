"""File names of what a study is made of."""

from __future__ import annotations

import hashlib
import re

MAX_STEM = 200
"""Bytes of a file's name, of the 255 that file systems allow."""


def file_stem(*parts: str) -> str:
    """A file name of parts that may hold anything, ``mamba4rec (layers=1)`` for one."""
    stem = "-".join(re.sub(r"[^\w.+=-]+", "-", part).strip("-") for part in parts)
    if len(stem.encode()) <= MAX_STEM:
        return stem
    digest = hashlib.sha256(stem.encode()).hexdigest()[:8]
    return f"{stem.encode()[:MAX_STEM].decode(errors='ignore')}-{digest}"

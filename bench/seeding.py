"""Seeds derived from the names of what they serve, so that adding a cell changes no other."""

from __future__ import annotations

import hashlib


def seed_for(*names: str | int) -> int:
    """A 62-bit seed from ``names`` by SHA-256: stable across machines, processes and versions.

    PyTorch's generator on a CPU takes the lower 32 bits of it, so that two of a cell's streams, a
    seed a step, overlap with a probability of some 1e-5.

    Streams are told apart by name, e.g. ``seed_for(fingerprint, seed, "dropout", "self")``.
    The two spare bits let a step counter be added without overflowing a signed 64-bit integer.
    """
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2

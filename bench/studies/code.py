"""Which code trains a cell."""

from __future__ import annotations

import hashlib

from bench.cell import Cell
from bench.studies import modules
from bench.studies.by_value import code_of
from bench.studies.components import components


def code_digest(cell: Cell) -> str:
    """Digest of the code that makes this cell what it is: sampler, backbones, objective.

    All modules of the project that these reach count, by what they mean: comments, docstrings and
    the names of files do not.  The loop that trains does not count: what changes all numbers raises
    `bench.cell.SCHEMA_VERSION`.
    """
    found = set[str]()
    for registry, part in components(cell):
        cls = registry.get(part.name)
        if modules.importable(cls.__module__):
            found |= modules.digests([cls.__module__])
        else:
            found |= code_of(cls).digests
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]

"""Which code trains a cell."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import backbones
import samplers
from bench import objectives
from bench.cell import Cell


def code_digest(cell: Cell) -> str:
    """Digest of the source that makes this cell what it is: sampler, backbones, objective.

    Helper modules that a component imports from its own package count; the harness does not, so
    editing one sampler marks its own cells stale and no others.
    """
    classes: list[type] = [samplers.registry.get(cell.sampler.name)]
    classes += [objectives.registry.get(cell.objective.name)]
    classes += [backbones.registry.get(model.name) for model in cell.models]
    used = {module for cls in classes for module in _used(sys.modules[cls.__module__])}
    digest = hashlib.sha256()
    for module in sorted(used, key=lambda module: module.__name__):
        digest.update(_source(module))
    return digest.hexdigest()[:16]


@cache
def _source(module: ModuleType) -> bytes:
    """As it was when this process first asked: what is edited later is not what runs here."""
    return Path(str(module.__file__)).read_bytes()


def _used(module: ModuleType) -> set[ModuleType]:
    """A module and its siblings that it uses."""
    package = module.__name__.rpartition(".")[0]
    used = {getattr(value, "__module__", None) for value in vars(module).values()}
    siblings = {name for name in used if package and name and name.startswith(f"{package}.")}
    return {sys.modules[name] for name in siblings} | {module}

"""References that need no training: one file each, registered by name."""

from bench.references.base import Reference, register, registry

__all__ = ["Reference", "register", "registry"]

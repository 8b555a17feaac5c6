"""Training objectives: one file each, registered by name."""

from bench.objectives.base import Objective, register, registry

__all__ = ["Objective", "register", "registry"]

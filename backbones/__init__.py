"""Sequence encoders: one file each, registered by name."""

from backbones.base import Backbone, register, registry

__all__ = ["Backbone", "register", "registry"]

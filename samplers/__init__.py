"""Negative samplers: one file each, registered by name."""

from samplers.base import Catalogue, Negatives, Sampler, Scored, View, register, registry, variant

__all__ = [
    "Catalogue",
    "Negatives",
    "Sampler",
    "Scored",
    "View",
    "register",
    "registry",
    "variant",
]

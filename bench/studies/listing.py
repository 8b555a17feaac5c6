"""Everything that a study may be made of: names, hyper-parameters, presets, the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import backbones
import samplers
from bench import datasets, objectives, references
from bench.cell import PRESETS, Protocol
from bench.registry import HyperParameter, Registry

REGISTRIES: dict[str, Registry[Any]] = {
    "samplers": samplers.registry,
    "backbones": backbones.registry,
    "objectives": objectives.registry,
    "references": references.registry,
    "datasets": datasets.registry,
}


def listing() -> str:
    """Everything registered: name, one line, hyper-parameters with their defaults."""
    lines = []
    for title, registry in REGISTRIES.items():
        lines.append(f"{title}:")
        for name in registry.names():
            lines.append(f"  {name:<14} {registry.description(name)}")
            hyper = registry.hyper_parameters(name).values()
            if hyper:
                lines.append(_defaults(hyper, indent=17))
            for variant in registry.variants(name):
                own = registry.hyper_parameters(variant)
                lines.append(f"    {variant:<20} {registry.description(variant)}")
                lines.append(_defaults([h for h in own.values() if h not in hyper], indent=25))
    lines.append("presets:")
    lines += [f"  {name:<14} {preset.description}" for name, preset in PRESETS.items()]
    lines.append("protocol:")
    lines.append(_defaults(Protocol.parameters().values(), indent=17))
    return "\n".join(lines)


def _defaults(parameters: Iterable[HyperParameter], indent: int) -> str:
    shown = (f"{p.name}={'none' if p.default is None else p.default}" for p in parameters)
    return " " * indent + " ".join(shown)

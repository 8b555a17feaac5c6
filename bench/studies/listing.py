"""Everything that a study may be made of: names, hyper-parameters, presets, the protocol."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from bench import datasets, references
from bench.cell import PRESETS, Protocol
from bench.errors import UserError
from bench.registry import HyperParameter, Registry, suggest
from bench.studies.components import REGISTRIES

LISTED = (*REGISTRIES.values(), references.registry, datasets.registry)


def listing() -> str:
    """Everything registered: name, one line, hyper-parameters with their defaults."""
    lines = []
    for registry in LISTED:
        lines.append(f"{registry.kind}s:")
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


def described(name: str) -> str:
    """All that is known of what is registered under a name: its docstring, defaults and grid.

    Raises:
        UserError: nothing is.
    """
    found = [registry for registry in LISTED if name in registry.names() + registry.variants()]
    if not found:
        known = [each for r in LISTED for each in r.names() + r.variants()]
        raise UserError(f"--list {name}: nobody registered it{suggest(name, known)}")
    return "\n\n".join(_described(registry, name) for registry in found)


def _described(registry: Registry[Any], name: str) -> str:
    variant = registry.variant_of(name)
    lines = [f"{registry.kind} {name}" + (f", a setting of {variant.of}" if variant else "")]
    if variant:
        lines += ["", variant.description]
    lines += ["", inspect.cleandoc(registry.get(name).__doc__ or ""), ""]
    hyper = registry.hyper_parameters(name).values()
    lines += [f"defaults: {_defaults(hyper, indent=0)}"] if hyper else []
    space = registry.search_space(name).items()
    lines += [f"tuned over: {option} in {values}" for option, values in space]
    return "\n".join(lines)


def _defaults(parameters: Iterable[HyperParameter], indent: int) -> str:
    shown = (f"{p.name}={'none' if p.default is None else p.default}" for p in parameters)
    return " " * indent + " ".join(shown)

"""The components of cells: where each kind is registered, and what tuning may vary of one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import backbones
import samplers
from bench import objectives
from bench.cell import Cell, Component
from bench.errors import UserError
from bench.json_shape import scalar
from bench.registry import Registry

ANY = "*"
"""As the target of a setting: every component of the grid that has such a hyper-parameter."""

REGISTRIES: dict[str, Registry[Any]] = {
    known.kind: known for known in (samplers.registry, backbones.registry, objectives.registry)
}
"""Of what a cell is made of, by kind."""


def components(cell: Cell) -> Iterator[tuple[Registry[Any], Component]]:
    """A cell's components, each with where it is registered: sampler, objective, models."""
    yield samplers.registry, cell.sampler
    yield objectives.registry, cell.objective
    for model in cell.models:
        yield backbones.registry, model


def check_search_space(registry: Registry[Any], name: str) -> None:
    """See that tuning could vary what a component says, before anything is trained.

    Raises:
        UserError: it could not.
    """
    space = registry.declared_space(name)
    told = f"{registry.kind} {name!r}: its search_space"
    if not isinstance(space, dict):
        raise UserError(f"{told} is a {type(space).__name__}; give options to lists of values")
    for option, values in space.items():
        if not isinstance(values, list | tuple) or not values or not all(map(scalar, values)):
            raise UserError(f"{told} has {values!r} for {option}; give a list of plain values")
    registry.search_space(name)


def free_options(
    registry: Registry[Any], name: str, fixed: Collection[str]
) -> dict[str, list[Any]]:
    """A component's ``search_space`` less what is fixed, each value once.

    Args:
        fixed: names of settings, ``dns+.M`` or ``*.dropout``.

    Raises:
        UserError: it names an option that the component has not.
    """
    return {
        option: [value for i, value in enumerate(values) if value not in values[:i]]
        for option, values in registry.search_space(name).items()
        if f"{name}.{option}" not in fixed and f"{ANY}.{option}" not in fixed
    }

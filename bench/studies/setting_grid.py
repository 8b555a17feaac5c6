"""Every setting that a sampler's ``search_space`` offers, to be trained side by side (``--grid``).

It is the full product of the options that the sampler's class names; all else, its backbone and
its objective too, is as without.  What cannot be, an M above N for one, is left out.  Of more than
`SETTINGS` settings that many are drawn without replacement, by a seed made of the sampler's name,
so that every value of every option has the same chance, and everybody who draws has the same ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import numpy as np

import samplers
from bench.cell import Component
from bench.errors import UserError
from bench.json_shape import as_text
from bench.seeding import seed_for
from bench.studies.components import free_options
from bench.studies.limits import SETTINGS


def grid_of(
    given: Sequence[Component], fixed: Collection[str] = ()
) -> tuple[list[Component], list[str]]:
    """The settings of some samplers.

    Args:
        given: as they are without a grid.
        fixed: names of settings, ``dns+.M`` or ``*.N``, that the user gave, which are not varied.

    Returns:
        The samplers in the order ``given``, each with its settings in the order of the product,
        and what was left out, a line each.

    Raises:
        UserError: a class's ``search_space`` names an option that it has not, or offers nothing
            that can be.
    """
    found: list[Component] = []
    left_out: list[str] = []
    for component in given:
        its = possible(component, fixed)
        if len(its) > SETTINGS:
            left_out.append(
                f"{len(its) - SETTINGS} of the {len(its)} settings of sampler {component.name!r}: "
                f"{SETTINGS} are drawn"
            )
            random = np.random.default_rng(seed_for("grid", component.name))
            its = [its[i] for i in sorted(random.permutation(len(its))[:SETTINGS].tolist())]
        found += its
    return found, left_out


def possible(component: Component, fixed: Collection[str] = ()) -> list[Component]:
    """All settings of a sampler that can be, in the order of the product.

    Raises:
        UserError: there is none, or an option is unknown.
    """
    name = component.name
    space = free_options(samplers.registry, name, fixed)
    found: dict[str, Component] = {}
    refused = UserError(f"sampler {name!r}: its search_space offers nothing")
    for values in itertools.product(*space.values()):
        hyper = {**component.hyper, **dict(zip(space, values, strict=True))}
        one = Component(name, samplers.registry.resolve(name, hyper))
        try:
            samplers.registry.build(name, one.hyper)
        except UserError as error:
            refused = error
        else:
            found[as_text(one.hyper)] = one
    if not found:
        raise refused
    return list(found.values())

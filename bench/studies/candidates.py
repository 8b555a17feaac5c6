"""Which systems and settings a study with a budget begins with, as many as the budget affords."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

import samplers
from bench.cell import Cell
from bench.errors import UserError
from bench.seeding import seed_for
from bench.studies import tuning
from bench.studies.budget import Candidate
from bench.studies.components import free_options
from bench.studies.planning import Plan, with_values

MOST = 8
"""Settings of a system, its own defaults first."""


class Settings:
    """Of each system of a plan the candidates: as the plan has it, then settings of its sampler's
    ``search_space``, drawn at random, always the same.

    What the user fixed is not varied, and what cannot be, an M above N for one, is left out.
    """

    def __init__(self, plan: Plan) -> None:
        self._systems = []
        cells = tuning.systems(plan)
        counts = Counter(cell.sampler.name for cell in cells)
        for cell in cells:
            name = cell.sampler.name
            if counts[name] > 1:
                name = f"{name}/{cell.backbone.name}/{cell.objective.name}"
            self._systems.append(([Candidate(name, cell)], _more(plan, cell, name)))

    def first(self, count: int) -> list[Candidate]:
        """The first ``count`` of each system, of those that have as many; they are made only when
        they are asked for, as to check one takes a while.

        Raises:
            UserError: a ``search_space`` names an option that its sampler has not.
        """
        for made, more in self._systems:
            made += itertools.islice(more, max(0, count - len(made)))
        return [each for made, _ in self._systems for each in made[:count]]

    def told(self, candidates: Sequence[Candidate]) -> str:
        """How many candidates there are, and how many of each system where these differ."""
        counts = Counter(tuning.System.of(each.cell) for each in candidates)
        systems = {made[0].name: tuning.System.of(made[0].cell) for made, _ in self._systems}
        each = ", ".join(f"{name} {counts[system]}" for name, system in systems.items())
        told = f": {each}" if len(set(counts.values())) > 1 else ""
        return f"{len(candidates)} candidates with settings of their search spaces{told}"


def _more(plan: Plan, cell: Cell, name: str) -> Iterator[Candidate]:
    """Candidates of a system beside the one as the plan has it, made one by one."""
    for shown, other in itertools.islice(_drawn(plan, cell), MOST - 1):
        yield Candidate(f"{name} ({shown})", other)


def _drawn(plan: Plan, cell: Cell) -> Iterator[tuple[str, Cell]]:
    """Other settings of a cell's sampler, and what they are called, in random order."""
    name = cell.sampler.name
    space = free_options(samplers.registry, name, plan.fixed)
    known = {cell.key}
    product = list(itertools.product(*space.values()))
    order = np.random.default_rng(seed_for("budget", name)).permutation(len(product))
    for values in (dict(zip(space, product[i], strict=True)) for i in order):
        try:
            other = with_values(plan, cell, {f"{name}.{option}": v for option, v in values.items()})
        except UserError:
            continue
        if other.key not in known:
            known.add(other.key)
            yield ", ".join(f"{option}={value}" for option, value in values.items()), other

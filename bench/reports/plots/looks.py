"""How samplers are drawn: the same in all plots of all studies, hue by family."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.metrics import BASELINE

BASELINE_COLOUR = "black"

MARKERS = ("s", "^", "D", "v", "P", "X", "<", "o", ">", "p", "*")
"""As many as have no divisor in common with the numbers of colours, so that pairs repeat late."""
MORE_MARKERS = ("d", "h", "x", "+", "1", "2", "|", "_")
"""Of what has no mark of its own left; see `apart`."""

DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))


@dataclass(frozen=True)
class Family:
    """Samplers of one kind.

    Attributes:
        samplers: by name, in the order in which they get their looks.
        colours: of one hue, each at a contrast of 3 to white paper at least, dark and light in
            turn, so that neighbours differ in grey.
    """

    samplers: tuple[str, ...]
    colours: tuple[str, ...]


FAMILIES = (
    # Static: drawn whatever the model says.
    Family(("popularity", "exposure"), ("#00795A", "#2E9B57")),
    # Hard-mined: one model, negatives picked by its scores or by the item graph.
    Family(
        (
            "dns", "dns+", "mixgcf", "mixgcf+", "adasir", "adasir-released", "srns", "ahns",
            "gnno", "gnno-released", "gnno-proportional", "dns+3", "mdcns-no-cd-dr-ms",
        ),
        ("#B03A2E", "#E0701A", "#8B5A00", "#B8860B"),
    ),
    # Softmax and its like: all candidates are negatives.
    Family(
        ("sampled-softmax", "mixed", "in-batch", "full-softmax", "gbce", "shared-softmax"),
        ("#00588A", "#3B8EC2", "#0072B2"),
    ),
    # Two models.
    Family(
        (
            "mdcns", "mdcns-text", "mdcns-released", "mdcns-no-cd", "mdcns-no-cd-dr",
            "mdcns-same-peer", "mdcns-peer-mamba4rec", "mdcns-peer-sasrec", "mutual-learning",
            "side-by-side", "side-by-side-uniform",
        ),
        ("#7B3294", "#C2578F", "#A63D73"),
    ),
)  # fmt: skip

OTHERS = ("#0072B2", "#C44E00", "#00795A", "#7B3294", "#B8860B", "#6C757D")
"""Of samplers that no family here knows: by alphabet."""


@dataclass(frozen=True)
class Look:
    """How a sampler is drawn, in every plot."""

    colour: str
    marker: str
    dash: Any

    @property
    def line(self) -> dict[str, Any]:
        """What matplotlib draws such a line by."""
        return {"color": self.colour, "marker": self.marker, "linestyle": self.dash}


Looks = Mapping[str, Look]

OTHER = Look("0.75", "", "-")
"""Of those that a figure shows without their names: a line among lines."""

MOST_TOLD_APART = 6
"""Lines that one can follow through a panel."""


def looks_of(samplers: Iterable[str]) -> dict[str, Look]:
    """A look for each sampler; no two have both colour and mark in common.

    A known name has the same look whatever else a study has; ``dns+ (M=5)`` has the hue of dns+.

    Args:
        samplers: all that a study has, so that its plots agree; the order does not matter.
    """
    looks = {BASELINE: Look(BASELINE_COLOUR, "o", "-")}
    taken: set[tuple[str, str]] = set()
    names = sorted(set(samplers) - {BASELINE}, key=lambda name: (name not in KNOWN, name))
    strangers = itertools.count()
    for name in names:
        family, place = KNOWN.get(name.partition(" (")[0], (None, 0))
        if family is None:
            place = next(strangers)
        colours = OTHERS if family is None else family.colours
        # From a sampler's own place on, the next pair of colour and mark that nobody has.
        pairs = [
            (colours[at % len(colours)], MARKERS[at % len(MARKERS)], DASHES[at % len(DASHES)])
            for at in range(place, place + len(colours) * len(MARKERS))
        ]
        free = [pair for pair in pairs if pair[:2] not in taken] or pairs
        taken.add(free[0][:2])
        looks[name] = Look(*free[0])
    return looks


def highlighted(samplers: Sequence[str], looks: Looks) -> dict[str, Look]:
    """The looks of samplers in a figure of lines: with more than `MOST_TOLD_APART` only the
    baseline, the best of each family and the best of the rest keep theirs, and others are grey.

    Args:
        samplers: the best first.
        looks: of all of them.
    """
    if len(samplers) <= MOST_TOLD_APART:
        return dict(looks)
    families = [KNOWN.get(name.partition(" (")[0], (None, 0))[0] for name in samplers]
    first = [name for i, name in enumerate(samplers) if families[i] not in families[:i]]
    order = [BASELINE, *first, *samplers]
    chosen = [name for name in dict.fromkeys(order) if name in samplers][:MOST_TOLD_APART]
    return {name: looks[name] if name in chosen else OTHER for name in samplers}


def apart(looks: Looks, samplers: Iterable[str]) -> dict[str, Look]:
    """The looks of some samplers, of which no two have a mark in common: told apart in grey too.

    As many have their usual mark as can; of more samplers than there are marks the last share them.

    Args:
        looks: of all of them; in their order samplers keep or lose marks.
        samplers: those that are shown together.
    """
    free = dict.fromkeys([looks[BASELINE].marker, *MARKERS, *MORE_MARKERS])
    found: dict[str, Look] = {}
    shown = set(samplers)
    of_shown = [name for name in looks if name in shown]
    for name in of_shown:
        if looks[name].marker in free:
            del free[looks[name].marker]
            found[name] = looks[name]
    for name in of_shown:
        if name not in found:
            marker = next(iter(free), looks[name].marker)
            free.pop(marker, None)
            found[name] = replace(looks[name], marker=marker)
    return found


KNOWN = {name: (family, place) for family in FAMILIES for place, name in enumerate(family.samplers)}
"""Name to family, and place in it."""

"""A difference between two samplers in words, and its figures as they are written."""

from __future__ import annotations

import math

from bench.analysis.over_users import LEVEL, Pair
from bench.metrics import HEADLINE

METRIC = HEADLINE.upper()
FEW_USERS = 300
"""Test users below which a statement warns of their number."""


def statement(pair: Pair, dataset: str, backbone: str) -> str:
    """A comparison over users in a sentence, with a warning where the sample is small."""
    where = f"on {dataset} ({backbone})"
    if not pair.significant:
        size, low, high = _sizes(pair)
        words = f"no significant difference between {pair.first} and {pair.second} {where}: {size}"
    else:
        verb = "beats" if pair.difference > 0 else "is behind"
        size, low, high = _sizes(pair, absolute=True)
        words = f"{pair.first} {verb} {pair.second} {where} by {size}"
    words += f" {METRIC} (95 % interval {low} to {high}), Holm {p_is(pair.holm_t)}, "
    words += f"d_z {abs(pair.d_z) if pair.significant else pair.d_z:.2f}, "
    words += f"{counted(pair.users, 'user')}, {_seeds(pair)}."
    if pair.significant != (pair.holm_wilcoxon < LEVEL):
        words += f" Wilcoxon's test disagrees: Holm {p_is(pair.holm_wilcoxon)}."
    warnings = []
    if pair.users < FEW_USERS:
        warnings.append("the test users are few")
    if min(pair.seeds_first, pair.seeds_second) == 1:
        warnings.append("with one seed, how far another would move it is unknown")
    return words + (f" Warning: {'; '.join(warnings)}." if warnings else "")


FIGURES = (
    *("first", "second", "family", "mean", "mean", "difference", "95 % interval", "in %"),
    *("95 % interval", "t: p", "Holm", "Wilcoxon: p", "Holm", "d_z", "rank-biserial", "seeds"),
    *("agreeing", "seeds' std"),
)
"""What `figures` are of."""


def figures(pair: Pair) -> list[str]:
    """All figures of a comparison over users."""
    in_percent = math.isfinite(pair.relative_low)
    return [
        pair.first,
        pair.second,
        pair.family,
        f"{pair.mean_first:.4f}",
        f"{pair.mean_second:.4f}",
        f"{pair.difference:+.4f}",
        f"{pair.low:+.4f} to {pair.high:+.4f}",
        _or_nothing(pair.relative, "+.1f"),
        f"{pair.relative_low:+.1f} to {pair.relative_high:+.1f}" if in_percent else "",
        *map(p_value, (pair.p_t, pair.holm_t, pair.p_wilcoxon, pair.holm_wilcoxon)),
        f"{pair.d_z:+.2f}",
        f"{pair.rank_biserial:+.2f}",
        str(pair.seeds_common),
        str(pair.seeds_agreeing),
        _or_nothing(pair.seeds_std, ".4f"),
    ]


def counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


def p_is(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p_value(p)}"


def p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _sizes(pair: Pair, absolute: bool = False) -> tuple[str, str, str]:
    """The difference and its interval's ends: in %, or as they are where % are not defined."""
    values = (pair.relative, pair.relative_low, pair.relative_high)
    in_percent = all(map(math.isfinite, values))
    if not in_percent:
        values = (pair.difference, pair.low, pair.high)
    if absolute and pair.difference < 0:
        values = (-values[0], -values[2], -values[1])
    if not in_percent:
        size, low, high = (f"{value:.4f}" for value in values)
        return size, low, high
    decimals = 0 if abs(values[0]) >= 10 else 1
    size, low, high = (f"{value:.{decimals}f}" for value in values)
    return f"{size} %", low, f"{high} %"


def _seeds(pair: Pair) -> str:
    """How many seeds, and in how many of the common ones the sign is another."""
    if pair.seeds_first == pair.seeds_second:
        words = counted(pair.seeds_first, "seed")
    else:
        words = f"{pair.seeds_first} and {pair.seeds_second} seeds"
    if pair.significant and pair.seeds_agreeing < pair.seeds_common:
        words += f" ({pair.seeds_agreeing} of {pair.seeds_common} in common agree)"
    return words


def _or_nothing(value: float, spec: str) -> str:
    return format(value, spec) if math.isfinite(value) else ""

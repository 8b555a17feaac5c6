"""Settings with several values, ``mdcns.gamma=0.5,1,2``: each combination of them is trained."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

from bench import json_shape
from bench.cell import Protocol
from bench.errors import UserError

MOST = 1000
"""Combinations of values; more are a slip of the keyboard."""


def parsed(setting: str, text: str) -> Any:
    """The value of a setting as options have it, or a list of several.

    Several stand between commas; a JSON list, ``["a,b", "c"]``, may have values with commas in
    them.

    Raises:
        UserError: the list is none, or one of its values is empty.
    """
    if text.startswith("["):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"--set {setting}={text}: no JSON list ({error}); texts stand in double quotes"
            ) from error
        return checked(setting, values)
    if "," not in text:
        return text
    values = [part.strip() for part in text.split(",")]
    if not all(values):
        raise UserError(
            f"--set {setting}={text}: an empty value; one that holds a comma is written as a JSON "
            f"list, {setting}='[\"a,b\"]'"
        )
    return checked(setting, values)


def checked(setting: str, values: Sequence[Any]) -> Any:
    """A list of different values; of one, that value.

    Raises:
        UserError: it is empty, or holds what is no value.
    """
    if not values or not all(map(json_shape.scalar, values)):
        raise UserError(f"--set {setting}={list(values)}: expected values, one or several")
    once = list({(type(value) is bool, value): value for value in values}.values())  # True == 1
    return once if len(once) > 1 else once[0]


def written(setting: str, value: Any) -> str:
    """``NAME=VALUE`` that `parsed` reads as this value; the inverse of it, for one value or a list
    of several."""
    if isinstance(value, list | tuple):
        return f"{setting}={json.dumps(list(value))}"
    text = str(value)
    return f"{setting}={json.dumps([text]) if ',' in text or text.startswith('[') else text}"


def swept(pairs: Sequence[tuple[str, Any]]) -> dict[str, list[Any]]:
    """The settings with several values; the last one of a name counts."""
    return {name: value for name, value in _last(pairs) if isinstance(value, list)}


def assignments(pairs: Sequence[tuple[str, Any]]) -> list[list[tuple[str, Any]]]:
    """Settings with one value each, for every combination of those that have several.

    Raises:
        UserError: a setting of the protocol has several, or there are too many combinations.
    """
    several = swept(pairs)
    for name, values in several.items():
        if name in Protocol.parameters():
            raise UserError(
                f"--set {name}={','.join(map(str, values))}: a setting of the protocol has one "
                "value, which all that is compared shares; run a study for each"
            )
    count = math.prod(map(len, several.values()))
    if count > MOST:
        raise UserError(f"--set: {count} combinations of values, of at most {MOST}")
    found = []
    for combination in itertools.product(*several.values()):
        chosen = dict(zip(several, combination, strict=True))
        found.append([(name, chosen.get(name, value)) for name, value in _last(pairs)])
    return found


def _last(pairs: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Each name once, where it comes last: later settings have precedence."""
    found: dict[str, Any] = {}
    for name, value in reversed(pairs):
        found.setdefault(name, value)
    return [*reversed(found.items())]

"""Whether JSON from elsewhere has the shape that it is read for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = Any
"""``None``; a function that tells whether a value will do; ``[shape]`` of all elements of a list;
a tuple of alternatives, in which ``...`` stands for no value at all; a dictionary of what must be
there, with the type `str` as key for everything else that may be."""

LARGEST = 2**53
"""Numbers beyond are none that this project writes, and not exact as floats."""

MAX_HYPER = 1000
"""Longest text of a component's hyper-parameters, which names in tables may be told apart by."""


def check(value: Any, shape: Shape, where: str = "it") -> None:
    """Hold a value against a shape.

    Args:
        value: of JSON.
        shape: see `Shape`.
        where: what errors call the value.

    Raises:
        ValueError: it differs; says where.
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not an object")
        for name, part in shape.items():
            if name is str:
                for other in value.keys() - shape.keys():
                    check(other, text, f"a name in {where}")
                    check(value[other], part, f"{where}.{other}")
            elif name in value:
                check(value[name], part, f"{where}.{name}")
            elif not (isinstance(part, tuple) and ... in part):
                raise ValueError(f"{where} has no {name!r}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{where} is not a list")
        for place, element in enumerate(value):
            check(element, shape[0], f"{where}[{place}]")
    elif isinstance(shape, tuple):
        errors = []
        for part in (part for part in shape if part is not ...):
            try:
                return check(value, part, where)
            except ValueError as error:
                errors.append(error)
        raise errors[-1]
    elif value is not None if shape is None else not shape(value):
        raise ValueError(f"{where} is {str(value)[:40]!r}")


def boolean(value: Any) -> bool:
    return isinstance(value, bool)


def whole(value: Any) -> bool:
    """A whole number from 0."""
    return type(value) is int and 0 <= value <= LARGEST


def number(value: Any) -> bool:
    """A finite number."""
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= LARGEST


def positive(value: Any) -> bool:
    """A finite number above 0."""
    return number(value) and value > 0


def text(value: Any) -> bool:
    """Characters, none of them for control and none that stands for no character."""
    return isinstance(value, str) and not re.search(r"[\0-\x1f\x7f-\x9f\ud800-\udfff]", value)


def name(value: Any) -> bool:
    """A text that may name a file, as a dataset's name does."""
    return text(value) and 0 < len(value.encode()) <= 255


def component(value: Any) -> bool:
    """The name of a registered class: it can be seen, and stands in a line."""
    return text(value) and value.isprintable() and value.strip() == value and 0 < len(value) <= 64


def hyper(value: Any) -> bool:
    """Hyper-parameters or other settings: not too many, by name, no structures."""
    return (
        isinstance(value, dict)
        and all(text(name) and scalar(one) for name, one in value.items())
        and len(json.dumps(value)) <= MAX_HYPER
    )


def scalar(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float) or text(value)


def one_of(*values: Any) -> Callable[[Any], bool]:
    """A shape: one of these values."""
    return lambda value: any(value is known or value == known for known in values)


def having(required: Sequence[str], shape: Shape) -> Mapping[Any, Shape]:
    """A shape: an object with at least these names, all of its values of one shape."""
    return {**dict.fromkeys(required, shape), str: shape}


def as_text(value: Any) -> str:
    """The same text for equal JSON values."""
    return json.dumps(value, sort_keys=True)

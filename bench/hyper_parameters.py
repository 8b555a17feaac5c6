"""Hyper-parameters: keyword-only constructor arguments, each with a type and a default.

Cells are stored, compared and retyped on command lines by these values, so only what JSON and a
command line can say is let in, and a class that asks for more is refused when it is registered.
"""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench import json_shape
from bench.errors import UserError

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
TYPES = "bool, int, float, str, Literal[...], or one of these or None"


@dataclass(frozen=True)
class HyperParameter:
    """One keyword-only constructor argument: its name, type annotation and default value."""

    name: str
    type: Any
    default: Any

    def parse(self, owner: str, value: Any) -> Any:
        """``value`` (text from the command line, or a Python value) as this parameter's type.

        Raises:
            UserError: naming ``owner.name``, the value and the type or choices expected.
        """
        for candidate in _alternatives(self.type):
            try:
                return _convert(candidate, value)
            except (TypeError, ValueError):
                continue
        raise UserError(f"{owner}.{self.name}={value}: expected {self.expected}")

    @property
    def expected(self) -> str:
        """What it takes, in words."""
        return " or ".join(_type_name(t) for t in _alternatives(self.type))

    def with_default(self, value: Any) -> HyperParameter:
        """The same with another default.

        Raises:
            ValueError: the value is no plain one, or not of the parameter's type.
        """
        if not json_shape.scalar(value) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(
                f"its default {value!r} is no plain value; give None, a bool, a finite number or "
                "a text without control characters"
            )
        for candidate in _alternatives(self.type):
            if _fits(candidate, value):
                return HyperParameter(self.name, self.type, value)
        if type(value) is int and float in _alternatives(self.type):
            # One value, one key: on the command line a float's 1 is read as 1.0.
            return HyperParameter(self.name, self.type, float(value))
        raise ValueError(f"its default {value!r} does not fit its type: expected {self.expected}")


def of_class(cls: type) -> dict[str, HyperParameter]:
    """The hyper-parameters of a class, in the order of its constructor.

    Raises:
        TypeError: one has no type, no default, or a type that cannot be made from a text.
        ValueError: a default is no plain value of its type.
    """
    options = [p for p in _parameters(cls) if p.kind is inspect.Parameter.KEYWORD_ONLY]
    hints = _hints(cls) if options else {}
    made = {}
    for option in options:
        where = f"{cls.__qualname__}: hyper-parameter {option.name!r}"
        if option.name not in hints:
            raise TypeError(f"{where} has no type; annotate it with {TYPES}")
        if option.default is option.empty:
            raise TypeError(f"{where} has no default; give it one")
        kind = getattr(hints[option.name], "__value__", hints[option.name])  # of `type X = ...`
        if not all(_is_plain(one) for one in _alternatives(kind)):
            raise TypeError(f"{where} has the type {kind}; annotate it with {TYPES}")
        try:
            made[option.name] = HyperParameter(option.name, kind, None).with_default(option.default)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    return made


def check_context(cls: type, base: type) -> None:
    """Hold a constructor's positional arguments against what the harness supplies to ``base``.

    Raises:
        TypeError: there are more of them, or fewer.
    """
    context = [p.name for p in _parameters(base) if p.kind in POSITIONAL]
    given = _parameters(cls)
    positional = [p.name for p in given if p.kind in POSITIONAL]
    if len(positional) > len(context):
        raise TypeError(
            f"{cls.__qualname__}: {_listed(positional[len(context) :])} can be given by position; "
            "make it keyword-only (put * before it): only such arguments are hyper-parameters"
        )
    takes_all = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in given)
    if len(positional) < len(context) and not takes_all:
        raise TypeError(
            f"{cls.__qualname__}: its constructor is given {_listed(context)} by position; "
            f"take all of them, as {base.__name__} does"
        )


def check_methods(cls: type, base: type) -> None:
    """See that what its base leaves to a class can be called as it will be.

    Raises:
        TypeError: a method takes other arguments.
    """
    for method in sorted(getattr(base, "__abstractmethods__", ())):
        wanted = [*inspect.signature(getattr(base, method)).parameters]
        given = inspect.getattr_static(cls, method)
        if not inspect.isfunction(given):
            continue  # who wraps it so has thought of it
        try:
            inspect.signature(given, follow_wrapped=False).bind(*wanted)
        except TypeError as error:
            raise TypeError(
                f"{cls.__qualname__}: {method}() is called as {method}({', '.join(wanted[1:])}), "
                f"which its arguments do not allow ({error})"
            ) from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _parameters(cls: type) -> list[inspect.Parameter]:
    """Of the constructor, without ``self``."""
    init = cls.__init__  # type: ignore[misc]
    return [] if init is object.__init__ else [*inspect.signature(init).parameters.values()][1:]


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except Exception as error:  # an annotation may be any expression
        raise TypeError(
            f"{cls.__qualname__}: the types of its constructor cannot be resolved ({error}); "
            "import them above the class, and not under TYPE_CHECKING"
        ) from error


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union in the order of narrowness, else the annotation alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return sorted(typing.get_args(annotation), key=lambda t: t is str)
    return [annotation]


def _is_plain(kind: Any) -> bool:
    if typing.get_origin(kind) is Literal:
        return all(json_shape.scalar(choice) for choice in typing.get_args(kind))
    return kind in (bool, int, float, str, type(None))


def _fits(kind: Any, value: Any) -> bool:
    if typing.get_origin(kind) is Literal:
        return any(type(c) is type(value) and c == value for c in typing.get_args(kind))
    return type(value) is kind


def _convert(kind: Any, value: Any) -> Any:
    if kind is type(None):
        if value is None or str(value).lower() == "none":
            return None
        raise ValueError
    if typing.get_origin(kind) is Literal:
        for choice in typing.get_args(kind):
            if str(choice) == str(value):
                return choice
        raise ValueError
    if kind is bool:
        truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        return truth[str(value).lower()] if str(value).lower() in truth else int("not a bool")
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise ValueError
    if kind is float and not math.isfinite(float(value)):
        raise ValueError
    return kind(value)


def _type_name(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(str(c) for c in typing.get_args(kind))
    return "none" if kind is type(None) else getattr(kind, "__name__", str(kind))

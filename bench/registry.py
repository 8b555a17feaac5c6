"""Registries: names to classes, with hyper-parameters read from the constructor.

A registered class states its hyper-parameters once, as *keyword-only* constructor arguments
with a type and a default.  ``--set``, ``--list``, the cell key and the tables all read them
from there.  Positional constructor arguments are context that the harness supplies (a backbone,
for one, is told the catalogue's size).
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import math
import pkgutil
import sys
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from bench.errors import UserError

T = TypeVar("T")
C = TypeVar("C", bound=type)

ENTRY_POINT_PREFIX = "negative_sampling_bench"


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
        expected = " or ".join(_type_name(t) for t in _alternatives(self.type))
        raise UserError(f"{owner}.{self.name}={value}: expected {expected}")


@dataclass(frozen=True)
class Variant:
    """A registered class under another name, with some defaults of its own."""

    of: str
    description: str
    defaults: Mapping[str, Any]


class Registry(Generic[T]):
    """Names to subclasses of one base class.

    Built-in classes are found by importing every module of ``package``; other distributions add
    theirs through the entry-point group ``negative_sampling_bench.<kind>s``; a script adds its
    own with ``--plugin``.  So adding one is writing one file and editing none.

    Args:
        kind: what is registered, singular: ``"sampler"``, ``"backbone"``, ...
        package: dotted name of the package whose modules hold the built-in classes.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._classes: dict[str, type[T]] = {}
        self._variants: dict[str, Variant] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[C], C]:
        """Class decorator: make the class available as ``name``.

        Raises:
            ValueError: the name is taken by another class, or the class has no docstring
                (its first line is what ``--list`` prints).
        """

        def decorate(cls: C) -> C:
            taken = self._classes.get(name)
            # The same file imported twice (as a plug-in and as a module) is not a clash.
            if taken is not None and taken.__qualname__ != cls.__qualname__:
                raise ValueError(f"{self.kind} {name!r} is already registered by {taken!r}")
            if not cls.__doc__:
                raise ValueError(f"{self.kind} {name!r} ({cls!r}) needs a docstring")
            self._classes[name] = cls
            cls.name = name  # type: ignore[attr-defined]
            return cls

        return decorate

    def variant(self, name: str, of: str, description: str, **defaults: Any) -> None:
        """Name a setting of a registered class: the same class, with other defaults.

        A variant is used by name like any other; ``--all`` leaves variants out.

        Args:
            name: of the variant.
            of: the registered name that it is a setting of.
            description: one line, for ``--list``.
            defaults: the hyper-parameters that differ.
        """
        if name in self._classes:
            raise ValueError(f"{self.kind} {name!r} is already registered")
        self._variants[name] = Variant(of, description, defaults)

    def names(self) -> list[str]:
        """Every registered name but the variants, sorted."""
        self._load()
        return sorted(self._classes)

    def variants(self, of: str | None = None) -> list[str]:
        """The names of all variants, or of those of one class, in the order of registration."""
        self._load()
        return [name for name, made in self._variants.items() if of in (None, made.of)]

    def get(self, name: str) -> type[T]:
        """The class registered as ``name``, or the class that ``name`` is a variant of.

        Raises:
            UserError: unknown name; the message lists the nearest matches.
        """
        self._load()
        if name in self._variants:
            return self.get(self._variants[name].of)
        if name not in self._classes:
            known = self.names() + self.variants()
            raise UserError(f"unknown {self.kind} {name!r}{suggest(name, known)}")
        return self._classes[name]

    def description(self, name: str) -> str:
        """First line of the class's docstring, or the variant's own line."""
        cls = self.get(name)
        if name in self._variants:
            return self._variants[name].description
        return inspect.cleandoc(cls.__doc__ or "").splitlines()[0]

    def hyper_parameters(self, name: str) -> dict[str, HyperParameter]:
        """Hyper-parameters of ``name``, in the order of its constructor."""
        cls = self.get(name)
        init = cls.__init__
        if init is object.__init__:
            return {}
        hints = typing.get_type_hints(init)
        own = self.set_by_variant(name)
        return {
            p.name: HyperParameter(p.name, hints.get(p.name, str), own.get(p.name, p.default))
            for p in inspect.signature(init).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }

    def set_by_variant(self, name: str) -> Mapping[str, Any]:
        """The defaults that make a variant one; of a class, none."""
        return self._variants[name].defaults if name in self._variants else {}

    def search_space(self, name: str) -> dict[str, list[Any]]:
        """What tuning may vary: the class's ``search_space``, less what makes a variant one.

        Raises:
            UserError: the class names an option that it has not.
        """
        known = self.hyper_parameters(name)
        own = self.set_by_variant(name)
        space: dict[str, list[Any]] = getattr(self.get(name), "search_space", {})
        for option in space:
            if option not in known:
                raise UserError(
                    f"{self.kind} {name!r}: its search_space names {option!r}, which is not a "
                    f"hyper-parameter{suggest(option, list(known))}"
                )
        return {option: values for option, values in space.items() if option not in own}

    def resolve(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """All hyper-parameters of ``name``: those ``given``, typed, and defaults for the rest.

        Raises:
            UserError: unknown hyper-parameter (with suggestions), or a value of the wrong type.
        """
        known = self.hyper_parameters(name)
        for key in given:
            if key not in known:
                raise UserError(
                    f"{self.kind} {name!r} has no hyper-parameter {key!r}"
                    f"{suggest(key, list(known))}"
                )
        return {
            key: parameter.parse(name, given[key]) if key in given else parameter.default
            for key, parameter in known.items()
        }

    def build(self, name: str, hyper: Mapping[str, Any], *context: Any) -> T:
        """An instance of ``name`` from resolved hyper-parameters and positional context.

        Raises:
            UserError: the constructor refused a value (it raised ``ValueError``).
        """
        try:
            return self.get(name)(*context, **hyper)
        except ValueError as error:
            raise UserError(f"{self.kind} {name!r}: {error}") from error

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for entry in importlib.metadata.entry_points(group=f"{ENTRY_POINT_PREFIX}.{self.kind}s"):
            try:
                entry.load()
            except Exception as error:  # a broken plug-in must not stop everybody else's run
                warnings.warn(f"plug-in {entry.value} failed to load: {error!r}", stacklevel=2)


def load_plugin(path_or_module: str) -> None:
    """Import a plug-in, a ``.py`` file or a module name, so that its decorators run.

    Raises:
        UserError: no such file or module, or it cannot be imported.
    """
    path = Path(path_or_module)
    if path.suffix == ".py" and not path.is_file():
        raise UserError(f"--plugin {path_or_module}: no such file")
    try:
        if path.suffix == ".py":
            _import_file(path)
        else:
            importlib.import_module(path_or_module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--plugin {path_or_module}: {error}; give a .py file or an importable module"
        ) from error
    except Exception as error:  # whatever the plug-in does wrong, it is input
        raise UserError(
            f"--plugin {path_or_module}: it failed with {type(error).__name__}: {error}"
        ) from error


def _import_file(path: Path) -> None:
    name = f"plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before execution, as `import` does: dataclasses look it up
    spec.loader.exec_module(module)


def suggest(name: str, known: list[str]) -> str:
    """The end of an error message about an unknown name: its nearest matches, or all names."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(known)}" if known else "; it has none"


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union in the order of narrowness, else the annotation alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return sorted(typing.get_args(annotation), key=lambda t: t is str)
    return [annotation]


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

"""Registries: names to classes, with hyper-parameters read from the constructor.

A registered class states its hyper-parameters once, as *keyword-only* constructor arguments
with a type and a default.  ``--set``, ``--list``, the cell key and the tables all read them
from there.  Positional constructor arguments are context that the harness supplies (a backbone,
for one, is told the catalogue's size).
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from bench import json_shape
from bench.errors import UserError
from bench.hyper_parameters import HyperParameter, check_context, check_methods, of_class

T = TypeVar("T")
C = TypeVar("C", bound=type)

MAX_REASON = 200
"""Characters of another's error that are shown."""

ENTRY_POINT_PREFIX = "negative_sampling_bench"

_sources: set[str] = set()
"""Modules that have registered something, of whatever kind."""
_plugins: dict[str, str] = {}
"""What ``--plugin`` was given, to the name of the module that it is."""


@dataclass(frozen=True)
class Variant:
    """A registered class under another name, with some defaults of its own."""

    of: str
    description: str
    defaults: Mapping[str, Any]
    module: str
    """The name of the module that registered it."""
    search_space: Mapping[str, list[Any]] | None = None
    """What tuning may vary, where that is not the class's; see `Registry.variant`."""


class Registry(Generic[T]):
    """Names to subclasses of one base class.

    Built-in classes are found by importing every module of ``package``; other distributions add
    theirs through the entry-point group ``negative_sampling_bench.<kind>s``; a script adds its
    own with ``--plugin``.  So adding one is writing one file and editing none.

    Args:
        kind: what is registered, singular: ``"sampler"``, ``"backbone"``, ...
        package: dotted name of the package whose modules hold the built-in classes.
        base: gives the base class, which may be defined after the registry.
    """

    def __init__(self, kind: str, package: str, base: Callable[[], type[T]]) -> None:
        self.kind = kind
        self._package = package
        self._base = base
        self._classes: dict[str, type[T]] = {}
        self._variants: dict[str, Variant] = {}
        self._has_built_ins = self._has_installed = False

    def register(self, name: str) -> Callable[[C], C]:
        """Class decorator: make the class available as ``name``.

        The same code registered again (a file imported twice, a notebook's cell run again) takes
        its own place.

        Raises:
            ValueError: the name is taken by other code, or is none; or the class has no docstring
                (its first line is what ``--list`` prints).
            TypeError: it is no finished subclass of the registry's base class.
            ValueError, TypeError: a hyper-parameter is none (see `hyper_parameters.of_class`).
        """

        def decorate(cls: C) -> C:
            self._check_name(name)
            self._check_class(name, cls)
            self._load_built_ins(cls.__module__)
            taken = self._classes.get(name)
            if name in self._variants:
                self._refuse(name, self._variants[name].module, cls.__module__)
            if taken is not None and not _same_code(taken, cls):
                self._refuse(name, taken.__module__, cls.__module__)
            self._classes[name] = cls
            cls.name = name  # type: ignore[attr-defined]
            _sources.add(cls.__module__)
            return cls

        return decorate

    def variant(
        self,
        name: str,
        of: str,
        description: str,
        *,
        search_space: Mapping[str, list[Any]] | None = None,
        **defaults: Any,
    ) -> None:
        """Name a setting of a registered class: the same class, with other defaults.

        A variant is used by name like any other; ``--all`` leaves variants out.

        Args:
            name: of the variant.
            of: the registered name that it is a setting of.
            description: one line, for ``--list``.
            search_space: hyper-parameter to the values that tuning may try, in place of the
                class's; for a variant of which some of these change nothing.
            defaults: the hyper-parameters that differ.

        Raises:
            ValueError: the name is taken by other code, or is none; ``of`` is not registered, or
                has no such hyper-parameter, or not of that type.
        """
        module = sys._getframe(1).f_globals.get("__name__", "__main__")
        self._check_name(name)
        self._load_built_ins(module)
        taken = self._variants.get(name)
        if name in self._classes:
            self._refuse(name, self._classes[name].__module__, module)
        if taken is not None and _file_of(taken.module) != _file_of(module):
            self._refuse(name, taken.module, module)
        if of not in self._classes:
            raise ValueError(f"{self.kind} {name!r} is a variant of {of!r}, which is unknown")
        known = of_class(self._classes[of])
        for option, value in defaults.items():
            if option not in known:
                raise ValueError(
                    f"{self.kind} {name!r}: {of!r} has no hyper-parameter {option!r}"
                    f"{suggest(option, list(known))}"
                )
            try:
                known[option].with_default(value)
            except ValueError as error:
                raise ValueError(f"{self.kind} {name!r}, {option}: {error}") from error
        self._variants[name] = Variant(of, description, defaults, module, search_space)
        _sources.add(module)

    def adopt(self, name: str, made: type[T] | Variant) -> None:
        """Take what another process has registered under a name, and checked."""
        if isinstance(made, Variant):
            self._variants[name] = made
        else:
            self._classes[name] = made

    def _check_name(self, name: str) -> None:
        if not (json_shape.component(name) and re.fullmatch(r"\w[\w+-]*", name)):
            raise ValueError(
                f"{self.kind} {name!r}: a name has 1 to 64 letters, digits, +, - and _, "
                "neither + nor - first, as it stands in file names, labels and --set"
            )

    def _check_class(self, name: str, cls: Any) -> None:
        who, base = f"{self.kind} {name!r}", self._base()
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise TypeError(f"{who}: {cls!r} is no subclass of {base.__module__}.{base.__name__}")
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise TypeError(f"{who}: {cls!r} lacks {', '.join(missing)}; implement it")
        if not (cls.__doc__ or "").strip():
            raise ValueError(f"{who} ({cls!r}) needs a docstring")
        check_context(cls, base)
        check_methods(cls, base)
        of_class(cls)

    def _refuse(self, name: str, taken_by: str, asked_by: str) -> NoReturn:
        raise ValueError(
            f"{self.kind} {name!r} is already registered by {_file_of(taken_by)}, and now by "
            f"{_file_of(asked_by)}; give one of them another name"
        )

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
            raise UserError(f"unknown {self.kind} {name!r}{suggest(name, known)}{_idle_plugins()}")
        return self._classes[name]

    def description(self, name: str) -> str:
        """First line of the class's docstring, or the variant's own line."""
        cls = self.get(name)
        if name in self._variants:
            return self._variants[name].description
        return inspect.cleandoc(cls.__doc__ or "").splitlines()[0]

    def hyper_parameters(self, name: str) -> dict[str, HyperParameter]:
        """Hyper-parameters of ``name``, in the order of its constructor."""
        known, own = of_class(self.get(name)), self.set_by_variant(name)
        return {
            key: each.with_default(own[key]) if key in own else each for key, each in known.items()
        }

    def variant_of(self, name: str) -> Variant | None:
        """What makes ``name`` a variant; of a class, nothing."""
        self._load()
        return self._variants.get(name)

    def set_by_variant(self, name: str) -> Mapping[str, Any]:
        """The defaults that make a variant one; of a class, none."""
        variant = self.variant_of(name)
        return {} if variant is None else variant.defaults

    def declared_space(self, name: str) -> Any:
        """The ``search_space`` of a variant that has its own, else the class's, as written."""
        variant = self.variant_of(name)
        if variant is not None and variant.search_space is not None:
            return variant.search_space
        return getattr(self.get(name), "search_space", {})

    def search_space(self, name: str) -> dict[str, list[Any]]:
        """What tuning may vary: the variant's ``search_space`` if it has its own, else the class's,
        less what makes a variant one.

        Raises:
            UserError: the class names an option that it has not.
        """
        known = self.hyper_parameters(name)
        variant = self.variant_of(name)
        space: Mapping[str, list[Any]] = self.declared_space(name)
        if variant is not None and variant.search_space is None:
            space = {key: each for key, each in space.items() if key not in variant.defaults}
        for option in space:
            if option not in known:
                raise UserError(
                    f"{self.kind} {name!r}: its search_space names {option!r}, which is not a "
                    f"hyper-parameter{suggest(option, list(known))}"
                )
        return dict(space)

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
            UserError: the constructor refused a value (it raised ``ValueError``), or failed.
        """
        try:
            return self.get(name)(*context, **hyper)
        except ValueError as error:
            raise UserError(f"{self.kind} {name!r}: {error}") from error
        except (Exception, SystemExit) as error:
            names = inspect.signature(self.get(name)).parameters
            values = [*zip(names, context, strict=False), *hyper.items()]
            given = ", ".join(f"{option}={value}" for option, value in values)
            raise UserError(
                f"{self.kind} {name!r}: it cannot be made with {given or 'its defaults'} "
                f"({type(error).__name__}: {str(error).strip()[:MAX_REASON]})"
            ) from error

    def _load(self) -> None:
        self._load_built_ins()
        if self._has_installed:
            return
        self._has_installed = True
        for entry in importlib.metadata.entry_points(group=f"{ENTRY_POINT_PREFIX}.{self.kind}s"):
            try:
                entry.load()
            except Exception as error:  # a broken plug-in must not stop everybody else's run
                warnings.warn(f"plug-in {entry.value} failed to load: {error!r}", stacklevel=2)

    def _load_built_ins(self, asked_by: str = "") -> None:
        """Before anybody else registers anything, so that nobody takes a built-in's name."""
        if self._has_built_ins or asked_by.startswith(f"{self._package}."):
            return
        self._has_built_ins = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")


def _same_code(one: type, other: type) -> bool:
    return one.__qualname__ == other.__qualname__ and (
        one.__module__ == other.__module__ or _file_of(one.__module__) == _file_of(other.__module__)
    )


def _file_of(module: str) -> str:
    """A module's file, as errors name it, or its name where it has none (a notebook's)."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return module if file is None else str(Path(file).resolve())


def load_plugin(path_or_module: str) -> None:
    """Import a plug-in, a ``.py`` file or a module name, so that its decorators run.

    The folder of a file is put on the path, as Python does for a script, so that it can import the
    modules beside it.

    Raises:
        UserError: no such file or module, or it cannot be imported, or what it registers is
            refused.
    """
    path = Path(path_or_module)
    if path.suffix == ".py" and not path.is_file():
        raise UserError(f"--plugin {path_or_module}: no such file")
    if path.suffix != ".py" and (path.exists() or os.sep in path_or_module):
        raise UserError(f"--plugin {path_or_module}: give a .py file or an importable module")
    try:
        if path.suffix == ".py":
            _plugins[path_or_module] = _import_file(path.resolve())
        else:
            _plugins[path_or_module] = importlib.import_module(path_or_module).__name__
    except (Exception, SystemExit) as error:  # whatever the plug-in does wrong, it is input
        raise UserError(f"--plugin {path_or_module}: {_reason(path_or_module, error)}") from error


def _idle_plugins() -> str:
    """The end of an error message about an unknown name: plug-ins that have registered nothing, nor
    has what lies beside them."""
    busy = {Path(_file_of(source)).parent for source in _sources}
    idle = [
        given
        for given, module in _plugins.items()
        if module not in _sources and Path(_file_of(module)).parent not in busy
    ]
    return f" (--plugin {idle[-1]} registers nothing: decorate its class)" if idle else ""


def _reason(wanted: str, error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return f"it failed with {type(error).__name__}: {error}"
    if wanted == error.name or wanted.startswith(f"{error.name}."):
        return f"{error}; give a .py file or an importable module"
    return f"it imports {error.name!r}, which is not installed here and not in its folder"


def _import_file(path: Path) -> str:
    # The path tells it from another plug-in of the same file name, in every process alike.
    name = f"plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before execution, as `import` does: dataclasses look it up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return name


def suggest(name: str, known: list[str]) -> str:
    """The end of an error message about an unknown name: its nearest matches, or all names."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(near)}?"
    return f"; known: {', '.join(known)}" if known else "; it has none"

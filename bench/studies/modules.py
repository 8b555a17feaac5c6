"""Which modules can change a component's numbers, and a digest of what each of them means.

A component's numbers can be changed by its own module and by all modules of the project that it
reaches through imports; for a plug-in, the modules of its package and those beside it count too.
Other packages (torch, NumPy) do not: a cell's environment says which versions it was trained with.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from bench.studies import bytecode, syntax

PROJECT = ("bench", "samplers", "backbones")

LEFT_OUT = (
    *("bench.errors", "bench.registry", "bench.hyper_parameters", "bench.json_shape"),
    *("bench.testing", "bench.api", "bench.studies", "bench.analysis", "bench.reports"),
    "bench.costs",
)
"""Modules and packages that cannot change a number of a trained model: they word errors, look names
up, test, or handle cells before and after training.  What they import is not followed."""


@dataclass(frozen=True)
class Read:
    """A module's source.

    Attributes:
        digest: of what it means; empty where it only imports.
        reached: names of the modules that it imports and that count.
    """

    digest: str
    reached: tuple[str, ...]


def digests(names: Iterable[str]) -> frozenset[str]:
    """Digests of modules and of all that they reach, without their names.

    So a module that was moved or renamed, or cut in two that import each other's parts no more
    than before, is the same code.
    """
    return frozenset().union(*(_closure(_loaded(name)) for name in names))


def importable(name: str | None) -> bool:
    """Whether another process can import a module of this name, or load it as a plug-in."""
    found = sys.modules.get(name or "__main__")
    return name != "__main__" and getattr(found, "__spec__", None) is not None


def counts(name: str, importer: ModuleType) -> bool:
    """Whether a module that ``importer`` imports is part of the same code."""
    if name == "bench" or any(name == out or name.startswith(f"{out}.") for out in LEFT_OUT):
        return False
    top, own = _top(name), _top(importer.__name__)
    if top in PROJECT or own in PROJECT:
        return top in PROJECT
    if top == own:
        return True
    theirs = set(_distributions().get(top, []))
    if theirs and not theirs & set(_distributions().get(own, [])):
        return False  # it lies beside, as everything that is installed does
    return top not in sys.builtin_module_names and _folder(top) == _folder(own)


@cache
def _closure(module: ModuleType | str) -> frozenset[str]:
    found, left = dict[ModuleType | str, str](), [module]
    while left:
        one = left.pop()
        if one not in found:
            read = _read(one)
            found[one] = read.digest
            left += map(_loaded, read.reached)
    return frozenset(found.values()) - {""}


def _loaded(name: str) -> ModuleType | str:
    """The module if it is loaded: a plug-in that is loaded anew is another one of that name."""
    return sys.modules.get(name, name)


@cache
def _read(module: ModuleType | str) -> Read:
    """As it was when this process first asked: what is edited later is not what runs here."""
    if isinstance(module, str):
        spec = importlib.util.find_spec(module)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)  # not executed
    source = _source(module)
    try:
        return _read_tree(ast.parse(source or ""), module) if source else _read_code(module)
    except (SyntaxError, ValueError, RecursionError):  # edited since, or no Python to begin with
        return Read(_sha(source or ""), ())


def _read_tree(tree: ast.Module, module: ModuleType) -> Read:
    reached, others = set[str](), set[str]()
    for one in syntax.imports(tree, module.__package__ or ""):
        whole = f"{one.module}.{one.name}" if one.name else one.module
        names = [name for name in {*_parents(one.module), whole} if _is_module(name)]
        if _top(one.module) in PROJECT or counts(one.module, module):
            reached.update(name for name in names if counts(name, module))
            # Where it lies says nothing; that it is called otherwise here does.
            if whole not in names and one.bound != one.name:
                others.add(f"{one.name} as {one.bound}")
        elif one.module != "__future__":
            others.add(f"{one.module} {one.name} as {one.bound}")
    text = syntax.meaning(tree)
    if text == "Module()" and not others:
        return Read("", tuple(sorted(reached)))
    return Read(_sha("\n".join([text, *sorted(others)])), tuple(sorted(reached)))


def _source(module: ModuleType) -> str | None:
    spec = module.__spec__
    loader: Any = getattr(spec, "loader", None)
    name = module.__name__ if spec is None else spec.name
    for read in (lambda: loader.get_source(name), lambda: inspect.getsource(module)):
        with contextlib.suppress(AttributeError, ImportError, OSError, TypeError):
            source: str | None = read()
            if source is not None:
                return source
    return None


def _read_code(module: ModuleType) -> Read:
    """What there is in place of a source: code, or the bytes of an extension."""
    with contextlib.suppress(AttributeError, ImportError, OSError):
        loader: Any = getattr(module.__spec__, "loader", None)
        code = loader.get_code(module.__name__)
        if isinstance(code, CodeType):
            return Read(_sha(bytecode.meaning(code)), ())
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return Read(_sha(Path(str(module.__file__)).read_bytes()), ())
    return Read("", ())  # a namespace package has no code


def _sha(content: str | bytes) -> str:
    content = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(content).hexdigest() if content else ""


def _top(name: str) -> str:
    return name.partition(".")[0]


def _parents(name: str) -> Iterator[str]:
    """Of ``a.b.c``: ``a``, ``a.b`` and itself; importing it runs all of them."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


@cache
def _is_module(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@cache
def _folder(top: str) -> Path | None:
    """Where a top-level module or package lies."""
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # what runs as a script has none
        spec = None
    if spec is None:
        file = getattr(sys.modules.get(top), "__file__", None)
        return Path(file).resolve().parent if file else Path.cwd() if top == "__main__" else None
    places = spec.submodule_search_locations
    if places is not None:
        return next((Path(place).resolve().parent for place in places), None)
    return Path(spec.origin).resolve().parent if spec.has_location and spec.origin else None


@cache
def _distributions() -> dict[str, list[str]]:
    """Top-level names to the installed packages that they come from."""
    return dict(importlib.metadata.packages_distributions())

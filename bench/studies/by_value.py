"""Components that no other process can import: those of a notebook, or of a script that is run.

They travel to workers as values.  What they mean is read where they were made, from their compiled
code and from what it uses, and travels with them: a worker could not read it in the same way.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import cloudpickle

from bench import references
from bench.cell import Cell
from bench.registry import Registry, Variant
from bench.studies import bytecode, modules
from bench.studies.components import REGISTRIES, components

CARRIED: dict[str, Registry[Any]] = REGISTRIES | {references.registry.kind: references.registry}
"""What a worker may have to be sent, by kind: a cell's components, and references."""


@dataclass(frozen=True)
class Code:
    """What a class means.

    Attributes:
        digest: of the parts that no other process can import.
        reached: the modules that these use and that count (see `modules.counts`).
    """

    digest: str
    reached: tuple[str, ...]

    @property
    def digests(self) -> frozenset[str]:
        """Of all its parts, as this process has them."""
        return modules.digests(self.reached) | {self.digest}


@dataclass(frozen=True)
class Carried:
    """A class or a variant on its way to a worker.

    Attributes:
        kind: of its registry.
        name: that it is registered under there.
        made: the class, pickled, or the variant.
        code: what the class means.
        home: the process that it comes from.
    """

    kind: str
    name: str
    made: bytes | Variant
    code: Code | None
    home: str


_HOME = uuid.uuid4().hex
_arrived: WeakKeyDictionary[type, Code] = WeakKeyDictionary()
"""What classes from elsewhere mean."""


def carry(cell: Cell) -> tuple[Carried, ...]:
    """Those of a cell's components, and of all references, that a worker cannot import."""
    carried = []
    compared_with = [(references.registry, name) for name in references.registry.names()]
    its = [(registry, part.name) for registry, part in components(cell)]
    for registry, name in dict.fromkeys([*its, *compared_with]):
        variant, cls = registry.variant_of(name), registry.get(name)
        if variant is not None and not modules.importable(variant.module):
            carried.append(Carried(registry.kind, name, variant, None, _HOME))
        if not modules.importable(cls.__module__):
            own = name if variant is None else variant.of
            carried.append(Carried(registry.kind, own, _pickled(cls), code_of(cls), _HOME))
    return tuple(carried)


def arrive(carried: Iterable[Carried]) -> None:
    """Register in this process what comes from another one."""
    for one in carried:
        if one.home == _HOME:
            continue  # a worker's thread in the process that it comes from
        registry = CARRIED[one.kind]
        if isinstance(one.made, Variant):
            registry.adopt(one.name, one.made)
        else:
            cls = cloudpickle.loads(one.made)
            assert one.code is not None
            _arrived[cls] = one.code
            registry.adopt(one.name, cls)


def _pickled(cls: type) -> bytes:
    module = sys.modules.get(cls.__module__)
    if module is None or cls.__module__ == "__main__":  # by value of itself
        return bytes(cloudpickle.dumps(cls))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(cls))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def code_of(cls: type) -> Code:
    """What a class means that cannot be imported."""
    # Anew each time: a variable that it reads may have changed, in a notebook.
    return _arrived.get(cls) or _Reader().read(cls)


class _Reader:
    """Goes from a class to all that it uses."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reached: set[str] = set()
        self._seen: dict[int, Any] = {}  # by identity; kept, so that none is given again

    def read(self, cls: type) -> Code:
        self._visit("", cls)
        digest = hashlib.sha256("\n".join(self._texts).encode()).hexdigest()
        return Code(digest, tuple(sorted(self._reached)))

    def _visit(self, name: str, one: Any) -> None:
        """Add one thing that code uses under a name."""
        if isinstance(one, ModuleType):
            self._import(name, one.__name__, "")
        elif isinstance(one, type | FunctionType) and modules.importable(one.__module__):
            self._import(name, one.__module__, one.__qualname__)
        elif isinstance(one, type | FunctionType):
            self._texts.append(f"{name} is {one.__qualname__}")
            if id(one) not in self._seen:
                self._seen[id(one)] = one
                if isinstance(one, type):
                    self._class(one)
                else:
                    self._function(one)
        elif functions := list(_functions(one)):  # a property or another wrapper of a method
            self._texts.append(f"{name} is {type(one).__name__}")
            for function in functions:
                self._visit(name, function)
        else:
            self._texts.append(f"{name} is {bytecode.value(one)}")
            if type(one).__module__ != "builtins":
                self._visit(f"type of {name}", type(one))

    def _class(self, cls: type) -> None:
        for base in cls.__bases__:
            self._visit("base", base)
        for name, value in sorted(vars(cls).items()):
            if name not in UNSEEN:
                self._visit(name, value)

    def _function(self, function: FunctionType) -> None:
        self._texts.append(bytecode.meaning(function.__code__))
        self._visit("defaults", function.__defaults__)
        self._visit("keywords", function.__kwdefaults__)
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # it is empty
                self._visit("closure", cell.cell_contents)
        for name in sorted(_names(function.__code__)):
            if name in function.__globals__:
                self._visit(name, function.__globals__[name])

    def _import(self, name: str, module: str, what: str) -> None:
        main = sys.modules["__main__"]
        if module.partition(".")[0] in modules.PROJECT or modules.counts(module, main):
            if modules.counts(module, main):
                self._reached.add(module)
            self._texts.append(f"{name} is {what}")
        else:
            self._texts.append(f"{name} is {module} {what}")


UNSEEN = {
    *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__"),
    *("__abstractmethods__", "_abc_impl", "__firstlineno__", "__static_attributes__", "name"),
    *("__annotate__", "__annotate_func__", "__annotations_cache__", "__orig_bases__"),
}
"""What a class has without its code saying so, or that does not change what it does."""


def _functions(one: Any) -> Iterator[Callable[..., Any]]:
    for attribute in ("__func__", "func", "fget", "fset", "__wrapped__"):
        function = getattr(one, attribute, None)
        if isinstance(function, FunctionType):
            yield function


def _names(code: CodeType) -> set[str]:
    """Names that code may look up outside itself."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*(_names(each) for each in inner))

"""What a module's source means: its syntax tree without what cannot change a number.

The same text on every version of Python that this project runs on: fields that are empty are left
out, so those that a later version adds do not show.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

UNSEEN = ("ctx", "kind", "type_comment", "type_ignores")
"""Fields that follow from the rest of the tree, or that only other tools read."""


@dataclass(frozen=True)
class Imported:
    """One name that a module imports.

    Attributes:
        module: where from, absolute.
        name: what of it; empty for the module itself.
        bound: what it is called here.
    """

    module: str
    name: str
    bound: str


def meaning(tree: ast.AST) -> str:
    """A syntax tree as text, without docstrings, comments, positions and imports.

    Imports are told apart from the rest by `imports`: whether what they name has moved or has
    changed is to be seen there, not here.
    """
    if isinstance(tree, ast.JoinedStr):
        return f"JoinedStr({_list(_joined(tree.values))})"
    if isinstance(tree, ast.Constant):
        return f"Constant({tree.value!a})"  # None is a value here, and no empty field
    fields = []
    for name in sorted(tree._fields):
        value = getattr(tree, name, None)
        text = _list(value) if isinstance(value, list) else _one(value)
        if name not in UNSEEN and value is not None and text != "[]":
            fields.append(f"{name}={text}")
    return f"{type(tree).__name__}({','.join(fields)})"


def _one(value: Any) -> str:
    return meaning(value) if isinstance(value, ast.AST) else ascii(value)


def _list(values: list[Any]) -> str:
    return f"[{','.join(_one(value) for value in _counting(values))}]"


def _counting(values: list[Any]) -> Iterator[Any]:
    """A list without the statements that do nothing, or nothing but import."""
    for value in values:
        if _only_for_types(value):
            yield from _counting(value.orelse)
        elif not (_is_bare_text(value) or _is_names_to_export(value) or isinstance(value, NOTHING)):
            yield value


NOTHING = (ast.Pass, ast.Import, ast.ImportFrom)


def _is_bare_text(node: Any) -> bool:
    """A docstring, of a constant too."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_names_to_export(node: Any) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
    )


def _only_for_types(node: Any) -> bool:
    """``if TYPE_CHECKING:``, whose body never runs."""
    return isinstance(node, ast.If) and (
        getattr(node.test, "id", None) == "TYPE_CHECKING"
        or getattr(node.test, "attr", None) == "TYPE_CHECKING"
    )


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, texts that follow one another in one: versions cut them anew."""
    made: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant):
            if made and isinstance(made[-1], ast.Constant):
                made[-1] = ast.Constant(f"{made[-1].value!s}{value.value!s}")
            elif value.value:
                made.append(value)
        else:
            made.append(value)
    return made


def imports(tree: ast.AST, package: str) -> Iterator[Imported]:
    """What a module imports, in functions too, but for what only type checkers see.

    Args:
        tree: of the module.
        package: that it is in, for relative imports; empty for none.
    """
    for node in _running(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Imported(alias.name, "", alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Imported(module, alias.name, alias.asname or alias.name)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    for node in ast.iter_child_nodes(tree):
        if _only_for_types(node):
            for other in node.orelse:  # type: ignore[attr-defined]
                yield from _running(other)
        else:
            yield from _running(node)

"""What holds for every module: sizes that can be read, and text files in one encoding."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM, ALL = ("bench", "samplers", "backbones"), ("bench", "samplers", "backbones", "tests")
COMMANDS = ("grid", "report", "data", "speed", "check", "recommend")
MODULE, FUNCTION, COMMAND = 400, 60, 200
"""Most lines of a module, of a function with its decorators, of a command's module."""


def modules(*folders):
    """Name and text of every module."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def calls_of(text):
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def long_functions(text, most):
    """Name and length of functions of more lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            if node.end_lineno - first + 1 > most:
                yield f"{node.name}: {node.end_lineno - first + 1} lines"


def without_encoding(text):
    """Lines where a text file is opened, read or written in whatever encoding a machine has."""
    for call in calls_of(text):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = {keyword.arg for keyword in call.keywords}
        if "encoding" in given or "fileobj" in given:  # the latter: an archive
            continue
        mode = call.args[-1:] if isinstance(call.func, ast.Attribute) else call.args[1:2]
        known = [isinstance(each, ast.Constant) and isinstance(each.value, str) for each in mode]
        as_text = not mode or (all(known) and "b" not in mode[0].value)
        if name in ("read_text", "write_text") or (name in ("open", "fdopen") and as_text):
            yield call.lineno


def test_no_module_is_too_long_to_read():
    lengths = {name: len(text.splitlines()) for name, text in modules(*ALL)}
    assert len(lengths) > 150
    found = [f"{name}: {n} lines" for name, n in lengths.items() if n > MODULE]
    assert not found, "\n".join(found)


def test_no_function_is_too_long_to_read():
    found = [
        f"{name}: {function}"
        for name, text in modules(*ALL)
        for function in long_functions(text, FUNCTION)
    ]
    assert not found, "\n".join(found)


def test_commands_parse_call_and_return():
    lengths = {
        name: len((ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8").splitlines())
        for name in COMMANDS
    }
    assert {name: n for name, n in lengths.items() if n >= COMMAND} == {}


def test_text_files_name_their_encoding():
    found = [
        f"{name}:{line}" for name, text in modules(*PROGRAM) for line in without_encoding(text)
    ]
    assert not found, "\n".join(found)


def test_a_function_counts_with_its_decorators():
    text = "@once\n@twice\ndef f():\n    pass\n\nclass C:\n    def g(self):\n        pass\n"
    assert list(long_functions(text, 3)) == ["f: 4 lines"]
    assert list(long_functions(text, 1)) == ["f: 4 lines", "g: 2 lines"]


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("path.read_text()", [1]),
        ("path.write_text(text)", [1]),
        ("path.write_text(text, encoding='utf-8')", []),
        ("path.open()", [1]),
        ("path.open('a')", [1]),
        ("path.open('rb')", []),
        ("path.open(encoding='utf-8', errors='replace')", []),
        ("open(path)", [1]),
        ("open(path, 'w')", [1]),
        ("open(path, 'wb')", []),
        ("archive.open(member)", []),
        ("tarfile.open(fileobj=raw, mode='r|')", []),
    ],
)
def test_an_encoding_left_out_is_found(call, found):
    assert list(without_encoding(call)) == found

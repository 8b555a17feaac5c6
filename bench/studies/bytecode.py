"""What compiled code means, where there is no source to read: in a notebook, for one."""

from __future__ import annotations

import dis
from types import CodeType
from typing import Any


def meaning(code: CodeType) -> str:
    """A function's instructions with their constants, without docstring and positions.

    The same for one version of Python alone.
    """
    steps = [f"{step.opname} {value(step.argval)}" for step in dis.get_instructions(code)]
    return f"{code.co_name}({code.co_argcount},{code.co_kwonlyargcount},{code.co_flags}):{steps}"


def value(content: Any) -> str:
    """A constant, or a variable that code reads, as text: the same for equal ones.

    Of what is neither plain nor an array, the type alone.
    """
    if isinstance(content, CodeType):
        return meaning(content)
    kind = type(content).__name__
    if content is None or type(content) in (bool, int, float, complex, str, bytes):
        return f"{kind} {content!a}"
    if isinstance(content, list | tuple):
        return f"{kind} [{','.join(map(value, content))}]"
    if isinstance(content, set | frozenset):
        return f"{kind} [{','.join(sorted(map(value, content)))}]"
    if isinstance(content, dict):
        return f"{kind} [{','.join(f'{value(k)}:{value(v)}' for k, v in content.items())}]"
    if hasattr(content, "dtype") and hasattr(content, "tolist"):
        return f"{kind} {content.dtype} {content.tolist()!r}"
    return kind

"""``python -m bench.grid --from STUDY.toml``: a file that holds what the options hold.

A key is the name of an option.  What the command line gives too takes its place; ``--set`` and
``--plugin`` add to it.  Paths are as on the command line.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from bench import json_shape
from bench.errors import UserError
from bench.files import read_limited, why
from bench.grid_options import parser, time
from bench.registry import suggest
from bench.terminal import Parser

SUFFIX = ".toml"
MAX_BYTES = 2**20

OTHER_NAMES = {"plugin": "plugins", "set": "settings"}
"""Options that stand for one of several, to the keys that hold all, named as in `bench.plan`."""

NO_KEYS = {"help", "from", "list", "dry-run", "yes"}
"""Options that are no part of a study."""


def parse(given: Sequence[str]) -> argparse.Namespace:
    """The options of a command line, with those of the TOML that it names, if it does.

    Raises:
        UserError: the file cannot be read, or holds what is no option, or not of its type.
    """
    options = parser().parse_args(given)
    path = options.file
    if path is None or path.suffix != SUFFIX:
        return options
    merged = _of_file(path)
    bare = parser()
    for action in bare._actions:
        action.default = argparse.SUPPRESS  # so that there is only what was given
    for name, value in vars(bare.parse_args(given)).items():
        before = getattr(merged, name)
        setattr(merged, name, before + value if name in OTHER_NAMES else value)
    merged.file, merged.study = None, merged.study or path.stem
    return merged


def _of_file(path: Path) -> argparse.Namespace:
    class OfFile(Parser):
        def error(self, message: str) -> NoReturn:
            raise UserError(f"--from {path}: {message}")

    made = parser(OfFile)
    keys = _keys(made)
    words = list[str]()
    for key, value in _read(path).items():
        if key not in keys:
            raise UserError(f"--from {path}: unknown key {key!r}{suggest(key, sorted(keys))}")
        words += _words(path, key, keys[key], value)
    return made.parse_args(words)


def _keys(made: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Key to the option that it is."""
    named = {
        action.option_strings[-1].removeprefix("--"): action
        for action in made._actions
        if action.option_strings
    }
    return {
        OTHER_NAMES.get(name, name): action for name, action in named.items() if name not in NO_KEYS
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_limited(path, MAX_BYTES))
    except OSError as error:
        raise UserError(f"--from {path}: cannot be read ({why(error)})") from error
    except (ValueError, RecursionError) as error:  # with the line
        raise UserError(f"--from {path}: no TOML: {error}") from error


def _words(path: Path, key: str, action: argparse.Action, value: Any) -> list[str]:
    """What a key and its value are on a command line."""
    option = action.option_strings[-1]
    if key == OTHER_NAMES["set"]:
        return [f"{option}={each}" for each in _settings(path, value)]
    several = isinstance(action, argparse._AppendAction) or action.nargs == "+"
    if action.nargs == 0:
        expected, fits = "true or false", isinstance(value, bool)
    elif several:
        value = [value] if isinstance(value, str) else value
        expected = "a list of texts"
        fits = isinstance(value, list) and all(isinstance(each, str) for each in value)
    elif action.type in (None, Path, time):
        expected, fits = "a text", isinstance(value, str)
    else:
        expected, fits = "a whole number", type(value) is int
    if not fits:
        raise UserError(f"--from {path}: {key} is {str(value)[:40]!r}; expected {expected}")
    if action.nargs == 0:
        return [option] if value else []
    if action.nargs == "+":
        return [option, *value] if value else [option]
    return [f"{option}={each}" for each in (value if several else [value])]


def _settings(path: Path, value: Any) -> Iterator[str]:
    """``NAME=VALUE`` of a table, or of tables in it (``[settings.mdcns]``)."""
    from bench.studies.sweeps import written  # who asks for help does not wait for this

    if not isinstance(value, dict):
        raise UserError(f"--from {path}: settings is {str(value)[:40]!r}; expected a table")
    for name, each in _flat(value):
        if not all(map(json_shape.scalar, each if isinstance(each, list) else [each])):
            raise UserError(
                f"--from {path}: settings, {name} is {str(each)[:40]!r}; expected a number, "
                "a text, true or false, or a list of these"
            )
        yield written(name, each)


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{option}", its) for option, its in _flat(value))
        else:
            yield name, value

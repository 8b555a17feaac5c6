"""JSON of this project's files with a wrong value somewhere."""

from __future__ import annotations

import copy
import itertools
import json
import random

import pytest
from support.hostile import TRIED, attempt
from support.targets import TARGETS


def places_of(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for name, part in inner:
        yield from places_of(part, (*path, name))


def put(value, path, new):
    """A JSON value with another at one place; without it where ``new`` is `KeyError`."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    parent = changed
    for name in path[:-1]:
        parent = parent[name]
    if new is KeyError:
        del parent[path[-1]]
    else:
        parent[path[-1]] = new
    return changed


WRONG = [
    KeyError, None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "x", "\ud800",
    "<script>alert(1)</script>", "a|b\n# c", "../../x", "$\\frac{", "n" * 5000, [], [1], {},
    {"a": 1}, {"a": {"b": []}}, [[]] * 3,
]  # fmt: skip


@pytest.mark.parametrize("name", ["cell.json", "tuning.json", "log.jsonl"])
def test_json_of_another_shape(name, tmp_path):
    wrong_json(TARGETS[name], 15, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cell.json", "tuning.json", "log.jsonl"])
def test_every_place_of_json_with_every_wrong_value(name, tmp_path):
    wrong_json(TARGETS[name], None, tmp_path)
    print(f"\n{name}: {TRIED[name]} inputs, {TRIED[f'{name} refused']} refused")


def wrong_json(target, count, folder):
    good = json.loads(target.content)
    pairs = [
        (path, new)
        for path, new in itertools.product(places_of(good), WRONG)
        if path or new is not KeyError
    ]
    for path, new in pairs if count is None else random.Random(0).sample(pairs, count):
        attempt(target, json.dumps(put(good, path, new)).encode(), folder)

"""What counts as other code, and for which cells."""

from __future__ import annotations

import ast
import hashlib
import importlib
import os
import py_compile
import sys
import zipfile
from pathlib import Path

import pytest
from support.cells import cell_of

import samplers
from bench.registry import load_plugin
from bench.studies import modules, syntax
from bench.studies.code import code_digest

SAMPLERS = ("uniform", "dns", "dns+", "mixgcf")


def meaning(text):
    return syntax.meaning(ast.parse(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "# why\n\nx = (1)  # one"),
        ("def f():\n    return 1", "'''A module.'''\ndef f():\n    '''One.'''\n    return 1"),
        ("class A: pass", "class A:\n    '''Empty.'''"),
        ("x = 1", "x = 1\n'''An attribute's docstring.'''"),
        ("x = 1", "import a\nfrom b import c\nx = 1\n__all__ = ['x']"),
        ("x = 1", "if TYPE_CHECKING:\n    from a import b\n    B = list[b]\nx = 1"),
        ("x = 1", "if typing.TYPE_CHECKING:\n    y = 2\nelse:\n    x = 1"),
        ("x = 'a' 'b'", 'x = "ab"'),
        ("f'{x}' 'b'", "f'{x}b'"),
        ("x = u'a'", "x = 'a'"),
    ],
)
def test_what_means_the_same(one, other):
    assert meaning(one) == meaning(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = None", "x = ..."),
        ("x = 'None'", "x = None"),
        ("def f(a, b): ...", "def f(a, *, b): ..."),
        ("def f(): return", "def f(): return None"),
        ("x: int = 1", "x: float = 1"),
        ("if a:\n    b()\nelse:\n    c()", "if a:\n    c()\nelse:\n    b()"),
        ("x = [a, b]", "x = [b, a]"),
        ("{**a, 1: b}", "{1: b, **a}"),
        ("f'{x!r}'", "f'{x}'"),
        ("f'{x:.1f}'", "f'{x:.2f}'"),
    ],
)
def test_what_does_not(one, other):
    assert meaning(one) != meaning(other)


def test_a_meaning_is_the_same_text_on_every_version_of_python():
    text = "@d\ndef f(a, *, b: int, c=f'{a!r:>{w}}x', **k) -> None:\n    return {1: lambda: -2.5}\n"
    digest = hashlib.sha256(meaning(f"{text}class A(B):\n    x = 'é'").encode()).hexdigest()
    assert digest[:16] == "71c31102021e61eb"


@pytest.fixture
def edit(monkeypatch):
    """Gives the digests of samplers after a built-in module's source was edited."""
    sources = {}

    def source(module, read=modules._source):
        return sources.get(module.__name__) or read(module)

    def digests(name="", change=lambda text: text):
        sources.clear()
        if name:
            sources[name] = change(Path(importlib.import_module(name).__file__).read_text())
        forget()
        return {sampler: code_digest(cell_of(sampler)) for sampler in SAMPLERS}

    def forget():
        modules._read.cache_clear()
        modules._closure.cache_clear()

    monkeypatch.setattr(modules, "_source", source)
    yield digests
    forget()


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("samplers.base", SAMPLERS),
        ("bench.history", SAMPLERS),
        ("bench.pools", SAMPLERS),
        ("bench.scoring", SAMPLERS),
        ("backbones.gru4rec", SAMPLERS),
        ("backbones.layers", SAMPLERS),
        ("backbones.sasrec", ()),
        ("bench.objectives.base", SAMPLERS),
        ("bench.objectives.bpr", ()),
        ("samplers.dns", ("dns", "dns+", "mixgcf")),
        ("samplers.dns_plus", ("dns+",)),
        ("samplers.uniform", ("uniform",)),
        ("bench.registry", ()),
        ("bench.errors", ()),
    ],
)
def test_an_edit_makes_those_stale_whose_numbers_it_can_change(edit, name, stale):
    before = edit()
    assert edit(name, lambda text: f"# Another one.\n{text}\n'The end.'\n") == before
    after = edit(name, lambda text: f"{text}\nX = 1\n")
    assert {sampler for sampler in SAMPLERS if before[sampler] != after[sampler]} == set(stale)


def test_a_module_that_moves_is_the_same_code(edit, monkeypatch):
    before = edit()
    monkeypatch.setitem(sys.modules, "samplers.moved", importlib.import_module("samplers.dns"))
    modules._is_module.cache_clear()
    for old, new in [("samplers.dns", "samplers.moved"), ("import check", "import other as check")]:
        after = edit("samplers.dns_plus", lambda text: text.replace(old, new))  # noqa: B023
        same = {sampler for sampler in SAMPLERS if before[sampler] == after[sampler]}
        assert same == {*SAMPLERS} - ({"dns+"} if "other" in new else set())


PLUGIN = """
{above}
import samplers

@samplers.register("mine")
class Mine(samplers.Sampler):
    "Mine."
    def sample(self, views):
        {within}
        return [samplers.Negatives(ids=view.pool(1)) for view in views]
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Gives the digest of a plug-in in a folder of its own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)

    def forget():
        samplers.registry._classes.pop("mine", None)
        for name in set(sys.modules) - before:
            del sys.modules[name]
        for cached in (modules._is_module, modules._folder, modules._closure, modules._read):
            cached.cache_clear()

    def digest(above="", within="", load="mine.py", **files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        files = {"mine": PLUGIN.format(above=above, within=within), **files}
        for name, text in files.items():
            path = folder / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        forget()
        sys.path.insert(0, str(folder))
        load_plugin(str(folder / load) if load.endswith(".py") else load)
        try:
            return code_digest(cell_of("mine"))
        finally:
            sys.path.remove(str(folder))

    yield digest
    forget()


def test_the_modules_beside_a_plug_in_count(plugin):
    first = plugin("from beside import X", beside="X = 1")
    assert plugin("from beside import X", beside="X = 1  # one") == first
    assert plugin("from other import X", other="X = 1") == first
    assert plugin("from beside import X", beside="X = 2") != first
    assert plugin("from beside import X", beside="from deep import X", deep="X = 1") != plugin(
        "from beside import X", beside="from deep import X", deep="X = 2"
    )


def test_imports_in_functions_count_and_those_for_types_do_not(plugin):
    within = "from beside import X"
    assert plugin(within=within, beside="X = 1") != plugin(within=within, beside="X = 2")
    types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from beside import X"
    assert plugin(types, beside="X = 1") == plugin(types, beside="X = 2")


def test_a_package_s_own_modules_count(plugin):
    def digest(x):
        text = PLUGIN.format(above="from .parts import X", within="")
        return plugin(load="pack.mine", pack____init__="", pack__mine=text, pack__parts=f"X = {x}")

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_what_is_installed_beside_a_plug_in_does_not_count(plugin, monkeypatch):
    assert not modules.counts("numpy", sys.modules["pandas"])
    monkeypatch.setattr(modules, "_distributions", lambda: {"beside": ["Theirs"]})
    first = plugin("from beside import X", beside="X = 1")
    assert plugin("from beside import X", beside="X = 2") == first


def test_what_other_packages_give_is_told_apart(plugin):
    assert plugin("from math import sin as f") != plugin("from math import cos as f")


@pytest.mark.parametrize("form", ["zip", "compiled"])
def test_code_without_a_file_of_source_is_read_all_the_same(tmp_path, plugin, form):
    def digest(within):
        folder = tmp_path / f"{form} {len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        source = folder / "packed.py"
        source.write_text(PLUGIN.format(above="", within=within))
        if form == "zip":
            place = folder / "packed.zip"
            with zipfile.ZipFile(place, "w") as packed:
                packed.write(source, "packed.py")
        else:
            place = folder
            py_compile.compile(str(source), str(folder / "packed.pyc"), doraise=True)
        os.remove(source)
        sys.modules.pop("packed", None)
        sys.path.insert(0, str(place))
        importlib.invalidate_caches()
        samplers.registry._classes.pop("mine", None)
        load_plugin("packed")
        return code_digest(cell_of("mine"))

    first = digest("x = 1")
    assert digest("x = 1") == first
    assert digest("x = 2") != first

"""Plug-ins: files, modules and installed packages that bring components."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from support import forked
from support.grid import SMALL, clean_environment, command, records

import samplers
from bench.errors import UserError
from bench.registry import Registry, load_plugin


def written(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


MINE = """
import samplers

@samplers.register({name!r})
class {cls}(samplers.Sampler):
    'Mine.'
    def sample(self, views): raise NotImplementedError
"""


@pytest.fixture
def no_trace(monkeypatch):
    """What is registered and imported meanwhile is forgotten again."""
    samplers.registry.names()
    for name in ("_classes", "_variants"):
        monkeypatch.setattr(samplers.registry, name, dict(getattr(samplers.registry, name)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("cls", ["Mine", "Other"])
def test_two_files_cannot_have_one_name_whatever_their_classes_are_called(tmp_path, no_trace, cls):
    one = written(tmp_path / "a", "mine.py", MINE.format(name="mine", cls="Mine"))
    two = written(tmp_path / "b", "mine.py", MINE.format(name="mine", cls=cls))
    load_plugin(one)
    with pytest.raises(UserError) as error:
        load_plugin(two)
    assert one in str(error.value)
    assert two in str(error.value)
    assert "give one of them another name" in str(error.value)
    load_plugin(one)  # again, as a worker may
    sys.path.insert(0, str(tmp_path / "a"))
    importlib.import_module("mine")  # and as a module
    assert samplers.registry.description("mine") == "Mine."


def test_one_file_cannot_use_a_name_twice(tmp_path, no_trace):
    text = MINE.format(name="mine", cls="Mine") + MINE.format(name="mine", cls="Other")
    with pytest.raises(UserError, match="already registered"):
        load_plugin(written(tmp_path, "mine.py", text))


def test_a_built_in_keeps_its_name_even_before_it_is_asked_for(tmp_path):
    plugin = written(tmp_path, "mine.py", MINE.format(name="dns", cls="DNS"))
    script = f"from bench.registry import Registry, load_plugin; load_plugin({plugin!r})"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "UserError" in run.stderr
    assert "samplers/dns.py" in run.stderr
    assert plugin in run.stderr


def test_variants_and_classes_share_their_names(tmp_path, no_trace):
    variant = "import samplers\nsamplers.variant({!r}, 'dns', 'Of mine.', N={})\n"
    taken = written(tmp_path, "taken.py", variant.format("uniform", 5))
    with pytest.raises(UserError, match=r"samplers/uniform\.py, and now by .*taken\.py"):
        load_plugin(taken)
    with pytest.raises(UserError, match=r"samplers/mdcns\.py, and now by .*mine\.py"):
        load_plugin(written(tmp_path, "mine.py", MINE.format(name="mdcns-released", cls="Mine")))
    one = written(tmp_path, "one.py", variant.format("dns-5", 5))
    load_plugin(one)
    load_plugin(one)
    with pytest.raises(UserError, match=r"one\.py, and now by .*two\.py"):
        load_plugin(written(tmp_path, "two.py", variant.format("dns-5", 6)))
    assert samplers.registry.resolve("dns-5", {}) == {"N": 5}


def test_a_plug_in_that_registers_nothing_is_named_when_its_class_is_missed(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.registry._plugins", {})
    text = "from samplers.dns import DNS\nclass Mine(DNS): ...\n"
    load_plugin(written(tmp_path, "forgot.py", text))
    load_plugin("samplers.dns")  # which has registered, if long ago
    with pytest.raises(UserError, match=r"unknown sampler 'mine'.* \(--plugin .*forgot.py regis"):
        samplers.registry.get("mine")


def test_a_plug_in_imports_the_modules_beside_it(tmp_path, no_trace):
    written(tmp_path, "beside_mine.py", "NAME = 'mine'\n")
    text = MINE.replace("{name!r}", "NAME").format(cls="Mine")
    load_plugin(written(tmp_path, "mine.py", f"from beside_mine import NAME\n{text}"))
    assert samplers.registry.description("mine") == "Mine."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import absent_package.part", "it imports 'absent_package', which is not installed"),
        ("raise SystemExit(3)", "it failed with SystemExit: 3"),
        ("1 / 0", "it failed with ZeroDivisionError"),
    ],
)
def test_a_plug_in_that_cannot_be_imported_is_one_error(tmp_path, no_trace, text, message):
    with pytest.raises(UserError, match=message):
        load_plugin(written(tmp_path, "mine.py", text))
    assert not [name for name in sys.modules if name.startswith("plugin_mine")]


def test_a_plug_in_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_plugin(str(tmp_path / "absent.py"))
    for name in ("no_such_module", "no_such_package.module", str(tmp_path), "./a/module"):
        with pytest.raises(UserError, match="importable module"):
            load_plugin(name)


def test_installed_packages_offer_components_by_entry_points(monkeypatch):
    class Entry:
        value = "their_package:Theirs"

        def __init__(self, load):
            self.load = load

    class Base:
        pass

    made = Registry("thing", "bench.objectives", lambda: Base)

    def load():
        made.register("theirs")(type("Theirs", (Base,), {"__doc__": "Theirs."}))

    def broken():
        raise ImportError("no such module")

    def entry_points(group):
        assert group == "negative_sampling_bench.things"
        return [Entry(broken), Entry(load)]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    with pytest.warns(UserWarning, match="their_package:Theirs failed to load"):
        assert made.names() == ["theirs"]  # a broken plug-in does not stop the others


def test_a_package_of_ones_own_is_installed_and_used_by_name(tmp_path):
    """From outside the repository: pip install, then the sampler's name is enough."""
    package = tmp_path / "theirs"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n"
        "[project]\nname = 'their-samplers'\nversion = '1.0'\n"
        "[project.entry-points.'negative_sampling_bench.samplers']\n"
        "first = 'their_samplers'\n"
        "[tool.setuptools]\npy-modules = ['their_samplers']\n"
    )
    (package / "their_samplers.py").write_text(
        "import samplers\n\n\n"
        "@samplers.register('their-uniform')\n"
        "class TheirUniform(samplers.Sampler):\n"
        '    """Theirs, from an installed package."""\n\n'
        "    def sample(self, views):\n"
        "        return [samplers.Negatives(ids=view.pool(1)) for view in views]\n"
    )
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation",
           "--no-index", "--target", str(site), str(package)]  # fmt: skip
    installed = subprocess.run(pip, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stderr
    environment = clean_environment()
    environment["PYTHONPATH"] += f":{site}"
    words = command(tmp_path, *SMALL, "--samplers", "their-uniform", "uniform", "--workers", 2)
    run = forked.run(words[1:], tmp_path, environment)
    assert run.returncode == 0, run.stderr
    scores = {r["config"]["sampler"]["name"]: r["metrics"] for r in records(tmp_path).values()}
    assert scores["their-uniform"] == scores["uniform"]  # it does draw the same

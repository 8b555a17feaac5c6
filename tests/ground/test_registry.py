"""Names to classes: look-up, introspection, near misses, plug-ins."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import pytest
from support.grid import SMALL, clean_environment, command, records

import backbones
import samplers
from bench import objectives
from bench.errors import UserError
from bench.registry import Registry, load_plugin


class Base:
    pass


@pytest.fixture
def registry():
    made: Registry[Base] = Registry("thing", "bench.objectives")

    @made.register("alpha")
    class Alpha(Base):
        """The first.

        More about it.
        """

        def __init__(
            self,
            context: int,
            *,
            rate: float = 0.5,
            size: int = 3,
            on: bool = True,
            peer: str | None = None,
            kind: Literal["a", "b"] = "a",
        ) -> None:
            if size < 1:
                raise ValueError(f"size={size}: must be positive")
            self.values = (context, rate, size, on, peer, kind)

    return made


def test_hyper_parameters_are_read_from_the_constructor(registry):
    assert registry.description("alpha") == "The first."
    assert registry.resolve("alpha", {}) == {
        "rate": 0.5, "size": 3, "on": True, "peer": None, "kind": "a",
    }  # fmt: skip
    given = {"rate": "2", "size": "7", "on": "false", "peer": "x", "kind": "b"}
    hyper = registry.resolve("alpha", given)
    assert hyper == {"rate": 2.0, "size": 7, "on": False, "peer": "x", "kind": "b"}
    assert registry.build("alpha", hyper, 9).values == (9, 2.0, 7, False, "x", "b")
    assert registry.resolve("alpha", {"peer": "none"})["peer"] is None


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("alpa", {}, "unknown thing 'alpa'; did you mean alpha?"),
        ("alpha", {"rat": 1}, "no hyper-parameter 'rat'; did you mean rate?"),
        ("alpha", {"size": "2.5"}, "alpha.size=2.5: expected int"),
        ("alpha", {"on": "maybe"}, "alpha.on=maybe: expected bool"),
        ("alpha", {"kind": "c"}, "alpha.kind=c: expected one of a, b"),
    ],
)
def test_mistakes_are_named_with_a_remedy(registry, name, given, message):
    with pytest.raises(UserError, match=message):
        registry.resolve(name, given)


def test_a_refused_value_is_a_user_error(registry):
    with pytest.raises(UserError, match="thing 'alpha': size=0: must be positive"):
        registry.build("alpha", registry.resolve("alpha", {"size": 0}), 1)


def test_a_name_is_given_once_and_documented(registry):
    with pytest.raises(ValueError, match="already registered"):
        registry.register("alpha")(type("Other", (Base,), {"__doc__": "Other."}))
    with pytest.raises(ValueError, match="needs a docstring"):
        registry.register("beta")(type("Beta", (Base,), {}))


def test_every_sampler_of_the_registry_has_a_description_and_builds():
    for name in samplers.registry.names():
        assert samplers.registry.description(name)
        samplers.registry.build(name, samplers.registry.resolve(name, {}))


@pytest.mark.parametrize(
    "known", [samplers.registry, backbones.registry, objectives.registry], ids=lambda r: r.kind
)
def test_every_search_space_is_of_possible_values(known):
    for name in known.names() + known.variants():
        for option, values in known.search_space(name).items():  # checks the options
            assert values
            for value in values:
                assert known.resolve(name, {option: value})[option] == value


def test_a_plug_in_file_registers_its_classes(tmp_path, monkeypatch):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import samplers\n"
        "@samplers.register('mine')\n"
        "class Mine(samplers.Sampler):\n"
        "    '''Mine.'''\n"
        "    def sample(self, views): raise NotImplementedError\n"
    )
    monkeypatch.setattr(samplers.registry, "_classes", dict(samplers.registry._classes))
    load_plugin(str(plugin))
    load_plugin(str(plugin))  # a worker may load it again
    assert samplers.registry.description("mine") == "Mine."
    with pytest.raises(UserError, match="no such file"):
        load_plugin(str(tmp_path / "absent.py"))
    with pytest.raises(UserError, match="importable module"):
        load_plugin("no_such_module")


def test_installed_packages_offer_components_by_entry_points(monkeypatch):
    class Entry:
        value = "their_package:Theirs"

        def __init__(self, load):
            self.load = load

    made: Registry[Base] = Registry("thing", "bench.objectives")

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
    run = subprocess.run(
        command(tmp_path, *SMALL, "--samplers", "their-uniform", "uniform", "--workers", 2),
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    scores = {r["config"]["sampler"]["name"]: r["metrics"] for r in records(tmp_path).values()}
    assert scores["their-uniform"] == scores["uniform"]  # it does draw the same


def test_a_variant_is_its_class_with_defaults_of_its_own():
    released = samplers.registry.resolve("mdcns-released", {"tau": "5"})
    plain = samplers.registry.resolve("mdcns", {})
    assert samplers.registry.get("mdcns-released") is samplers.registry.get("mdcns")
    assert {k for k in plain if released[k] != plain[k]} == {
        "peer", "gamma", "mu", "tau", "teacher", "support", "reduction"
    }  # fmt: skip
    assert "mdcns-released" not in samplers.registry.names()
    assert "mdcns-released" in samplers.registry.variants("mdcns")
    with pytest.raises(UserError, match="did you mean mdcns-released"):
        samplers.registry.get("mdcns-relased")
    for name in samplers.registry.variants():
        assert samplers.registry.description(name)
        samplers.registry.build(name, samplers.registry.resolve(name, {}))

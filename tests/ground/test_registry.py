"""Names to classes: look-up, introspection, near misses, plug-ins."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import Literal

import pytest
from support import forked
from support.grid import SMALL, clean_environment, command, records

import backbones
import samplers
from bench import objectives, references
from bench.errors import UserError
from bench.registry import Registry, load_plugin


class Base:
    def __init__(self, context: int) -> None: ...


def new_registry(base=Base):
    return Registry("thing", "bench.objectives", lambda: base)


@pytest.fixture
def registry():
    made = new_registry()

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


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * 65,
        "tab\there",
        7,
        " ",
        "a ",
        "a\u2028b",
        "my/net",
        "a.b",
        "a=1",
        "two words",
        "-a",
        "*",
    ],
)
def test_a_name_can_stand_in_a_file_name_a_label_and_a_setting(registry, name):
    with pytest.raises(ValueError, match="1 to 64 letters, digits"):
        registry.register(name)(type("Beta", (Base,), {"__doc__": "Beta."}))
    with pytest.raises(ValueError, match="1 to 64 letters, digits"):
        registry.variant(name, "alpha", "Another.")


def test_a_plug_in_that_registers_nothing_is_named_when_its_class_is_missed(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.registry._idle", [])
    text = "import samplers\nclass Mine(samplers.Sampler): ...\n"
    load_plugin(written(tmp_path, "forgot.py", text))
    with pytest.raises(UserError, match=r"unknown sampler 'mine'.* \(--plugin .*forgot.py regis"):
        samplers.registry.get("mine")


def test_what_is_no_finished_class_of_its_kind_is_refused(registry):
    with pytest.raises(ValueError, match="needs a docstring"):
        registry.register("beta")(type("Beta", (Base,), {"__doc__": "  \n"}))
    for other in (type("Beta", (), {"__doc__": "Beta."}), print):
        with pytest.raises(TypeError, match=r"is no subclass of .*Base"):
            registry.register("beta")(other)
    unfinished = type("Unfinished", (samplers.Sampler,), {"__doc__": "It samples nothing."})
    with pytest.raises(TypeError, match="lacks sample; implement it"):
        samplers.register("unfinished")(unfinished)
    forward = {"forward": lambda self, items, lengths: items, "__doc__": "It says not how."}
    with pytest.raises(TypeError, match="Silent: lacks causal; set it in the class"):
        backbones.register("silent")(type("Silent", (backbones.Backbone,), forward))
    for sample in (lambda self: [], lambda self, views, k: [], lambda self, *, views: []):
        deaf = type("Deaf", (samplers.Sampler,), {"sample": sample, "__doc__": "It hears nothing."})
        with pytest.raises(TypeError, match=r"Deaf: sample\(\) is called as sample\(views\)"):
            samplers.register("deaf")(deaf)
    with pytest.raises(UserError, match="unknown thing 'beta'"):
        registry.get("beta")


CLASS = "@register('x')\nclass X(Base):\n    'X.'\n    def __init__(self, context, {}): ...\n"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("*, a=1", "hyper-parameter 'a' has no type; annotate it with bool, int"),
        ("*, a: int", "hyper-parameter 'a' has no default"),
        ("*, a: float = float('inf')", "default inf is no plain value"),
        ("*, a: int = (1, 2)", r"default \(1, 2\) is no plain value"),
        ("*, a: str = 'new\\nline'", "is no plain value"),
        ("*, a: int = 1.5", "default 1.5 does not fit its type: expected int"),
        ("*, a: int = True", "default True does not fit"),
        ("*, a: float = None", "default None does not fit its type: expected float"),
        ("*, a: Literal['b', 'c'] = 'd'", "expected one of b, c"),
        ("*, a: list[int] | None = None", r"has the type list\[int\] \| None; annotate it"),
        ("*, a: 'Unseen' = 1", "'Unseen' is not defined.*not under TYPE_CHECKING"),
        ("K: int = 1", "'K' can be given by position; make it keyword-only"),
    ],
)
def test_a_hyper_parameter_that_cannot_be_stored_is_refused(registry, argument, message):
    names = {"register": registry.register, "Base": Base, "Literal": Literal}
    with pytest.raises((TypeError, ValueError), match=message):
        exec(CLASS.format(argument), names)
    with pytest.raises(UserError, match="unknown thing 'x'"):
        registry.get("x")


def test_context_is_taken_whole(registry):
    class Without(Base):
        """It forgets its context."""

        def __init__(self, *, a: int = 1) -> None: ...

    class Through(Base):
        """It hands its context on."""

        def __init__(self, *context, a: float = 1) -> None: ...

    with pytest.raises(TypeError, match="is given 'context' by position"):
        registry.register("without")(Without)
    registry.register("through")(Through)
    (value,) = registry.resolve("through", {}).values()
    assert repr(value) == "1.0"  # as `--set through.a=1` would give


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
    script = f"from bench.registry import load_plugin; load_plugin({plugin!r})"
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


def test_a_variant_sets_what_its_class_has(registry):
    for defaults, message in [
        ({"sise": 4}, "no hyper-parameter 'sise'; did you mean size"),
        ({"size": "many"}, "does not fit its type: expected int"),
    ]:
        with pytest.raises(ValueError, match=message):
            registry.variant("beta", "alpha", "Another.", **defaults)
    with pytest.raises(ValueError, match="variant of 'gamma', which is unknown"):
        registry.variant("beta", "gamma", "Another.")
    registry.variant("beta", "alpha", "Another.", rate=2)
    assert registry.resolve("beta", {}) == registry.resolve("alpha", {"rate": 2.0})


def test_what_a_notebook_defines_again_takes_its_own_place(registry):
    cell = "@register('x')\nclass X(Base):\n    'X.'\n    value = {}\n"
    notebook = {"__name__": "__main__", "register": registry.register, "Base": Base}
    for value in (1, 2):
        exec(cell.format(value), notebook)
    assert registry.get("x").value == 2
    with pytest.raises(ValueError, match="registered by"):
        exec(cell.replace("class X", "class Y"), notebook)


def test_every_sampler_of_the_registry_has_a_description_and_builds():
    for name in samplers.registry.names():
        assert samplers.registry.description(name)
        samplers.registry.build(name, samplers.registry.resolve(name, {}))


@pytest.mark.parametrize(
    "known",
    [samplers.registry, backbones.registry, objectives.registry, references.registry],
    ids=lambda r: r.kind,
)
def test_every_search_space_is_of_possible_values(known):
    for name in known.names() + known.variants():
        for option, values in known.search_space(name).items():  # checks the options
            assert values
            for value in values:
                assert known.resolve(name, {option: value})[option] == value


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

    made = new_registry()

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


def test_a_variant_is_its_class_with_defaults_of_its_own():
    released = samplers.registry.resolve("mdcns-released", {"tau": "5"})
    plain = samplers.registry.resolve("mdcns", {})
    assert samplers.registry.get("mdcns-released") is samplers.registry.get("mdcns")
    assert {k for k in plain if released[k] != plain[k]} == {
        "peer", "mu", "tau", "reduction"
    }  # fmt: skip
    assert "mdcns-released" not in samplers.registry.names()
    assert "mdcns-released" in samplers.registry.variants("mdcns")
    with pytest.raises(UserError, match="did you mean mdcns-released"):
        samplers.registry.get("mdcns-relased")
    for name in samplers.registry.variants():
        assert samplers.registry.description(name)
        samplers.registry.build(name, samplers.registry.resolve(name, {}))

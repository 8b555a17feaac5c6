"""Names to classes: look-up, introspection, near misses, plug-ins."""

from __future__ import annotations

import functools
from typing import Literal

import pytest

import backbones
import samplers
from bench import objectives, references
from bench.errors import UserError
from bench.hyper_parameters import check_methods
from bench.registry import Registry


class Base:
    def __init__(self, context: int) -> None: ...


@pytest.fixture
def registry():
    made = Registry("thing", "bench.objectives", lambda: Base)

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


def with_more(method):
    @functools.wraps(method)
    def called(self, views):
        return method(self, views, 1)

    return called


@with_more
def given_more(self, views, more):
    """Called as it is to be, though it is written otherwise."""
    return []


def test_what_is_no_finished_class_of_its_kind_is_refused(registry):
    with pytest.raises(ValueError, match="needs a docstring"):
        registry.register("beta")(type("Beta", (Base,), {"__doc__": "  \n"}))
    for other in (type("Beta", (), {"__doc__": "Beta."}), print):
        with pytest.raises(TypeError, match=r"is no subclass of .*Base"):
            registry.register("beta")(other)
    unfinished = type("Unfinished", (samplers.Sampler,), {"__doc__": "It samples nothing."})
    with pytest.raises(TypeError, match="lacks sample; implement it"):
        samplers.register("unfinished")(unfinished)
    for sample in (lambda self: [], lambda self, views, k: [], lambda self, *, views: []):
        deaf = type("Deaf", (samplers.Sampler,), {"sample": sample, "__doc__": "It hears nothing."})
        with pytest.raises(TypeError, match=r"Deaf: sample\(\) is called as sample\(views\)"):
            samplers.register("deaf")(deaf)
    for sample in (staticmethod(lambda views: []), lambda self, *views: [], given_more):
        check_methods(type("Fine", (samplers.Sampler,), {"sample": sample}), samplers.Sampler)
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

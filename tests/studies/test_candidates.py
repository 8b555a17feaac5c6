"""What a study with a budget begins with."""

from __future__ import annotations

import samplers
from bench.studies.candidates import MOST, Settings
from bench.studies.planning import make_plan
from bench.studies.request import request_of


def candidates_of(count, **chosen):
    plan = make_plan(
        request_of(preset="quick", datasets=["beauty-twin"], backbones=["sasrec"], **chosen)
    )
    return plan, Settings(plan).first(count)


def test_candidates_are_called_by_their_sampler_and_what_differs():
    plan, found = candidates_of(3)
    assert len({each.name for each in found}) == len(found)
    for each in found:
        name, _, told = each.name.partition(" (")
        assert name == each.cell.sampler.name
        for option, value in (pair.split("=") for pair in told.rstrip(")").split(", ") if pair):
            assert str(each.cell.sampler.hyper[option]) == value
    by_default = {cell.sampler.name: cell.key for cell in plan.cells}
    assert {e.cell.sampler.name: e.cell.key for e in found if "(" not in e.name} == by_default


def test_settings_are_all_different_as_many_as_there_are_and_not_what_the_user_fixed():
    _, found = candidates_of(99, samplers=["dns+", "uniform"], settings={"dns+.N": 20})
    of_dns = [each.cell for each in found if each.cell.sampler.name == "dns+"]
    assert len({cell.key for cell in of_dns}) == len(of_dns) <= MOST
    assert {cell.sampler.hyper["N"] for cell in of_dns} == {20}
    # M above N cannot be; of uniform there are as many settings as its grid has.
    assert {cell.sampler.hyper["M"] for cell in of_dns} == {1, 2, 5, 10, 20}
    assert len(found) - len(of_dns) == len(samplers.registry.search_space("uniform")["K"])

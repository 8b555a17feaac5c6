"""Settings with several values: every combination is trained, and nothing twice."""

from __future__ import annotations

import itertools

import pytest
from support.grid import SMALL, in_process, records
from support.tuning import log_file

import bench
import samplers
from bench.errors import UserError
from bench.studies.request import parse_settings
from bench.studies.sweeps import assignments, parsed, written

PLAN = {"preset": "smoke", "backbones": ["sasrec"]}


def settings_of(plan, sampler, *options):
    return [
        tuple(cell.sampler.hyper[option] for option in options)
        for cell in plan.cells
        if cell.sampler.name == sampler
    ]


def test_several_sweeps_are_crossed_and_what_they_do_not_touch_is_planned_once():
    plan = bench.plan(
        **PLAN, samplers=["uniform", "dns", "mdcns"], seeds=2,
        settings={"mdcns.gamma": [0.5, 1, 2], "mdcns.tau": [1, 3], "epochs": 1},
    )  # fmt: skip
    expected = [*itertools.product([0.5, 1.0, 2.0], [1.0, 3.0])]
    assert sorted(settings_of(plan, "mdcns", "gamma", "tau")) == sorted(2 * expected)
    assert len(settings_of(plan, "uniform")) == len(settings_of(plan, "dns")) == 2
    assert len({cell.key for cell in plan.cells}) == len(plan.cells) == 16
    one = bench.plan(**PLAN, samplers=["mdcns"], settings={"mdcns.gamma": 2, "epochs": 1})
    assert {cell.key for cell in one.cells} < {
        cell.key
        for cell in bench.plan(
            **PLAN, samplers=["mdcns"], settings={"mdcns.gamma": (2, 1), "epochs": 1}
        ).cells
    }


def test_a_star_gives_all_components_of_a_cell_the_same_value():
    plan = bench.plan(**PLAN, samplers=["mdcns"], settings={"*.dropout": [0.1, 0.3]})
    found = [[model.hyper["dropout"] for model in cell.models] for cell in plan.cells]
    assert found == [[0.1, 0.1], [0.3, 0.3]]


def test_the_last_of_a_name_counts_and_precedence_is_that_of_single_values():
    plan = bench.plan(**PLAN, samplers=["dns+"], settings={"dns+.M": [2, 3], "*.M": 4})
    assert settings_of(plan, "dns+", "M") == [(4,)]
    pairs = parse_settings(["a.x=1,2", "b.y=3", "a.x=4"])
    assert assignments(pairs) == [[("b.y", "3"), ("a.x", "4")]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", "1.5"),
        ("0.5, 1,2", ["0.5", "1", "2"]),
        ("1,1", "1"),
        ('["a,b", "c"]', ["a,b", "c"]),
        ('["a,b"]', "a,b"),
        ("[1, 2.5, true, null]", [1, 2.5, True, None]),
        ("", ""),
    ],
)
def test_values_are_read_and_written(text, value):
    assert parsed("x.y", text) == value
    name, _, again = written("x.y", value).partition("=")
    assert (name, parsed(name, again)) == ("x.y", value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["epochs=1,2"], "a setting of the protocol has one value"),
        (["dns.N=1,,2"], r"an empty value.*dns.N='\[\"a,b\"\]'"),
        (["dns.N=[1, 2"], "no JSON list"),
        (["dns.N=[a]"], "texts stand in double quotes"),
        (["dns.N=[]"], "expected values"),
        (["dns.N=[[1], [2]]"], "expected values"),
        (["dns.N=5,x"], "dns.N=x: expected int"),
        (["dsn.N=5,6"], "'dsn' is unknown; did you mean dns"),
        ([f"dns.N={','.join(map(str, range(1, 41)))}", f"uniform.N={','.join('123456789')}",
          "*.dropout=0.1,0.2,0.3"], "1080 combinations of values, of at most 1000"),
    ],
)  # fmt: skip
def test_what_is_no_sweep_is_one_error(settings, message):
    with pytest.raises(UserError, match=message):
        bench.plan(**PLAN, samplers=["uniform", "dns"], settings=dict(parse_settings(settings)))


def test_the_grid_trains_each_setting_and_says_how_many(tmp_path, capfd):
    chosen = ["--samplers", "uniform", "dns", "--set", "dns.N=5,8", "epochs=1"]
    small = [*SMALL, *chosen]
    assert bench.grid.main(["--results", str(tmp_path), *small, "--dry-run"]) == 0
    planned = capfd.readouterr().out
    assert "dns.N=5,8: 2 combinations, 3 cells in all" in planned
    status, said = in_process(tmp_path, "--workers", "1", *small)
    assert status == 0
    for text in (planned, said):
        assert "beauty-twin/sasrec/uniform/bce/seed0 (" not in text
        assert all(f"beauty-twin/sasrec/dns/bce/seed0 (N={N})" in text for N in (5, 8))
    samplers = [record["config"]["sampler"] for record in records(tmp_path).values()]
    assert sorted(each["hyper"]["N"] for each in samplers if each["name"] == "dns") == [5, 8]
    text = (tmp_path / "reports/smoke/comparison-bce-synthetic.md").read_text(encoding="utf-8")
    assert "dns (N=5)" in text and "dns (N=8)" in text
    for search in (["--tune", "2"], ["--budget", "5m"]):
        status, said = in_process(tmp_path, *small, *search, "--study", "searched")
        assert status == 2 and "--set dns.N: several values are all trained" in said


def test_of_a_grid_what_a_small_catalogue_does_not_hold_is_left_out_and_said(tmp_path):
    """As tuning does; ninety items less a history of six hold pools of 10 and 50."""
    given = {**PLAN, "datasets": [str(log_file(tmp_path))], "grid": True}
    plan = bench.plan(**given, samplers=["dns", "uniform"], objectives=["bce", "bpr"])
    pools = set(settings_of(plan, "dns", "N"))
    assert pools == {(size,) for size in samplers.registry.search_space("dns")["N"] if size <= 84}
    assert len(pools) < len(samplers.registry.search_space("dns")["N"])
    (said,) = plan.skipped
    assert "settings of sampler 'dns': more candidates than the 84 items that" in said
    with pytest.raises(UserError, match=r"fewer than the 90 candidates of 'dns'"):
        bench.plan(**{**given, "grid": False}, samplers=["dns"], settings={"dns.N": 90})
    with pytest.raises(UserError, match=r"fewer than the 90 candidates of 'dns\+'"):
        bench.plan(**given, samplers=["dns+"], settings={"dns+.N": 90})

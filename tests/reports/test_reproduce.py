"""The commands that a page gives train what the study has."""

from __future__ import annotations

import shlex

from support import cell_of
from support.results import result_of

from bench import grid
from bench.reports.reproduce import commands
from bench.studies.planning import make_plan
from bench.studies.store import Store


def test_the_command_trains_what_the_study_has(tmp_path):
    given = ["--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "sasrec", "linrec"]
    given += ["--samplers", "uniform", "mdcns", "gbce", "--objectives", "bpr", "--seeds", "2"]
    given += ["--set", "mdcns.gamma=1.5", "N=15", "sasrec.dropout=0.1"]
    planned = plan_of(given)
    store = Store(tmp_path / "study")
    for cell in planned:
        store.save(result_of(cell))
    (command,) = commands(store)
    words = shlex.split(command.line)
    assert words[:5] == ["python", "-m", "bench.grid", "--study", "study"]
    assert command.notes == []
    assert {cell.key for cell in plan_of(words[3:])} == {cell.key for cell in planned}


def plan_of(arguments):
    options = grid.parser().parse_args(arguments)
    return make_plan(grid.request(options)).cells


def test_settings_that_exclude_each_other_need_a_command_each(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 1})))
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 2})))
    found = commands(store)
    assert len(found) == 2
    assert [f"dns+.M={m}" in c.line for c, m in zip(found, (1, 2), strict=True)] in (
        [True, True],
        [False, False],
    )
    assert "In place of made-up give the path of the log." in found[0].notes

"""Studies whose seeds draw their users (``--splits``): planned, compared, and said to be so."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import replace

import numpy as np
import pytest
from support import cell_of
from support.results import result_of

from bench import grid, grid_run
from bench.analysis.compare_studies import compare
from bench.analysis.comparison import comparisons
from bench.analysis.contributions import effective
from bench.analysis.verdict import verdicts
from bench.grid_options import parser
from bench.reports.reproduce import commands
from bench.reports.writing import write
from bench.studies.planning import make_plan
from bench.studies.store import Store

GIVEN = ["--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "sasrec",
         "--samplers", "uniform", "dns"]  # fmt: skip


def plan_of(*arguments):
    return make_plan(grid_run.request(parser().parse_args([*GIVEN, *arguments])))


def test_every_seed_draws_users_that_all_systems_share():
    plan = plan_of("--splits", "3")
    drawn = {(c.seed, c.protocol.split_seed, c.split_digest) for c in plan.cells}
    assert [(seed, split_seed) for seed, split_seed, _ in sorted(drawn)] == [(0, 0), (1, 1), (2, 2)]
    assert len({digest for *_, digest in drawn}) == len(plan.splits) == 3
    assert {c.key for c in plan.cells if c.seed == 0} == {
        c.key for c in plan_of("--seeds", "1").cells
    }
    tested = [set(plan.splits[c.data_key].test.users.tolist()) for c in plan.cells[::2]]
    assert all(a != b for a, b in itertools.pairwise(tested))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--splits", "3", "--seeds", "2"], "leave out --seeds"),
        (["--splits", "3", "--split", "leave-one-out"], "has one split 'leave-one-out'"),
        (["--splits", "3", "--set", "split_seed=1"], "leave that setting out"),
        (["--splits", "2", "--tune", "2"], "tune with --seeds"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, told, capsys, tmp_path):
    folders = ["--results", str(tmp_path), "--reports", str(tmp_path)]
    assert grid.main([*GIVEN, *arguments, *folders, "--dry-run"]) == 2
    assert told in capsys.readouterr().err


def drawn(sampler, seed, value, users, ranks=None):
    """A result of a cell whose seed has drawn its users."""
    cell = cell_of(sampler, seed=seed, split_seed=seed)
    result = result_of(replace(cell, split_digest=f"{seed:x}" * 16), value)
    ranks = [1.0] * len(users) if ranks is None else ranks
    arrays = {"rank": np.array(ranks), "user": np.array(users)}
    result.data["references"] = {"popularity": {"ndcg@10": 0.1 * (seed + 1)}}
    return replace(result, arrays=arrays)


def study_of(tmp_path, results, name="study"):
    store = Store(tmp_path / name)
    for result in results:
        store.save(result)
    return store


@pytest.mark.usefixtures("sketches")
def test_draws_are_one_dataset_with_means_over_them(tmp_path):
    users = [[0, 1], [1, 2], [3, 4]]
    results = [
        drawn(name, seed, value + seed / 10, users[seed])
        for name, value in (("uniform", 0.2), ("dns", 0.3))
        for seed in range(3)
    ]
    (comparison,) = comparisons(study_of(tmp_path, results))
    assert comparison.draws
    assert comparison.title.endswith("each seed with users of its own")
    assert set(comparison.cells["dataset"]) == {"made-up"}
    ((_, table),) = comparison.backbones()
    row = table.loc[("made-up", "NG@10")]
    assert row.to_dict() == pytest.approx({"uniform": 0.3, "dns": 0.4, "popularity ranking": 0.2})
    margin = comparison.margins("sasrec").loc[("made-up", "NG@10"), "dns"]
    assert margin == 0  # over users, who are alike here, not over seeds
    # User 1 was tested on in two draws.
    assert sorted(comparison.user_gains()["made-up", "sasrec"].index) == [0, 1, 2, 3, 4]
    users = comparison.user_predictions["made-up", "sasrec"]
    assert effective(users) == pytest.approx(6**2 / (4 + 4))
    write(comparison.store.root, tmp_path / "reports")
    text = (tmp_path / "reports/comparison-bce-synthetic.md").read_text()
    assert "Each seed has drawn its own users" in text


def test_only_draws_that_all_systems_have_are_compared(tmp_path):
    results = [drawn("uniform", seed, 0.1 * (1 + seed), [seed]) for seed in range(3)]
    results += [drawn("dns", seed, 0.5, [seed]) for seed in range(2)]
    (comparison,) = comparisons(study_of(tmp_path, results))
    assert sorted(set(comparison.cells["seed"])) == [0, 1]
    ((_, table),) = comparison.backbones()
    assert table.loc[("made-up", "NG@10"), "uniform"] == pytest.approx(0.15)
    assert comparison.notes["made-up"][-1].startswith("left out: seeds 2,")


def test_without_a_draw_that_all_have_nobody_is_level_with_anybody(tmp_path):
    results = [drawn("uniform", 0, 0.2, [0, 1]), drawn("dns", 1, 0.3, [2, 3])]
    (comparison,) = comparisons(study_of(tmp_path, results))
    assert comparison.notes["made-up"][-1].startswith("no seed was trained with all systems")
    assert verdicts(comparison) == []


def test_a_seed_that_is_also_the_number_of_a_split_draws_nothing(tmp_path):
    results = [result_of(cell_of("dns", seed=seed, split_seed=1)) for seed in range(3)]
    (comparison,) = comparisons(study_of(tmp_path, results))
    assert not comparison.draws
    assert len(comparison.cells) == 3
    assert comparison.cells["dataset"].nunique() == 1


def test_seeds_on_the_same_users_are_no_draws(tmp_path):
    store = study_of(tmp_path, [result_of(cell_of("dns", seed=seed)) for seed in range(2)])
    (comparison,) = comparisons(store)
    assert not comparison.draws


def test_the_command_draws_again(tmp_path):
    planned = plan_of("--splits", "2").cells
    (command,) = commands(study_of(tmp_path, map(result_of, planned)))
    words = shlex.split(command.line)
    assert words[words.index("--splits") + 1] == "2"
    assert "--seeds" not in words
    again = make_plan(grid_run.request(parser().parse_args(words[3:]))).cells
    assert {cell.key for cell in again} == {cell.key for cell in planned}


def test_two_studies_of_draws_are_compared_on_the_same_users(tmp_path):
    a, b = (
        study_of(tmp_path, [drawn("dns", s, 0.5, [s, 9], [rank, 1.0]) for s in range(2)], name)
        for name, rank in (("a", 1.0), ("b", 3.0))
    )
    (change,), alone = compare(a, b)
    assert not alone
    assert (change.users, change.seeds) == (3, 2)
    assert change.before == pytest.approx(1.0)

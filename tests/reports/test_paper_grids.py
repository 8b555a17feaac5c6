"""The paper's tables as grids of cells."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from support.grid import in_process

import backbones
import samplers
from bench import datasets, grid, grid_run
from bench.cell import PRESETS
from bench.datasets.splits import make_split
from bench.errors import UserError
from bench.grid_options import parser
from bench.studies import paper_grids, setting_grid
from bench.studies.planning import make_plan

CELLS = {3: 6 * 9, 4: 3 * 3 * 3, 5: 3 * 3 * 3, 6: 3 * 4, 7: 4 * 4}
"""Systems that each table has figures for."""

MDCNS = "mdcns-peer-mamba4rec"


def planned(*arguments):
    options = parser().parse_args([*map(str, arguments)])
    return make_plan(grid_run.request(options))


@pytest.mark.parametrize("number", paper_grids.TABLES)
def test_every_published_row_is_a_cell_of_its_grid(number):
    table = paper_grids.TABLES[number]
    parts = table.grid({})
    published = table.published()
    assert len(table.entries()) == CELLS[number]
    assert len(published) == CELLS[number] * published["metric"].nunique()
    for entry in table.entries():
        dataset, backbone, sampler, peer = entry.system
        assert dataset in parts["datasets"]
        assert (backbone, sampler) in parts["pairs"]
        assert not datasets.registry.get(dataset).synthetic
        assert backbone in backbones.registry.names()
        given = dict(table.settings())
        hyper = samplers.registry.hyper_parameters(sampler)
        assert given.get(f"{sampler}.peer", hyper["peer"].default if peer else None) == peer
    # A full product, less the pairs that are left out: no cell beyond the published.
    assert len(parts["datasets"]) * len(parts["pairs"]) == CELLS[number]


@pytest.mark.parametrize("number", paper_grids.TABLES)
def test_a_dry_run_on_real_data_plans_its_cells_and_no_others(number, data_dir):
    options = parser().parse_args(["--table", str(number), "--data-dir", str(data_dir)])
    options.preset = "paper"
    cells = make_plan(grid_run.request(options)).cells
    assert len(cells) == CELLS[number] * 3
    assert {cell.objective.name for cell in cells} == {paper_grids.TABLES[number].objective}
    paper = PRESETS["paper"].protocol
    splits = {cell.dataset: cell.protocol.split for cell in cells}
    assert {replace(cell.protocol, split="user") for cell in cells} == {paper}
    as_logged = {"beauty": "authors", "lastfm": "user-prefixes"}
    assert splits == {name: as_logged.get(name, "user") for name in splits}
    systems = {entry.system for entry in paper_grids.TABLES[number].entries()}
    assert systems == {
        (
            cell.dataset,
            cell.backbone.name,
            cell.sampler.name,
            cell.peer.name if cell.peer else None,
        )
        for cell in cells
    }


def test_the_command_line_overrides_a_table(tmp_path, capsys):
    arguments = [
        "--table", "6", "--preset", "smoke", "--datasets", "beauty-twin", "--set", "epochs=1",
        "--results", f"{tmp_path}/results", "--dry-run",
    ]  # fmt: skip
    assert grid.main(arguments) == 0
    shown = capsys.readouterr().out
    assert f"4 cells in study {tmp_path}/results/smoke" in shown
    assert "beauty-twin/sasrec/mdcns-no-cd-dr-ms/bce/seed0" in shown
    assert list(tmp_path.iterdir()) == []


def test_what_a_table_lacks_is_crossed_with_everything_and_its_own_pairs_stay():
    parts = paper_grids.TABLES[5].grid({"samplers": [MDCNS, "mdcns-peer-sasrec", "ahns"]})
    assert parts["pairs"] == {
        ("sasrec", MDCNS), ("gru4rec", MDCNS), ("mamba4rec", "mdcns-peer-sasrec"),
        ("sasrec", "ahns"), ("gru4rec", "ahns"), ("mamba4rec", "ahns"),
    }  # fmt: skip
    with pytest.raises(UserError, match="none of its pairs"):
        paper_grids.TABLES[5].grid({"samplers": [MDCNS], "backbones": ["mamba4rec"]})


def test_the_ablations_have_the_papers_peer_unless_told_otherwise():
    assert paper_grids.TABLES[6].grid({})["settings"] == [
        ("mdcns-no-cd.peer", "mamba4rec"), ("mdcns-no-cd-dr.peer", "mamba4rec"),
    ]  # fmt: skip
    assert paper_grids.TABLES[6].grid({"samplers": [MDCNS]})["settings"] == []
    options = parser().parse_args(
        ["--table", "6", "--datasets", "beauty-twin", "--set", "mdcns-no-cd.peer=gru4rec"]
    )
    options.preset = "smoke"
    peers = {
        c.sampler.name: c.peer.name for c in make_plan(grid_run.request(options)).cells if c.peer
    }
    assert peers == {MDCNS: "mamba4rec", "mdcns-no-cd": "gru4rec", "mdcns-no-cd-dr": "mamba4rec"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "2"], "invalid choice: 2"),
        (["--table", "3", "--all"], "not allowed with"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, arguments, message):
    status, errors = in_process(tmp_path, *arguments)
    assert status == 2
    assert message in errors
    assert list(tmp_path.iterdir()) == []


RNS = ("--samplers", "uniform", "--seeds", 1)


def test_tables_take_the_users_of_the_authors_unless_told_otherwise(data_dir, tmp_path):
    given = ["--table", 3, *RNS, "--datasets", "beauty", "lastfm", "--data-dir", data_dir]
    beauty, lastfm = planned(*given).cells
    data = datasets.resolve_dataset("beauty", data_dir)
    assert beauty.split_digest == make_split(data, "authors", 0, data_dir=data_dir).digest
    assert (beauty.protocol.split, lastfm.protocol.split) == ("authors", "user-prefixes")
    for more in (["--split", "user"], ["--set", "split=user"]):
        assert {cell.protocol.split for cell in planned(*given, *more).cells} == {"user"}
    file = data_dir / "extra" / "beauty_split.txt.gz"
    (cell,) = planned(
        "--table", 3, *RNS, "--datasets", "beauty", "--data-dir", data_dir, "--split-file", file
    ).cells
    assert cell.protocol.split == "user"
    # Without their file in the data directory, Beauty keeps the split of the protocol.
    shutil.copy(data_dir / "beauty.txt.gz", tmp_path)
    (cell,) = planned("--table", 3, *RNS, "--datasets", "beauty", "--data-dir", tmp_path).cells
    assert cell.protocol.split == "user"


TWIN = ("--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "sasrec")


def test_a_grid_is_the_product_of_each_method_s_own_options():
    given = [*TWIN, "--table", 3, "--samplers", "dns+", "uniform", "--grid"]
    cells = planned(*given).cells
    space = samplers.registry.search_space("dns+")
    assert list(space) == ["M"]
    plain = {cell.sampler.name: cell for cell in planned(*given[:-1]).cells}
    of_dns = [cell for cell in cells if cell.sampler.name == "dns+"]
    pool = of_dns[0].sampler.hyper["N"]  # M cannot be more than the pool has
    assert [cell.sampler.hyper["M"] for cell in of_dns] == [m for m in space["M"] if m <= pool]
    for cell in cells:  # but for the sampler's own options, as without a grid
        assert replace(cell, sampler=plain[cell.sampler.name].sampler) == plain[cell.sampler.name]
    fixed = planned(*given, "--set", "dns+.M=2").cells
    assert [cell.sampler.hyper["M"] for cell in fixed if cell.sampler.name == "dns+"] == [2]


def test_of_a_large_grid_a_fixed_number_is_drawn_and_what_cannot_be_is_left_out(monkeypatch):
    space = {"M": [1, 2, 3, 30], "N": [20, 25]}
    monkeypatch.setattr(samplers.registry.get("dns+"), "search_space", space)
    given = [*TWIN, "--samplers", "dns+", "--grid"]
    whole = planned(*given)
    every = [(m, n) for m in space["M"] for n in space["N"] if m <= n]
    assert [(c.sampler.hyper["M"], c.sampler.hyper["N"]) for c in whole.cells] == every
    assert whole.skipped == []
    monkeypatch.setattr(setting_grid, "SETTINGS", 4)
    drawn = planned(*given)
    assert len(drawn.cells) == 4
    assert [cell for cell in whole.cells if cell in drawn.cells] == drawn.cells
    assert drawn.skipped == ["2 of the 6 settings of sampler 'dns+': 4 are drawn"]
    assert planned(*given).cells == drawn.cells


def test_a_grid_is_not_tuned_too(tmp_path):
    status, errors = in_process(tmp_path, *TWIN, "--samplers", "dns+", "--grid", "--tune", "2")
    assert status == 2
    assert "--grid trains every setting" in errors

"""Results on disk: whole or absent, and never executed."""

from __future__ import annotations

import errno
import hashlib
import json
import os

import numpy as np
import pytest
from support import cell_of
from support.grid import SMALL
from support.results import result_of

from bench import grid
from bench.cell import SCHEMA_VERSION, Cell
from bench.errors import UserError
from bench.studies.cell_files import seal
from bench.studies.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "study")


def test_what_is_saved_comes_back(store):
    cell = cell_of()
    assert store.status(cell, "c" * 16) == "missing"
    store.save(result_of(cell))
    assert store.status(cell, "c" * 16) == "done"
    assert store.status(cell, "other code") == "stale"
    record = store.load(cell.key)
    assert record.cell == cell
    assert record.test["ndcg@10"] == 0.5
    assert store.arrays(cell.key)["rank"].tolist() == [1.0, 2.5]
    assert store.epochs(cell.key)["loss"].tolist() == [0.7]
    store.save(result_of(cell, ndcg=0.6))
    assert store.load(cell.key).test["ndcg@10"] == 0.6
    assert len(list(store.root.glob("cells/.*"))) == 0  # nothing is left lying about


def test_the_key_is_everything_that_can_change_the_numbers():
    base = cell_of()
    assert base.key == cell_of().key
    config = base.config()
    others = [
        cell_of(seed=1),
        cell_of(sampler="dns"),
        cell_of(backbone="gru4rec"),
        cell_of(objective="bpr"),
        cell_of(epochs=3),
        cell_of(hyper={"K": 2}),
        Cell.from_config(config | {"fingerprint": "e" * 64}),
        Cell.from_config(config | {"split_digest": "e" * 16}),
    ]
    assert len({cell.key for cell in [base, *others]}) == 9
    assert Cell.from_config(config | {"dataset": "renamed"}).key == base.key


@pytest.mark.parametrize(
    "damage",
    [
        lambda cell: (cell / "cell.json").write_text('{"schema": 1'),
        lambda cell: (cell / "cell.json").unlink(),
        lambda cell: (cell / "ranks.npz").unlink(),
        lambda cell: os.truncate(cell / "ranks.npz", 40),
        lambda cell: (cell / "cell.json").write_text('{"schema": 0, "key": "x"}'),
    ],
)
def test_a_damaged_cell_is_broken_and_does_not_count(store, damage):
    cell = cell_of()
    store.save(result_of(cell))
    damage(store.root / "cells" / cell.key)
    assert store.status(cell, "c" * 16) == "broken"
    assert list(store.records()) == []
    with pytest.raises(UserError, match="run the grid again"):
        store.load(cell.key)


@pytest.mark.parametrize("name", ["cell.json", "epochs.csv", "ranks.npz", "SHA256SUMS"])
def test_a_flipped_bit_anywhere_is_noticed(store, name):
    cell = cell_of()
    store.save(result_of(cell))
    path = store.root / "cells" / cell.key / name
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert store.status(cell, "c" * 16) == "broken", content[place : place + 20]
    path.write_bytes(content)
    assert store.status(cell, "c" * 16) == "done"


def raise_schema(folder, schema):
    """As a newer version would have written the cell."""
    record = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
    text = json.dumps(record | {"schema": schema, "more": [{}]}, indent=1) + "\n"
    (folder / "cell.json").write_text(text, encoding="utf-8")
    seal(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("left_out", [(), ("SHA256SUMS",), ("epochs.csv", "ranks.npz")])
def test_a_cell_of_a_newer_version_is_kept_as_it_is(store, left_out):
    """Whatever other files that version may keep."""
    cell = cell_of()
    store.save(result_of(cell))
    folder = store.root / "cells" / cell.key
    raise_schema(folder, SCHEMA_VERSION + 1)
    for name in left_out:
        (folder / name).unlink()
    before = contents(folder)
    assert store.status(cell, "c" * 16) == "newer"
    with pytest.raises(UserError, match="written by a newer version; kept"):
        store.load(cell.key)
    with pytest.raises(UserError, match="written by a newer version; kept"):
        store.save(result_of(cell, ndcg=0.6))
    store.check_writable()
    assert contents(folder) == before
    assert [path.name for path in (store.root / "cells").iterdir()] == [cell.key]
    assert list(store.records()) == []


def test_the_grid_names_cells_of_a_newer_version_and_trains_the_others(tmp_path, capsys):
    folders = ["--results", str(tmp_path), "--reports", str(tmp_path / "reports")]
    command = [*SMALL, *folders, "--samplers", "uniform", "dns", "--workers", "1"]
    assert grid.main(command) == 0
    trained = {record.cell.sampler.name: record for record in Store(tmp_path / "smoke").records()}
    folder = tmp_path / "smoke" / "cells" / trained["dns"].key
    raise_schema(folder, SCHEMA_VERSION + 1)
    (folder.with_name(trained["uniform"].key) / "epochs.csv").write_text("epoch\n")
    before = contents(folder)
    capsys.readouterr()
    assert grid.main([*command, "--force-stale"]) == 0
    said = capsys.readouterr()
    assert "1 newer, 1 broken" in said.out
    label = trained["dns"].cell.label
    assert f"written by a newer version; kept: {label}\n" in said.out
    assert f"damaged; trained again: {trained['uniform'].cell.label}\n" in said.out
    assert "training 1 cells" in said.err
    assert contents(folder) == before


@pytest.mark.parametrize("schema", [0, -1, 1.5, "2", None, [], 10**30])
def test_what_is_no_newer_schema_is_broken(store, schema):
    cell = cell_of()
    store.save(result_of(cell))
    raise_schema(store.root / "cells" / cell.key, schema)
    assert store.status(cell, "c" * 16) == "broken"


def test_a_flipped_bit_makes_no_newer_version(store):
    cell = cell_of()
    store.save(result_of(cell))
    path = store.root / "cells" / cell.key / "cell.json"
    path.write_bytes(path.read_bytes().replace(b'"schema": 1,', b'"schema": 9,'))
    assert store.status(cell, "c" * 16) == "broken"


def test_sha256sum_agrees(store):
    cell = cell_of()
    store.save(result_of(cell))
    folder = store.root / "cells" / cell.key
    lines = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    for digest, name in lines:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {name for _, name in lines} == {"cell.json", "epochs.csv", "ranks.npz"}


def test_pickles_are_refused(store):
    cell = cell_of()
    store.save(result_of(cell))
    objects = np.array([{"not": "numbers"}], dtype=object)
    np.savez(store.root / "cells" / cell.key / "ranks.npz", rank=objects)
    seal(store.root / "cells" / cell.key)
    assert store.status(cell, "c" * 16) == "broken"


def test_a_temporary_directory_is_not_a_cell(store):
    store.save(result_of(cell_of()))
    (store.root / "cells" / ".half-written").mkdir()
    assert len(list(store.records())) == 1


def test_what_a_killed_run_left_half_written_is_cleared_away(store):
    cell, replaced, busy = cell_of(), cell_of(seed=1), cell_of(seed=2)
    for each in (cell, replaced):
        store.save(result_of(each))
    cells, checkpoints = store.root / "cells", store.root / ".checkpoints"
    (cells / replaced.key).rename(cells / f".{replaced.key}-old-0")  # its successor never came
    for each in (cell, busy):
        (cells / f".{each.key}-1").mkdir()
        (cells / f".{each.key}-1" / "cell.json").write_text("{")
    checkpoints.mkdir()
    (checkpoints / f".{cell.key}.pt-1").write_bytes(b"half")
    (checkpoints / f"{cell.key}.pt").write_bytes(b"whole")
    claim = store.claim(busy)  # by a run that lives
    store.check_writable()
    claim.release()
    assert [path.name for path in cells.glob(".*")] == [f".{busy.key}-1"]
    assert [path.name for path in checkpoints.iterdir()] == [f"{cell.key}.pt"]
    assert {record.key for record in store.records()} == {cell.key, replaced.key}


def test_a_failure_is_kept_apart_and_goes_when_the_cell_succeeds(store):
    cell = cell_of()
    path = store.save_failure(cell, "Traceback: it broke")
    assert "it broke" in path.read_text()
    assert cell.label in path.read_text()
    assert store.status(cell, "c" * 16) == "missing"
    store.save(result_of(cell))
    assert not path.exists()


def test_the_index_has_a_row_a_cell(store):
    for seed in range(3):
        store.save(result_of(cell_of(seed=seed)))
    store.write_index()
    index = (store.root / "index.csv").read_text().splitlines()
    assert len(index) == 4
    assert "test_ndcg@10" in index[0]


def test_a_cell_has_one_writer(store):
    cell = cell_of()
    claim = store.claim(cell)
    assert claim is not None
    assert Store(store.root).claim(cell) is None
    claim.release()
    assert Store(store.root).claim(cell) is not None


def test_records_are_plain_json(store):
    cell = cell_of()
    store.save(result_of(cell))
    path = store.root / "cells" / cell.key / "cell.json"
    assert json.loads(path.read_text())["key"] == cell.key


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(store, monkeypatch):
    store.save(result_of(cell_of("dns")))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="No space left on device"):
        store.save(result_of(cell_of()))
    assert len(list(store.root.glob("cells/*"))) == 1
    assert store.status(cell_of("dns"), "c" * 16) == "done"

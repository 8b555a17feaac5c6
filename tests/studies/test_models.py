"""Models kept beside cells: whole or absent, of the stored numbers or not at all."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time

import numpy as np
import pytest
import torch
from support import cell_of
from support.grid import SMALL, in_process, records, start
from support.results import result_of

import bench
from bench.errors import UserError
from bench.studies import cell_files, model_files, running
from bench.studies.recommender import Recommender
from bench.studies.store import Store

CODE = "c" * 16
LABELS = ["sku-1", "sku,2", 'a "third"', "=4", "5\n", "six", "sieben", "Ω"]


class Made(torch.nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.one = torch.nn.Linear(3, 2)


def kept(cell=None, seed=0, **changes):
    """A result with weights."""
    result = result_of(cell or cell_of())
    weights = tuple(model_files.packed(Made(seed)) for _ in result.cell.models)
    return type(result)(**{**vars(result), "weights": weights, **changes})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "study")


def about(store, key):
    return store.models.about(key, store.arrays(key))


def test_weights_and_labels_come_back_to_the_bit(store):
    result = kept(cell_of("mdcns"))
    key = result.cell.key
    store.save(result, LABELS)
    found = about(store, key)
    assert found.cell == result.cell
    assert (found.models, found.n_items, found.code) == (("self", "peer"), 8, CODE)
    folder = store.models.folder(key)
    assert model_files.read_labels(folder, 8) == LABELS
    weights = model_files.read_weights(folder, "peer")
    for name, value in Made().state_dict().items():
        assert torch.equal(weights[name], value)
    assert store.status(result.cell, CODE) == "done"
    assert list(store.root.glob("*/.[0-9a-f]*")) == []


def test_git_leaves_models_alone(store):
    store.save(kept(), None)
    assert (store.models.root / ".gitignore").read_text() == "*\n"
    store.check_writable()  # and what clears away leaves it there
    assert (store.models.root / ".gitignore").exists()


def test_without_labels_items_are_called_by_their_numbers(store):
    store.save(kept(), None)
    folder = store.models.folder(cell_of().key)
    assert model_files.read_labels(folder, 8) == [str(i) for i in range(1, 9)]


def test_a_cell_trained_anew_does_not_keep_older_models(store):
    store.save(kept(), None)
    store.save(result_of(cell_of(), ndcg=0.6))
    assert not store.models.folder(cell_of().key).exists()
    with pytest.raises(UserError, match="--keep-models"):
        about(store, cell_of().key)


def test_models_of_other_ranks_do_not_count(store):
    """A kill between models and cell leaves the former beside an older cell."""
    store.save(result_of(cell_of()))
    other = {"rank": np.array([1.0, 9.0]), "user": np.array([0, 1])}
    store.models.save(kept(), other, None)
    with pytest.raises(UserError, match="of another training"):
        about(store, cell_of().key)
    assert store.keep_models(kept(), None)
    assert about(store, cell_of().key)


def test_training_again_for_models_never_changes_a_number(store):
    store.save(result_of(cell_of()))
    path = store.root / "cells" / cell_of().key
    before = {each.name: each.read_bytes() for each in path.iterdir()}
    other = kept(arrays={"rank": np.array([1.0, 2.25]), "user": np.array([0, 1])})
    assert not store.keep_models(other, None)
    assert not store.models.has(cell_of().key, store.arrays(cell_of().key))
    assert store.keep_models(kept(epochs=[{"epoch": 1, "loss": 0.7, "train_s": 99.0}]), None)
    assert {each.name: each.read_bytes() for each in path.iterdir()} == before


def edit(name, change):
    def damage(folder):
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "self.safetensors").write_bytes(b"\xff" * 40),
        lambda folder: (folder / "self.safetensors").unlink(),
        lambda folder: (folder / "SHA256SUMS").unlink(),
        lambda folder: (folder / "items.json").write_text("[]"),
        lambda folder: (folder / "model.json").write_text("[" * 9000),
        edit("model.json", lambda about: about | {"models": ["../../x"]}),
        edit("model.json", lambda about: about | {"format": 2}),
        edit("model.json", lambda about: about | {"key": "x" * 20}),
        edit("model.json", lambda about: about | {"models": []}),
    ],
)
def test_damage_is_one_error_and_does_not_count(store, damage):
    store.save(kept(), None)
    damage(store.models.folder(cell_of().key))
    with pytest.raises(UserError, match="damaged"):
        about(store, cell_of().key)
    assert store.status(cell_of(), CODE) == "done"  # the cell itself is whole


def resealed(folder):
    (folder / "SHA256SUMS").write_text(model_files._sums(folder, ["self"]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("self.safetensors", b"\xff" * 40),
        ("self.safetensors", struct.pack("<Q", 2) + b"{}"),
        ("items.json", b'["a", "a"]'),
        ("items.json", b"[1, 2]"),
        ("model.json", None),
    ],
)
def test_files_that_a_stranger_sealed_are_one_error(store, name, content):
    store.save(kept(), None)
    folder = store.models.folder(cell_of().key)
    if content is None:
        edit(name, lambda about: about | {"n_items": 2**50})(folder)
    else:
        (folder / name).write_bytes(content)
    resealed(folder)
    with pytest.raises(UserError, match=str(folder)):
        Recommender.load(store, store.load(cell_of().key))


def test_a_full_disk_leaves_nothing_of_the_models(store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_files, "sync", full)
    with pytest.raises(UserError, match="make room"):
        store.save(kept(), None)
    assert [path.name for path in store.models.root.iterdir()] == [".gitignore"]
    assert store.status(cell_of(), CODE) == "missing"


def test_models_killed_while_they_were_replaced_come_back(store):
    store.save(kept(), None)
    key = cell_of().key
    folder = store.models.folder(key)
    folder.rename(folder.with_name(f".{key}-old-1"))
    shutil.copytree(folder.with_name(f".{key}-old-1"), folder.with_name(f".{key}-2"))
    store.check_writable()
    assert about(store, key)
    assert sorted(path.name for path in store.models.root.iterdir()) == [".gitignore", key]


SETTINGS = {"dim": 8, "window": 8, "N": 10}
ONE = [*SMALL, "--samplers", "uniform", "mdcns", "--workers", "1"]


def ran(folder, *names, **options):
    """A run of the smoke study, as ``python -m bench.grid`` has it but for the report."""
    plan = bench.plan(preset="smoke", backbones=["sasrec"], samplers=names, settings=SETTINGS)
    study = bench.Study("smoke", results=folder / "results")
    return study.store, study.run(plan, workers=1, **options)


def test_models_are_kept_of_finished_cells_whose_numbers_stay(tmp_path):
    """Trained without, then asked for with: only what kept none is trained again."""
    ran(tmp_path, "uniform", "mdcns")
    before = {p: p.read_bytes() for p in tmp_path.glob("results/smoke/cells/*/*")}
    assert len(before) == 8
    assert not (tmp_path / "results/smoke/models").exists()
    _, result = ran(tmp_path, "uniform", "mdcns", keep_models=True)
    assert (len(result.trained), len(result.finished_before), result.failed) == (2, 0, [])
    assert {p: p.read_bytes() for p in tmp_path.glob("results/smoke/cells/*/*")} == before
    _, again = ran(tmp_path, "uniform", "mdcns", keep_models=True)
    assert (len(again.trained), len(again.finished_before)) == (0, 2)
    files = sorted(path.name for path in tmp_path.glob("results/smoke/models/*/*.safetensors"))
    assert files == ["peer.safetensors", "self.safetensors", "self.safetensors"]


def test_other_ranks_than_stored_are_a_named_failure(tmp_path):
    store, _ = ran(tmp_path, "uniform")
    (key,) = records(tmp_path)
    folder = tmp_path / "results/smoke/cells" / key
    arrays = store.arrays(key)
    arrays["rank"][0] += 1
    np.savez_compressed(folder / "ranks.npz", allow_pickle=False, **arrays)
    cell_files.seal(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    _, result = ran(tmp_path, "uniform", keep_models=True)
    (failure,) = result.failed
    assert "other ranks than are stored" in failure.error
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not list(tmp_path.glob("results/smoke/models/*"))


def test_stale_cells_are_not_given_models_of_other_code(tmp_path, monkeypatch):
    ran(tmp_path, "uniform")
    monkeypatch.setattr(running, "code_digest", lambda _: "other")
    _, result = ran(tmp_path, "uniform", keep_models=True)
    assert (result.trained, result.ok) == ([], True)
    assert not list(tmp_path.glob("results/smoke/models/*"))


def test_a_run_that_is_killed_goes_on_and_keeps_all_models(tmp_path):
    run = start(tmp_path, *ONE, "--keep-models")
    models = tmp_path / "results/smoke/models"
    # Unlike a glob, a walk does not mind that a half-written folder gets its name meanwhile.
    while run.poll() is None and not any(files for _, _, files in os.walk(models)):
        time.sleep(0.01)
    run.kill()
    run.communicate()
    store, _ = ran(tmp_path, "uniform", "mdcns", keep_models=True)
    keys = list(records(tmp_path))
    assert len(keys) == 2
    assert all(store.models.has(key, store.arrays(key)) for key in keys)


def test_trials_of_tuning_keep_no_models(tmp_path):
    store, result = ran(tmp_path, "dns", tune=2, keep_models=True)
    assert result.ok
    assert len(result.trained) == 1
    assert all(store.models.has(cell.key, store.arrays(cell.key)) for cell in result.trained)
    assert not (store.root / "trials/models").exists()


def test_without_safetensors_the_extra_is_named_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(model_files.importlib.util, "find_spec", lambda _: None)
    status, errors = in_process(tmp_path, *ONE, "--keep-models")
    assert status == 2
    assert "pip install -c constraints.txt -e '.[models]'" in errors
    assert not (tmp_path / "results").exists()


def test_models_of_a_log_are_not_taken_for_those_of_one_with_other_ids(tmp_path):
    """Two exports of one shop, the second with other ids of the items."""
    small = ["--preset", "smoke", "--samplers", "uniform", "--backbones", "gru4rec", "--set",
             "dim=8", "N=5", "epochs=1", "--workers", "1", "--keep-models"]  # fmt: skip
    for name, shift in (("one", 0), ("other", 1000)):
        rows = [f"u{user},{shift + (user * 7 + 5 * step) % 40}"
                for user in range(40) for step in range(6)]  # fmt: skip
        (tmp_path / f"{name}.csv").write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    assert in_process(tmp_path, *small, "--datasets", str(tmp_path / "one.csv"))[0] == 0
    status, said = in_process(tmp_path, *small, "--datasets", str(tmp_path / "other.csv"))
    assert status == 2
    assert "that is '1000' here" in said
    assert "give another --study" in said
    assert in_process(tmp_path, *small, "--datasets", str(tmp_path / "one.csv"))[0] == 0

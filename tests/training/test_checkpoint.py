"""A cell that was killed between epochs goes on to the numbers of one that was not."""

from __future__ import annotations

import hashlib
import pickle

import pytest
import torch
from support import CPU, cell_of, dataset_of, exposures_of, ignore, random_sequences

import samplers
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.studies.code import code_digest
from bench.studies.run_cell import Material, Task, run_cell
from bench.training import checkpoint
from bench.training.checkpoint import Checkpoint
from bench.training.loop import fit

DATASET = dataset_of(random_sequences(n_users=60, n_items=40, longest=14))
SPLIT = make_split(DATASET, "user", 0)
DATA = TrainingData(SPLIT.train, DATASET.n_items, exposures_of(DATASET))


class KilledError(Exception):
    pass


def kill_at(epoch):
    def report(row):
        if row["epoch"] == epoch:
            raise KilledError

    return report


def numbers(fitted):
    rows = [{k: v for k, v in row.items() if not k.endswith("_s")} for row in fitted.epochs]
    return rows, fitted.best_epoch


@pytest.fixture(autouse=True)
def after_every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)


@pytest.mark.parametrize("name", samplers.registry.names())
def test_every_sampler_goes_on_as_if_nothing_had_happened(name, tmp_path):
    cell = cell_of(name, epochs=4, patience=4)
    undisturbed = fit(cell, DATA, SPLIT.valid, CPU, ignore)
    file = tmp_path / "folder" / "cell.pt"
    with pytest.raises(KilledError):
        fit(cell, DATA, SPLIT.valid, CPU, kill_at(3), Checkpoint(file, "code"))
    seen = []
    resumed = fit(cell, DATA, SPLIT.valid, CPU, seen.append, Checkpoint(file, "code"))
    assert [row["epoch"] for row in seen] == [3, 4]  # the third was not yet kept
    assert numbers(resumed) == numbers(undisturbed)
    for ours, theirs in zip(resumed.models, undisturbed.models, strict=True):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)


def test_patience_that_had_run_out_is_not_granted_again(tmp_path, monkeypatch):
    cell = cell_of(epochs=50, patience=2)
    file = tmp_path / "cell.pt"
    whole = fit(cell, DATA, SPLIT.valid, CPU, ignore, Checkpoint(file, "code"))
    again = fit(cell, DATA, SPLIT.valid, CPU, ignore, Checkpoint(file, "code"))
    assert 2 < len(whole.epochs) < 50
    assert again.epochs == whole.epochs


@pytest.mark.parametrize("damage", ["cut", "a bit", "other code", "a pickle"])
def test_what_cannot_be_used_is_not(damage, tmp_path):
    file = tmp_path / "cell.pt"
    with pytest.raises(KilledError):
        fit(cell_of(), DATA, SPLIT.valid, CPU, kill_at(2), Checkpoint(file, "code"))
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "a bit":
        middle = len(content) // 2
        flipped = bytes([content[middle] ^ 1])
        file.write_bytes(content[:middle] + flipped + content[middle + 1 :])
    elif damage == "a pickle":
        pickled = pickle.dumps({"made_by": "code", "state": kill_at})
        file.write_bytes(hashlib.sha256(pickled).digest() + pickled)
    made_by = "other code" if damage == "other code" else "code"
    assert Checkpoint(file, made_by).load() is None
    seen = []
    fit(cell_of(), DATA, SPLIT.valid, CPU, seen.append, Checkpoint(file, made_by))
    assert seen[0]["epoch"] == 1


def test_the_seconds_of_a_killed_process_count(tmp_path, monkeypatch):
    data = Material.of(DATASET, SPLIT, test=True)
    task = Task(cell_of(), code_digest(cell_of()), 1, checkpoint=tmp_path / "cell.pt")
    monkeypatch.setattr(checkpoint, "_clocks", lambda: [0.0, 0.0])
    kept = Checkpoint(task.checkpoint, task.code)
    monkeypatch.setattr(checkpoint, "_clocks", lambda: [3000.0, 2000.0])
    with pytest.raises(KilledError):
        fit(task.cell, DATA, SPLIT.valid, CPU, kill_at(2), kept)
    kept = Checkpoint(task.checkpoint, task.code)
    kept.save(kept.load())  # by a process that was killed, too, after no time
    timings = run_cell(task, data).timings
    assert 3000 < timings["wall_s"] < 3100
    assert 2000 < timings["cpu_s"] < 2100
    assert timings["train_s"] + timings["valid_s"] < timings["wall_s"]


def test_a_checkpoint_that_cannot_be_written_does_not_stop_training(tmp_path):
    (tmp_path / "file").write_text("no folder")
    undisturbed = fit(cell_of(), DATA, SPLIT.valid, CPU, ignore)
    file = tmp_path / "file" / "cell.pt"
    fitted = fit(cell_of(), DATA, SPLIT.valid, CPU, ignore, Checkpoint(file, "code"))
    assert numbers(fitted) == numbers(undisturbed)


def test_a_state_of_another_shape_is_one_clear_error(tmp_path):
    kept = Checkpoint(tmp_path / "cell.pt", "code")
    for state in ({}, {"trainer": {}}, [], {"trainer": {"step": 1, "models": []}}):
        kept.save(state)
        with pytest.raises(UserError, match=r"cell\.pt: not the state of this cell; delete it"):
            fit(cell_of(), DATA, SPLIT.valid, CPU, ignore, kept)


@pytest.mark.parametrize("name", ["uniform", "mdcns", "srns", "adasir", "gnno", "in-batch"])
def test_training_in_rounds_is_training_in_one_go(name, tmp_path, monkeypatch):
    """The limit of epochs is raised twice, in a process of its own each time, so to speak; the
    weights that come of it, not the best alone but the last, are those of one training."""
    monkeypatch.setattr(checkpoint, "EVERY_S", 1e9)
    kept = {2: tmp_path / "2.pt", 4: tmp_path / "4.pt", 7: tmp_path / "7.pt"}
    start, trained = None, []
    for limit, keep in kept.items():
        own = tmp_path / f"{limit}-own.pt"
        cell = cell_of(name, epochs=limit, patience=4)
        its = Checkpoint(own, "code", start, keep)
        in_rounds = fit(cell, DATA, SPLIT.valid, CPU, lambda row: trained.append(row["epoch"]), its)
        start = keep
    once = Checkpoint(tmp_path / "own.pt", "code", None, tmp_path / "once.pt")
    in_one_go = fit(cell_of(name, epochs=7, patience=4), DATA, SPLIT.valid, CPU, ignore, once)
    assert trained == [row["epoch"] for row in in_one_go.epochs]  # none twice
    assert numbers(in_rounds) == numbers(in_one_go)
    for one, other in zip(in_rounds.models, in_one_go.models, strict=True):
        assert all(
            torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
        )
    last, theirs = Checkpoint(kept[7], "code").load(), Checkpoint(once.keep, "code").load()
    assert same(last["trainer"], theirs["trainer"])


def same(one, other):
    """Whether states are equal, to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_patience_that_has_run_out_in_a_round_has_in_the_next(tmp_path):
    seen = []
    for limit, start in ((30, None), (60, tmp_path / "30.pt")):
        its = Checkpoint(tmp_path / f"{limit}-own.pt", "code", start, tmp_path / f"{limit}.pt")
        cell = cell_of(epochs=limit, patience=2)
        seen.append(fit(cell, DATA, SPLIT.valid, CPU, ignore, its).epochs)
    assert 2 < len(seen[0]) < 30
    assert seen[0] == seen[1]


def test_its_own_checkpoint_goes_before_the_state_of_the_round_before(tmp_path):
    keep = tmp_path / "2.pt"
    fit(cell_of(epochs=2), DATA, SPLIT.valid, CPU, ignore, Checkpoint(keep, "code", None, keep))
    with pytest.raises(KilledError):
        own = Checkpoint(tmp_path / "own.pt", "code", keep)
        fit(cell_of(epochs=5, patience=9), DATA, SPLIT.valid, CPU, kill_at(4), own)
    seen = []
    own = Checkpoint(tmp_path / "own.pt", "code", keep)
    fit(cell_of(epochs=5, patience=9), DATA, SPLIT.valid, CPU, seen.append, own)
    assert [row["epoch"] for row in seen] == [4, 5]

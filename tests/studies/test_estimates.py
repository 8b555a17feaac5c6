"""What a run is said to take before it starts: no less than it takes, and a question if much."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import cell_of, dataset_of, random_sequences

import backbones
from bench.cell import Component
from bench.datasets.splits import make_split
from bench.errors import UserError
from bench.studies import estimates
from bench.studies.code import code_digest
from bench.studies.estimates import Estimate, Meter, confirm
from bench.studies.planning import Plan, make_plan
from bench.studies.request import request_of
from bench.studies.run_cell import Material, Task, run_task
from bench.studies.store import Store


def plan_of(*sequences):
    """Of random datasets; returns it and what tells cells on them apart."""
    made = [replace(dataset_of(each), name=f"made-up{i}") for i, each in enumerate(sequences)]
    splits = [make_split(dataset, "user", 0) for dataset in made]
    where = [
        {"fingerprint": dataset.fingerprint, "split_digest": split.digest}
        for dataset, split in zip(made, splits, strict=True)
    ]
    keys = [replace(cell_of(), **each).data_key for each in where]
    plan = Plan(
        [],
        {dataset.fingerprint: dataset for dataset in made},
        dict(zip(keys, splits, strict=True)),
        {key: len(split.test.users) for key, split in zip(keys, splits, strict=True)},
        [],
    )
    return plan, where


SMALL, LARGE = random_sequences(120, 60), random_sequences(120, 300, seed=1)


@pytest.mark.parametrize("test", [True, False])
def test_a_cell_takes_no_more_disk_than_was_said(tmp_path, test):
    plan, (where,) = plan_of(SMALL)
    (dataset,), (split,) = plan.datasets.values(), plan.splits.values()
    meter, store = Meter(plan, "cpu", 1), Store(tmp_path)
    for name in ("uniform", "mdcns", "srns"):
        cell = replace(cell_of(name, epochs=12, patience=12), **where)
        task = Task(cell, code_digest(cell), 1, checkpoint=store.checkpoint(cell.key))
        outcome = run_task(task, Material.of(dataset, split, test))
        assert outcome.result is not None, outcome.traceback
        assert len(outcome.result.epochs[0]) <= meter_columns(meter, cell)
        store.save(outcome.result)
        said = meter.estimate([cell] * test, [cell] * (not test), 1)
        taken = sum(path.stat().st_size for path in (tmp_path / "cells" / cell.key).iterdir())
        assert taken <= said.disk
        assert said.memory > 2**27  # Python and torch alone
        assert said.seconds > 0


def test_models_that_are_kept_are_counted(tmp_path):
    plan, (where, _) = plan_of(SMALL, LARGE)
    cell = replace(cell_of("mdcns"), **where)
    without, kept = (
        Meter(plan, "cpu", 1, keep_models=keep).estimate([cell], [cell], 1).disk
        for keep in (False, True)
    )
    made = [
        backbones.registry.build(
            part.name, part.hyper, plan.datasets[cell.fingerprint].n_items, cell.protocol.dim,
            cell.protocol.window,
        )
        for part in cell.models
    ]  # fmt: skip
    numbers = sum(each.numel() for model in made for each in model.state_dict().values())
    assert kept - without == 4 * numbers  # the trial keeps none


def meter_columns(meter, cell):
    meter.seconds([cell])
    return meter._of(cell).columns


def test_each_kind_is_measured_once_on_its_largest_catalogue(monkeypatch):
    plan, (small, large) = plan_of(SMALL, LARGE)
    n_items = [plan.datasets[where["fingerprint"]].n_items for where in (small, large)]
    assert n_items[0] < n_items[1]
    measured = []

    def measure(cell, *others):
        measured.append((cell.sampler.name, cell.fingerprint))
        return estimates._Measured(others[-1], 1.0, 2.0, 1000, 20)

    monkeypatch.setattr(estimates, "_measure", measure)
    cells = [
        replace(cell_of(name, seed=seed), **where)
        for seed in range(100)
        for name in ("uniform", "dns")
        for where in (small, large)
    ]
    meter = Meter(plan, "cpu", 1)
    seconds = meter.seconds(cells)
    assert measured == [(name, large["fingerprint"]) for name in ("uniform", "dns")]
    split = plan.splits[cells[0].data_key]
    targets = int(np.diff(split.train.offsets).sum()) - len(split.train.users)
    assert seconds[cells[0].key] == 2 * (targets + 2 * len(split.valid.targets))
    one, three = (meter.estimate(cells, cells[:5], workers) for workers in (1, 3))
    assert len(measured) == 2
    assert one.seconds == 3 * three.seconds
    assert three.memory >= 4 * one.memory  # the one that hands out work counts
    assert three.disk == one.disk + 2 * 2 * 1000
    assert meter.estimate(cells[:2], [], 8).workers == 2


def test_what_cannot_be_trained_counts_as_nothing():
    plan, (where,) = plan_of(SMALL)
    impossible = Component("uniform", {"K": -1})
    cell = replace(cell_of(), sampler=impossible, **where)
    assert list(Meter(plan, "cpu", 1).seconds([cell]).values()) == [0.0]


FITS = Estimate(workers=2, threads=1, seconds=60, disk=1e6, memory=3e9, worker_memory=1e9)


@pytest.fixture
def machine(monkeypatch):
    """8 GB of memory, 50 GB of disk."""
    monkeypatch.setattr(estimates, "machine_memory", lambda: 8e9)
    monkeypatch.setattr(estimates, "free_disk", lambda folder: 50e9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workers": 20, "memory": 21e9}, "21.0 GB of memory may be needed.* --workers 7 "),
        ({"workers": 1, "memory": 9e9, "worker_memory": 9e9}, "smaller --set dim, N"),
        ({"disk": 60e9}, "60.0 GB of disk may be needed, and 50.0 GB are free.* --results"),
    ],
)
def test_what_will_not_fit_is_said_with_the_option_that_helps(machine, change, words, capsys):
    (said,) = replace(FITS, **change).lacking(Path("results"))
    assert re.search(words, said)
    confirm(replace(FITS, **change), Path("results"), yes=True)
    assert f"warning: {said}" in capsys.readouterr().err
    assert FITS.lacking(Path("results")) == []


class Terminal(io.StringIO):
    def isatty(self):
        return True


LARGE_RUNS = [{"seconds": 13 * 3600}, {"disk": 21e9}, {"workers": 20, "memory": 21e9}]


@pytest.mark.parametrize("change", LARGE_RUNS)
def test_a_large_run_on_a_terminal_asks(machine, change, monkeypatch):
    errors = Terminal()
    monkeypatch.setattr(sys, "stderr", errors)
    large = replace(FITS, **change)
    for answer in ("n\n", "\n", ""):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        with pytest.raises(UserError, match="--yes"):
            confirm(large, Path("results"), yes=False)
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    confirm(large, Path("results"), yes=False)
    assert errors.getvalue().count("Go on? [y/N]") == 4


def test_nobody_is_asked_with_yes_without_a_terminal_or_about_little(machine, monkeypatch):
    errors = Terminal()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    large = replace(FITS, seconds=13 * 3600)
    confirm(FITS, Path("results"), yes=False)
    confirm(large, Path("results"), yes=True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    confirm(large, Path("results"), yes=False)
    assert errors.getvalue() == ""


def test_the_disk_is_that_of_the_nearest_directory_there_is(tmp_path):
    assert estimates.free_disk(tmp_path / "not" / "yet") == pytest.approx(
        estimates.free_disk(tmp_path), rel=0.1
    )
    assert 1e8 < estimates.machine_memory() < 1e15


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_settings_the_one_with_most_to_compute_is_measured(monkeypatch, order):
    """All cells of a kind are said to take as long: "at most" is so of the longest."""
    plan, (where,) = plan_of(SMALL)
    measured, whole = [], estimates._measure

    def measure(cell, *arguments):
        measured.append((cell.sampler.hyper["N"], cell.backbone.hyper["layers"]))
        return whole(cell, *arguments)

    monkeypatch.setattr(estimates, "_measure", measure)
    cell = replace(cell_of("dns"), **where)
    cells = [
        replace(
            cell,
            sampler=replace(cell.sampler, hyper=cell.sampler.hyper | {"N": n}),
            backbone=replace(cell.backbone, hyper=cell.backbone.hyper | {"layers": layers}),
        )
        for n in (5, 40)
        for layers in (1, 3)
    ][::order]
    meter = Meter(plan, "cpu", 1)
    seconds = meter.seconds(cells[:2])
    assert len(set(seconds.values())) == 1
    meter.seconds(cells)
    assert measured[-1] == (40, 3)
    assert len(measured) <= 2


def test_what_is_timed_is_ranked_as_the_cell_will_be(monkeypatch):
    """On generated data the true distribution is looked at, which takes most of a validation."""
    plan = make_plan(
        request_of(preset="smoke", datasets="beauty-twin", backbones="sasrec", samplers=["uniform"])
    )
    (split,) = plan.splits.values()
    some = split.valid.first(10)
    assert some.truth is split.valid.truth is not None
    assert (some.probabilities == split.valid.probabilities[:10]).all()
    assert (some.offsets[-1], len(some.items)) == (split.valid.offsets[10],) * 2
    assert len(split.valid.first(10**9).targets) == len(split.valid.targets)
    ranked, whole = [], estimates.rank_predictions
    monkeypatch.setattr(estimates, "rank_predictions", lambda *a: ranked.append(a[1]) or whole(*a))
    Meter(plan, "cpu", 1).seconds(plan.cells)
    assert {each.truth for each in ranked} == {split.valid.truth}

"""A study with a budget that is run again: killed while testing, with other seeds, time or code."""

from __future__ import annotations

import json

import pytest
from support.grid import in_process
from support.machine import ran
from support.tuning import log_file, run

import samplers
from bench.api import Study
from bench.errors import UserError
from bench.studies import budget as accounts
from bench.studies import estimates, run_cell, running
from bench.studies.budget import Account, Budget, Clock
from bench.studies.halving import Halving
from bench.studies.store import Store

SETTINGS = ["dim=8", "window=8", "N=10", "epochs=4", "*.K=1", "popularity.power=0.75", "dns+.M=5"]
CHOSEN = ["uniform", "popularity", "dns", "dns+"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return log_file(tmp_path_factory.mktemp("log"))


def with_budget(folder, log, *arguments, budget="1h"):
    settings = [*SETTINGS, "dns.N=10", "dns+.N=10"]
    return run(folder, log, "--budget", budget, *arguments, chosen=CHOSEN, settings=settings)


def store_of(folder):
    return Store(folder / "results/shop-budget")


@pytest.mark.parametrize("seconds", [200, 400, 900])
def test_a_run_that_was_killed_while_testing_decides_nothing_anew(machine, seconds):
    """Though by the speed measured now there may be time for another round."""
    fake, its = machine(seconds)
    its.choose()
    its.rounds()
    whole = fake.train

    def killed(cells, *arguments, **options):
        whole(cells[:1], *arguments, **options)
        raise KeyboardInterrupt

    fake.train = killed
    with pytest.raises(KeyboardInterrupt):
        its.test()
    stored = accounts.read(its._store.root)
    again, other = machine(seconds, account=stored)
    again.now, again.epochs, again.slower = fake.now, fake.epochs, 0.1
    ran(other)
    assert other.account.rounds == stored.rounds
    assert not again.trained
    tested = {record.key for record in its._store.records()}
    assert tested == {cell.key for cell in stored.finals} == set(other.account.cells)


def test_of_two_budgets_the_later_s_finalists_are_reported_once_they_are_tested(machine):
    _, its = machine(150)
    ran(its)
    earlier = set(its.account.cells)
    study = Study("study", results=its._store.root.parent)
    again, other = machine(900, account=Account(900, True, 150, cells=its.account.cells))
    again.now = 150
    other.choose()
    other.rounds()
    assert {record.key for record in study.records()} == earlier
    other.test()
    assert {record.key for record in study.records()} == set(other.account.cells)
    assert earlier - set(other.account.cells)
    assert len(study.comparisons()) == 1
    assert not study.frame()[["sampler", "seed"]].duplicated().any()


def test_more_seeds_are_trained_where_there_is_time(tmp_path, log):
    assert with_budget(tmp_path, log, "--seeds", "1").status == 0
    account = accounts.read(store_of(tmp_path).root)
    assert (account.last.seeds, account.closed) == (1, 1)
    done = with_budget(tmp_path, log, "--seeds", "3")
    assert done.status == 0, done.errors
    account = accounts.read(store_of(tmp_path).root)
    assert (account.last.seeds, account.closed) == (3, 3)
    seeds = {(record.sampler, record.cell.seed) for record in store_of(tmp_path).records()}
    assert seeds == {(name, seed) for name in account.last.kept for seed in range(3)}
    again = with_budget(tmp_path, log, "--seeds", "2")
    assert "spent, and all is finished" in again.out


@pytest.mark.parametrize("force", [False, True])
def test_other_code_is_said_and_begins_anew_where_that_is_asked_for(
    tmp_path, log, monkeypatch, force
):
    whole, ended = Halving._trained, []

    def killed(self, step):
        made = whole(self, step)
        ended.append(made)
        if len(ended) == 2:
            raise KeyboardInterrupt
        return made

    with monkeypatch.context() as patched:
        patched.setattr(Halving, "_trained", killed)
        assert with_budget(tmp_path, log, "--seeds", "1").status == 130
    store = store_of(tmp_path)
    (store.root / ".progress/spent").write_text("1000.5\n", encoding="utf-8")
    for module in (running, run_cell):
        monkeypatch.setattr(module, "code_digest", lambda cell: "other")
    done = with_budget(tmp_path, log, "--seeds", "1", *["--force-stale"] * force)
    assert done.status == 0, done.errors
    account, rounds = accounts.read(store.root), Store(store.root / "rounds")
    codes = {rounds.load(cell.key).code for cell in account.decided}
    if force:
        assert "the budget begins anew" in done.out
        assert codes == {"other"}
        assert account.spent_s < 1000
    else:
        assert "4 of 4 trainings that decided were by other code" in done.out
        assert account.spent_s > 1000
        assert "other" not in codes


FAILING = """
import samplers

@samplers.register("mine")
class Mine(samplers.Sampler):
    "Mine."
    def sample(self, views):
        {}
        return [samplers.Negatives(ids=view.pool(1)) for view in views]
"""


def test_where_all_fails_it_is_said_and_what_is_mended_is_trained(tmp_path, log):
    plugin = tmp_path / "mine.py"

    def again(slip):
        samplers.registry._classes.pop("mine", None)
        plugin.write_text(FAILING.format(slip), encoding="utf-8")
        given = ["--budget", "1h", "--seeds", "1", "--plugin", str(plugin)]
        return run(tmp_path, log, *given, chosen=["mine"], settings=SETTINGS[:4])

    try:
        failed = again('raise KeyError("slip")')
        assert failed.status == 2
        assert "nothing of the first round could be trained: " in failed.errors
        assert "slip" in failed.errors.partition("could be trained")[2]
        done = again("pass")
        assert done.status == 0, done.errors
    finally:
        samplers.registry._classes.pop("mine", None)


@pytest.mark.parametrize("slower", [1.0, 50.0])
def test_a_first_round_in_which_time_was_up_is_not_blamed_on_what_failed(machine, slower):
    """Of three one diverges, and on a slow machine there is no time for the others."""
    fake, its = machine(300, samplers=["uniform", "dns", "full-softmax"], slower=slower)
    fake.diverge = {"dns"}
    its.choose()
    if slower == 1.0:
        its.rounds()
        assert {cell.sampler.name for cell in its.account.finals} == {"uniform", "full-softmax"}
    else:
        with pytest.raises(UserError, match="time was up before the first round"):
            its.rounds()


def test_what_is_finished_is_opened_for_seeds_alone(machine):
    """The states that longer trainings would go on from are gone."""
    fake, its = machine(400, seeds=1)
    ran(its)
    stored = accounts.read(its._store.root)
    assert stored.closed == 1
    epochs, before = stored.last.epochs, len(stored.rounds)
    again, other = machine(4000, seeds=5, account=stored)
    again.now, again.epochs = fake.now, {}
    ran(other)
    new = other.account.rounds[before:]
    assert new
    assert all(step.final and step.epochs == epochs for step in new)
    assert other.account.last.seeds == other.account.closed == 5
    assert {cell.seed for cell in again.trained} == {1, 2, 3, 4}


def test_an_account_of_an_earlier_version_is_settled_where_it_was_finished(machine):
    _, its = machine(400)
    ran(its)
    path = its._store.root / accounts.FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["closed"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert accounts.read(its._store.root).closed == 5
    path.write_text(json.dumps(content | {"cells": []}), encoding="utf-8")
    assert accounts.read(its._store.root).closed == 0


def test_nothing_is_measured_while_a_round_is_trained(tmp_path, log, monkeypatch):
    """It would count as training, of which later rounds are planned by."""
    measured, began = [], []
    whole, train = estimates._measure, running.Runner.train
    monkeypatch.setattr(
        estimates, "_measure", lambda cell, *a: measured.append(cell) or whole(cell, *a)
    )

    def training(self, *arguments, **options):
        began.append(len(measured))
        return train(self, *arguments, **options)

    monkeypatch.setattr(running.Runner, "train", training)
    settings = ["dim=8", "window=8", "N=10", "epochs=4"]
    chosen = ["uniform", "dns+"]
    done = run(tmp_path, log, "--budget", "1h", "--seeds", "1", chosen=chosen, settings=settings)
    assert done.status == 0, done.errors
    assert len({str(cell.sampler.hyper) for cell in measured}) > 2
    assert set(began) == {len(measured)}


def test_an_account_that_was_removed_begins_anew(tmp_path, log):
    """As its error says, when it cannot be read."""
    assert with_budget(tmp_path, log, "--seeds", "1").status == 0
    store = store_of(tmp_path)
    (store.root / accounts.FILE).write_text("{", encoding="utf-8")
    broken = with_budget(tmp_path, log, "--seeds", "1")
    assert "remove it and start again" in broken.errors
    (store.root / accounts.FILE).unlink()
    (store.root / ".progress/spent").write_text("3590\n", encoding="utf-8")
    done = with_budget(tmp_path, log, "--seeds", "1")
    assert done.status == 0, done.errors
    assert accounts.read(store.root).spent_s < 3000


def test_an_account_that_was_removed_begins_at_nothing(tmp_path, log):
    store = store_of(tmp_path)
    (store.root / ".progress").mkdir(parents=True)
    (store.root / ".progress/spent").write_text("3590\n", encoding="utf-8")
    assert Clock(Budget(100.0), store, None).spent < 10
    done = with_budget(tmp_path, log, "--seeds", "1", "--dry-run")
    assert done.status == 0, done.errors


def test_an_account_that_changed_since_it_was_read_is_not_overwritten(tmp_path, log, monkeypatch):
    whole = Halving.choose

    def meanwhile(self):
        accounts.save(store_of(tmp_path).root, Account(1.0, True))
        return whole(self)

    store_of(tmp_path).check_writable()
    monkeypatch.setattr(Halving, "choose", meanwhile)
    second = with_budget(tmp_path, log)
    assert second.status == 2
    assert "another run with --budget has just been at it" in second.errors


def test_what_killed_runs_left_is_gone_in_the_end(machine):
    _, its = machine(400)
    its.choose()
    states, checkpoints = its._states.folder, its._rounds.root / ".checkpoints"
    for folder in (states, checkpoints):
        folder.mkdir(parents=True)
    (states / f".{'a' * 20}-3.pt-1234").touch()
    (checkpoints / f".{'a' * 20}.pt-1234").touch()
    its.rounds()
    late = its._rounds.checkpoint(its.account.decided[0].key)
    late.touch()
    its.test()
    assert not [*states.iterdir(), *checkpoints.iterdir()]


def test_a_budget_and_a_grid_do_not_share_a_study(tmp_path, log):
    assert with_budget(tmp_path, log, "--seeds", "1", "--study", "one").status == 0
    given = ["--preset", "smoke", "--datasets", str(log), "--backbones", "gru4rec", "--samplers"]
    whole = [*given, "uniform", "--workers", "1", "--set", *SETTINGS[:4]]
    status, errors = in_process(tmp_path, *whole, "--study", "one")
    assert status == 2
    assert "cells that were found within a budget" in errors
    assert in_process(tmp_path, *whole, "--study", "two")[0] == 0
    other = with_budget(tmp_path, log, "--study", "two")
    assert other.status == 2
    assert "cells that were not found within a budget" in other.errors

"""A tuned study: its account, its cells, its report, and going on with it."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import pandas as pd
import pytest
from support.results import result_of
from support.tuning import SAMPLERS, SETTINGS, account, log_file, root, run, systems, written

from bench.studies import tuning
from bench.studies.store import Store


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return log_file(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="module")
def done(tmp_path_factory, log):
    """A finished study: three samplers, six trials each, two seeds.  Not to be changed."""
    folder = tmp_path_factory.mktemp("done")
    ran = run(folder, log, "--tune", 6)
    assert ran.status == 0, ran.errors
    return folder


@pytest.fixture
def copy(done, tmp_path):
    """The finished study, to be changed."""
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_every_system_gets_the_same_number_of_distinct_trials(done):
    assert [one["sampler"] for one in systems(done)] == SAMPLERS
    for one in systems(done):
        assert one["budget"] == 6
        assert not one["exhausted"]
        keys = [trial["key"] for trial in one["trials"]]
        assert len(set(keys)) == len(keys) == 6
        assert {trial["status"] for trial in one["trials"]} == {"done"}
        for trial in one["trials"]:
            assert set(trial["values"]) == set(one["space"])
            assert all(value in one["space"][name] for name, value in trial["values"].items())
    stored = list(Store(root(done) / "trials").records())
    assert len(stored) == 18  # no system has had more than the account says
    assert {record.cell.seed for record in stored} == {0}


def test_the_chosen_configuration_is_trained_at_all_seeds(done):
    cells = {record.key: record.cell.config() for record in Store(root(done)).records()}
    assert len(cells) == 6
    for one in systems(done):
        best = max(one["trials"], key=lambda trial: trial["valid"]["ndcg@20"])
        assert one["chosen"] == best["values"]
        assert best["key"] == one["cells"][0]
        for seed, key in enumerate(one["cells"]):
            config = cells[key]
            assert config["seed"] == seed
            hyper = {
                f"{config[part]['name']}.{option}": value
                for part in ("sampler", "objective", "backbone")
                for option, value in config[part]["hyper"].items()
            }
            assert hyper | one["chosen"] == hyper


def test_two_workers_tune_the_same_as_one(done, tmp_path, log):
    ran = run(tmp_path, log, "--tune", 6, "--workers", 2)
    assert ran.status == 0, ran.errors
    assert account(tmp_path) == account(done)


def test_a_second_run_trains_nothing(copy, log):
    before, text = (written(copy, "trials"), written(copy, ".")), account(copy)
    ran = run(copy, log, "--tune", 6)
    assert ran.status == 0
    assert "training" not in ran.errors
    assert (written(copy, "trials"), written(copy, ".")) == before
    assert account(copy) == text


def test_a_killed_run_goes_on_and_chooses_the_same(copy, log):
    """As if it had been killed in the second round of tuning."""
    text, lost = account(copy), [one["trials"][5]["key"] for one in systems(copy)]
    (root(copy) / "tuning.json").unlink()
    shutil.rmtree(root(copy) / "cells")
    for key in lost:
        shutil.rmtree(root(copy) / "trials/cells" / key)
    kept = written(copy, "trials")
    ran = run(copy, log, "--tune", 6)
    assert ran.status == 0, ran.errors
    assert account(copy) == text
    assert {path: time for path, time in written(copy, "trials").items() if path in kept} == kept
    assert ran.errors.count("valid ndcg@20") == 3
    assert len(list(Store(root(copy)).records())) == 6


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(copy, log):
    before = {one["sampler"]: one["trials"] for one in systems(copy)}
    ran = run(copy, log, "--tune", 8)
    assert ran.status == 0, ran.errors
    for one in systems(copy):
        assert len(one["trials"]) == one["budget"] == 8
        assert one["trials"][:6] == before[one["sampler"]]
    assert ran.errors.count("valid ndcg@20") == 6


def test_two_runs_that_end_together_keep_each_other_s_systems(copy, monkeypatch):
    """Each reads, adds its own and writes; one in between would be lost."""
    first, second, third = tuning.read(root(copy))
    tuning.save(root(copy), [first])
    (root(copy) / tuning.FILE).unlink()
    whole, others = tuning.read, []

    def slowly(folder):
        found = whole(folder)
        if not others:
            others.append(threading.Thread(target=tuning.save, args=(folder, [second])))
            others[0].start()
            others[0].join(timeout=0.3)
        return found

    monkeypatch.setattr(tuning, "read", slowly)
    tuning.save(root(copy), [first])
    others[0].join()
    monkeypatch.undo()
    assert {one.sampler for one in tuning.read(root(copy))} == {first.sampler, second.sampler}
    tuning.save(root(copy), [third])
    assert len(tuning.read(root(copy))) == 3


def test_tuned_and_untuned_cells_do_not_mix(copy, log):
    ran = run(copy, log, "--study", "smoke-tuned")
    assert ran.status == 2
    assert "holds cells that were tuned" in ran.errors
    assert run(copy, log, chosen=["uniform"]).status == 0
    ran = run(copy, log, "--tune", 2, "--study", "smoke", chosen=["uniform"])
    assert ran.status == 2
    assert "holds cells that were not tuned" in ran.errors
    assert not (copy / "results/smoke/trials").exists()


def test_a_trial_of_another_run_is_waited_for(copy, log):
    trials = Store(root(copy) / "trials")
    key = systems(copy)[1]["trials"][2]["key"]
    cell = trials.load(key).cell
    shutil.rmtree(root(copy) / "trials/cells" / key)
    claim = trials.claim(cell)
    ran = run(copy, log, "--tune", 6)
    claim.release()
    assert ran.status == 2
    assert "another run is at this trial" in ran.errors


def test_dry_run_counts_what_is_left(done, log):
    finished = run(done, log, "--tune", 6, "--dry-run")
    assert "to train: at most 0 trials and 0 cells, at most 0:00:00" in finished.out
    more = run(done, log, "--tune", 7, "--dry-run", chosen=["dns+"])
    assert "to train: at most 1 trials and 2 cells" in more.out
    again = run(done, log, "--tune", 6, "--dry-run", "--force-stale", chosen=["dns+"])
    assert "to train: at most 6 trials and 2 cells" in again.out


def test_dry_run_counts_what_other_options_leave(copy, log):
    """At least what is trained: else the question before many hours would not be asked."""
    fixed = [*SETTINGS, "gru4rec.layers=1"]
    other = run(copy, log, "--tune", 2, "--dry-run", chosen=["popularity"], settings=fixed)
    assert "to train: at most 2 trials and 2 cells" in other.out
    tests = run(copy, log, "--tune", 6, "--test-trials", "--dry-run", chosen=["popularity"])
    assert "to train: 6 trials, to be tested, at most" in tests.out
    assert len([line for line in tests.out.splitlines() if "popularity.power=" in line]) == 6
    assert not (root(copy) / "trials-test").exists()
    fixed = [*SETTINGS, "popularity.power=0.75"]
    fewer = run(copy, log, "--tune", 2, chosen=["popularity"], settings=fixed)
    assert fewer.status == 0, fewer.errors
    again = run(copy, log, "--tune", 6, "--dry-run", chosen=["popularity"])
    assert "to train: at most 6 trials and 2 cells" in again.out
    assert run(copy, log, "--tune", 6, chosen=["popularity"]).status == 0
    models = run(copy, log, "--tune", 6, "--keep-models", "--dry-run", chosen=["popularity"])
    assert "to train: at most 0 trials and 2 cells" in models.out
    kept = run(copy, log, "--tune", 6, "--keep-models", chosen=["popularity"])
    assert kept.errors.count("test ndcg@10") == 2
    again = run(copy, log, "--tune", 6, "--keep-models", "--dry-run", chosen=["popularity"])
    assert "to train: at most 0 trials and 0 cells" in again.out


def test_of_a_study_without_the_default_among_its_trials_that_is_left(copy, log):
    """One that was tuned before defaults were trials, and has as many as it was given."""
    first = next(one["trials"][0]["key"] for one in systems(copy) if one["sampler"] == "dns+")
    shutil.rmtree(root(copy) / "trials/cells" / first)
    more = run(copy, log, "--tune", 5, "--dry-run", chosen=["dns+"])
    assert "to train: at most 1 trials and 2 cells" in more.out


def test_a_tuned_sampler_stands_under_its_plain_name(done):
    cells = pd.read_csv(done / "reports/smoke-tuned/comparison-bce.csv")
    assert set(cells["sampler"]) == set(SAMPLERS)
    assert set(cells["backbone"]) == {"gru4rec"}


def test_cells_of_an_earlier_choice_are_left_out_of_the_tables(copy):
    store = Store(root(copy))
    chosen = {key for one in systems(copy) for key in one["cells"]}
    cell = store.load(systems(copy)[1]["cells"][0]).cell
    earlier = replace(cell, sampler=replace(cell.sampler, hyper=cell.sampler.hyper | {"M": 7}))
    store.save(result_of(earlier, synthetic=False))
    assert len(list(store.records())) == len(chosen) + 1
    for records in (tuning.reported(store), tuning.as_compared(store)):
        assert {record.key for record in records} == chosen


def test_the_report_shows_choice_budget_and_spread_over_trials(done):
    folder = done / "reports/smoke-tuned"
    text = (folder / "tuning.md").read_text()
    assert text.startswith("# Tuning: Real data, bce loss")
    assert "Test" not in text.replace("Tested", "")
    table = pd.read_csv(folder / "tuning.csv").set_index("sampler")
    trials = Store(root(done) / "trials")
    for one in systems(done):
        values = pd.Series([trial["valid"]["ndcg@20"] for trial in one["trials"]])
        row = table.loc[one["sampler"]]
        assert row["valid_best"] == pytest.approx(values.max())
        assert row["valid_median"] == pytest.approx(values.median())
        assert row["valid_sd"] == pytest.approx(values.std())
        assert (row["budget"], row["trials"], row["failed"]) == (6, 6, 0)
        for name, value in one["chosen"].items():
            assert f"{name}={value}" in row["chosen"]
        epochs = sum(len(trials.epochs(trial["key"])) for trial in one["trials"])
        assert row["epochs"] == epochs > 6
        assert f"| {one['sampler']} | 6 of 6 | {epochs} | {values.max():.4f} |" in text


def test_trials_are_tested_only_when_nothing_is_left_to_choose(copy, log):
    assert "give its --tune COUNT" in run(copy, log, "--test-trials").errors
    ran = run(copy, log, "--tune", 9, "--test-trials")
    assert ran.status == 2
    assert "is not finished with 9 trials" in ran.errors
    key = systems(copy)[0]["cells"][1]
    (root(copy) / "cells" / key).rename(copy / "aside")
    ran = run(copy, log, "--tune", 6, "--test-trials")
    assert ran.status == 2
    assert "popularity/bce/seed0 is not finished" in ran.errors
    assert len(ran.errors.splitlines()) == 1
    assert not (root(copy) / "trials-test").exists()

    (copy / "aside").rename(root(copy) / "cells" / key)
    text = account(copy)
    ran = run(copy, log, "--tune", 6, "--test-trials")
    assert ran.status == 0, ran.errors
    assert account(copy) == text
    tested = {r.key: r.metrics for r in Store(root(copy) / "trials-test").records()}
    table = pd.read_csv(copy / "reports/smoke-tuned/tuning.csv").set_index("sampler")
    final = Store(root(copy))
    for one in systems(copy):
        for trial in one["trials"]:  # the same models again
            assert tested[trial["key"]]["valid"] == trial["valid"]
        assert tested[one["cells"][0]] == final.load(one["cells"][0]).metrics
        values = pd.Series([tested[trial["key"]]["test"]["ndcg@20"] for trial in one["trials"]])
        row = table.loc[one["sampler"]]
        assert row["test_best"] == pytest.approx(values.max())
        assert row["test_median"] == pytest.approx(values.median())
        assert row["test_sd"] == pytest.approx(values.std())
        assert row["test_chosen"] == pytest.approx(
            tested[one["cells"][0]]["test"]["ndcg@20"], rel=1e-12
        )
    report = (copy / "reports/smoke-tuned/tuning.md").read_text()
    assert "## Test NDCG@20 over trials: not used for any choice" in report


def test_a_broken_account_is_one_clear_error(copy, log):
    (root(copy) / "tuning.json").write_text("{")
    ran = run(copy, log, "--tune", 6)
    assert ran.status == 2
    assert "remove it and tune again" in ran.errors

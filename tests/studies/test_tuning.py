"""Tuning: equal budgets, chosen on validation alone, and an account of it."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import pytest
from support.results import result_of

import samplers
from bench import grid
from bench.cell import PRESETS
from bench.datasets.base import Dataset
from bench.datasets.splits import Split
from bench.metrics import METRICS
from bench.studies import executors, tuning
from bench.studies.planning import make_plan, preset_request
from bench.studies.store import Store

SETTINGS = ["dim=8", "window=8", "N=10"]
SAMPLERS = ["popularity", "dns+", "mdcns"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Forty users of ninety items: a trial takes a moment."""
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"u{u}\ti{(u * 7 + n * 3) % 90}\t{n}" for u in range(40) for n in range(6)]
    path = tmp_path_factory.mktemp("log") / "shop.inter"
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    errors: str


def run(folder, log, *arguments, chosen=SAMPLERS, settings=SETTINGS):
    """The command, in this process."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = grid.main([
            "--preset", "smoke", "--datasets", str(log), "--backbones", "gru4rec",
            "--samplers", *chosen, "--set", *settings, "--seeds", "2", "--workers", "1",
            "--results", f"{folder}/results", "--reports", f"{folder}/reports",
            *map(str, arguments),
        ])  # fmt: skip
    return Ran(status, out.getvalue(), errors.getvalue())


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


def root(folder):
    return Path(folder, "results/smoke-tuned")


def account(folder):
    """``tuning.json`` as text: no time or place is in it."""
    return (root(folder) / "tuning.json").read_text()


def systems(folder):
    return json.loads(account(folder))["systems"]


def written(folder, part):
    return {p: p.stat().st_mtime_ns for p in (root(folder) / part / "cells").glob("[!.]*/*")}


def plan_of(log, *chosen, settings=(), seeds=1):
    pairs = [tuple(text.split("=")) for text in [*SETTINGS, *settings]]
    request = preset_request(
        PRESETS["smoke"],
        datasets=[str(log)],
        backbones=["gru4rec"],
        samplers=chosen,
        seeds=seeds,
        settings=pairs,
    )
    return request, make_plan(request)


@dataclass
class Pretend:
    """Stores results of trials without training them.

    Attributes:
        store: where.
        valid: values to validation NDCG@20; an ``ArithmeticError`` is a failed trial.
        asked: every proposal, round by round.
    """

    store: Store
    valid: object
    asked: list = field(default_factory=list)

    def __call__(self, proposals):
        self.asked.append(list(proposals))
        failed = set()
        for proposal in proposals:
            try:
                score = self.valid(proposal.values)
            except ArithmeticError:
                failed.add(proposal.cell.key)
                continue
            metrics = {"valid": {"ndcg@20": score}, "test": dict.fromkeys(METRICS, 1 - score)}
            self.store.save(replace(result_of(proposal.cell), metrics=metrics))
        return failed


def pretend(folder, log, valid, budget, *chosen, settings=(), seeds=1):
    """Tune without training: the trials' systems, the final cells, and the proposals."""
    request, plan = plan_of(log, *chosen, settings=settings, seeds=seeds)
    train = Pretend(Store(folder / "trials"), valid)
    fixed = [tuple(text.split("=")) for text in settings]
    tuned, cells = tuning.tune(request, plan, budget, fixed, train.store, train)
    return tuned, cells, train.asked


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


def test_the_choice_goes_by_validation_alone(tmp_path, log):
    """Where the best on validation is the worst on test, it is chosen all the same."""
    order = [1, 20, 3, 2, 10, 5]
    (one,), cells, _ = pretend(
        tmp_path, log, lambda v: order.index(v["dns+.M"]) / 10, 6, "dns+",
        settings=["gru4rec.dropout=0.5", "dns+.N=30"],
    )  # fmt: skip
    assert one.chosen == {"dns+.M": 5}
    assert [cell.sampler.hyper["M"] for cell in cells] == [5]


def test_of_equals_the_earlier_trial_is_chosen(tmp_path, log):
    (one,), _, asked = pretend(tmp_path, log, lambda v: 0.5, 6, "mdcns")
    assert one.chosen == asked[0][0].values


class Sealed:
    """A split whose test part may not be looked at."""

    def __init__(self, split):
        self.train, self.valid, self.digest = split.train, split.valid, split.digest

    @property
    def test(self):
        raise PermissionError("somebody looked at the test split")


def test_tuning_never_looks_at_the_test_split(tmp_path, log, monkeypatch):
    def make_sealed(request):
        plan = make_plan(request)
        return replace(plan, splits={key: Sealed(split) for key, split in plan.splits.items()})

    monkeypatch.setattr(grid, "make_plan", make_sealed)
    with pytest.raises(PermissionError):  # the final cells do look, once tuning is over
        run(tmp_path, log, "--tune", 5, chosen=["popularity", "mdcns"])
    assert [len(one["trials"]) for one in systems(tmp_path)] == [5, 5]
    assert all(one["chosen"] for one in systems(tmp_path))
    assert written(tmp_path, ".") == {}


def test_no_process_of_a_trial_is_sent_a_test_example(tmp_path, log, monkeypatch):
    sent = []

    def watched(work, engine):
        work = list(work)
        sent.extend(work)
        return executors_run(work, engine)

    executors_run = executors.run
    monkeypatch.setattr(executors, "run", watched)
    assert run(tmp_path, log, "--tune", 4, chosen=["dns+"]).status == 0
    assert [material.test is None for _, material in sent] == [True] * 4 + [False] * 2
    test = sent[-1][1].test
    assert len(test.users)
    trials = sent[:4]
    for task, material in trials:
        held = pickle.loads(pickle.dumps(material))
        for part in (held.data.train, held.valid):
            assert not set(part.users) & set(test.users)
        parts = [*vars(held).values(), *vars(task).values()]
        assert not any(isinstance(part, (Dataset, Split)) for part in parts)
    record = Store(root(tmp_path) / "trials").load(trials[0][0].cell.key)
    assert set(record.metrics) == {"valid"}
    assert record.buckets == {}
    assert "references" not in record.data
    arrays = Store(root(tmp_path) / "trials").arrays(trials[0][0].cell.key)
    assert set(arrays["user"]) == set(trials[0][1].valid.users)


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


def test_an_exhausted_space_is_said_and_ends(tmp_path, log):
    ran = run(tmp_path, log, "--tune", 12, chosen=["uniform", "popularity"])
    assert ran.status == 0, ran.errors
    assert "uniform/bce: uniform.K=" in ran.out
    assert "(space exhausted: 10 of 12 trials)" in ran.out
    uniform, popularity = systems(tmp_path)
    assert uniform["exhausted"]
    assert {trial["values"]["gru4rec.dropout"] for trial in uniform["trials"]} == {0.2, 0.5}
    assert not popularity["exhausted"]
    assert len(popularity["trials"]) == 12
    text = (tmp_path / "reports/smoke-tuned/tuning.md").read_text()
    assert "| shop | gru4rec | uniform | 10 of 12, space exhausted |" in text


@pytest.mark.parametrize(
    ("sampler", "option", "possible"),
    [
        ("dns+", "M", {1, 2, 3, 5, 10}),  # of up to 20: M > N = 10
        ("dns", "N", {10, 50}),  # of up to 200: more than the 90 items less a history
    ],
)
def test_impossible_combinations_are_no_trials(tmp_path, log, sampler, option, possible):
    (one,), _, asked = pretend(tmp_path, log, lambda v: 0.5, 20, sampler)
    tried = [proposal.values[f"{sampler}.{option}"] for its in asked for proposal in its]
    assert set(tried) == possible
    assert len(tried) == 2 * len(possible) == len(one.trials)  # with either dropout
    assert one.exhausted


def test_rounds_are_shared_by_all_systems(tmp_path, log):
    _, _, asked = pretend(tmp_path, log, lambda v: 0.5, 6, "popularity", "mdcns")
    assert [len(its) for its in asked] == [8, 4]


def test_a_failed_trial_counts_and_is_not_chosen(tmp_path, log):
    def valid(values):
        if values["mdcns.gamma"] > 1:
            raise ArithmeticError
        return values["mdcns.gamma"]

    (one,), cells, _ = pretend(tmp_path, log, valid, 12, "mdcns", seeds=3)
    assert len(one.trials) == 12
    for trial in one.trials:
        assert trial.status == ("failed" if trial.values["mdcns.gamma"] > 1 else "done")
        assert bool(trial.valid) == (trial.status == "done")
    assert {trial.status for trial in one.trials} == {"done", "failed"}
    assert one.chosen["mdcns.gamma"] == max(t.valid["ndcg@20"] for t in one.trials if t.valid)
    assert [cell.seed for cell in cells] == [0, 1, 2]


FUSSY = """
import samplers

@samplers.register("fussy")
class Fussy(samplers.Sampler):
    '''Fails for some settings.'''
    search_space = {"a": [1, 2, 3]}
    def __init__(self, *, a: int = 1) -> None:
        self.a = a
    def sample(self, views):
        if self.a >= LIMIT:
            raise ArithmeticError("no negatives today")
        return [samplers.Negatives(ids=view.pool(1)) for view in views]
"""


@pytest.mark.parametrize(("limit", "chosen"), [(3, {1, 2}), (0, set())])
def test_failures_are_named_and_the_rest_goes_on(tmp_path, log, limit, chosen):
    plugin = tmp_path / "fussy.py"
    plugin.write_text(FUSSY.replace("LIMIT", str(limit)))
    ran = run(
        tmp_path, log, "--tune", 5, "--plugin", plugin, chosen=["fussy"],
        settings=[*SETTINGS, "*.dropout=0.2"],
    )  # fmt: skip
    samplers.registry._classes.pop("fussy")
    assert ran.status == 1
    line = "failed: shop/gru4rec/fussy/bce/seed0 (fussy.a=3): ArithmeticError: no negatives today"
    assert line in ran.errors
    (one,) = systems(tmp_path)
    assert [trial["status"] for trial in one["trials"]].count("failed") == 3 - len(chosen)
    assert one["chosen"] is None if not chosen else one["chosen"]["fussy.a"] in chosen
    assert len(one["cells"]) == (2 if chosen else 0)
    assert len(list((root(tmp_path) / "trials/failures").iterdir())) == 3 - len(chosen)


def test_what_the_user_fixed_is_not_tuned(log):
    _, plan = plan_of(log, "dns+", settings=["dns+.M=3"])
    (cell,) = tuning.systems(plan)
    assert set(tuning.space_of(cell, [])) == {"dns+.M", "gru4rec.dropout"}
    assert set(tuning.space_of(cell, [("dns+.M", "3")])) == {"gru4rec.dropout"}
    assert tuning.space_of(cell, [("dns+.M", "3"), ("*.dropout", "0")]) == {}
    assert tuning.size_of({}) == 1  # there is one way to vary nothing


def test_the_objective_of_a_sampler_is_tuned_with_it(log):
    _, plan = plan_of(log, "gbce")
    (cell,) = tuning.systems(plan)
    assert set(tuning.space_of(cell, [])) == {"gbce.N", "gbce.t", "gru4rec.dropout"}


def test_what_makes_a_variant_one_is_not_tuned():
    assert set(samplers.registry.search_space("mdcns")) == {"gamma", "tau", "M"}
    assert set(samplers.registry.search_space("mdcns-released")) == {"tau", "M"}


def test_a_search_space_with_a_slip_is_an_error_before_anything_is_trained(
    tmp_path, log, monkeypatch
):
    monkeypatch.setattr(samplers.registry.get("dns+"), "search_space", {"m": [1, 2]})
    ran = run(tmp_path, log, "--tune", 2, chosen=["dns+"])
    assert ran.status == 2
    assert "its search_space names 'm', which is not a hyper-parameter" in ran.errors
    assert list(tmp_path.iterdir()) == []


def test_tuned_and_untuned_cells_do_not_mix(copy, log):
    ran = run(copy, log, "--study", "smoke-tuned")
    assert ran.status == 2
    assert "is a tuned study" in ran.errors
    assert run(copy, log, chosen=["uniform"]).status == 0
    ran = run(copy, log, "--tune", 2, "--study", "smoke", chosen=["uniform"])
    assert ran.status == 2
    assert "holds cells that were not tuned" in ran.errors
    assert not (copy / "results/smoke/trials").exists()


def test_without_optuna_it_says_how_to_get_it(tmp_path, log, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    ran = run(tmp_path, log, "--tune", 2)
    assert ran.status == 2
    assert "pip install 'optuna>=4'" in ran.errors
    assert list(tmp_path.iterdir()) == []


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


def test_dry_run_counts_and_writes_nothing(tmp_path, log):
    ran = run(tmp_path, log, "--tune", 20, "--dry-run", chosen=["uniform", "mdcns"])
    assert ran.status == 0, ran.errors
    assert "20 of 32 configurations  shop/gru4rec/mdcns/bce" in ran.out
    assert "to train: at most 30 trials and 4 cells" in ran.out
    assert list(tmp_path.iterdir()) == []


def test_dry_run_counts_what_is_left(done, log):
    finished = run(done, log, "--tune", 6, "--dry-run")
    assert "to train: at most 0 trials and 0 cells, at most 0:00:00" in finished.out
    more = run(done, log, "--tune", 7, "--dry-run", chosen=["dns+"])
    assert "to train: at most 1 trials and 2 cells" in more.out
    again = run(done, log, "--tune", 6, "--dry-run", "--force-stale", chosen=["dns+"])
    assert "to train: at most 6 trials and 2 cells" in again.out


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
    for one in systems(done):
        values = pd.Series([trial["valid"]["ndcg@20"] for trial in one["trials"]])
        row = table.loc[one["sampler"]]
        assert row["valid_best"] == pytest.approx(values.max())
        assert row["valid_median"] == pytest.approx(values.median())
        assert row["valid_sd"] == pytest.approx(values.std())
        assert (row["budget"], row["trials"], row["failed"]) == (6, 6, 0)
        for name, value in one["chosen"].items():
            assert f"{name}={value}" in row["chosen"]
        assert f"| {one['sampler']} | 6 of 6 | {values.max():.4f} |" in text


def test_synthetic_data_are_named_in_file_and_title(tmp_path):
    ran = run(tmp_path, "beauty-twin", "--tune", 1, chosen=["uniform"])
    assert ran.status == 0, ran.errors
    files = {path.name for path in (tmp_path / "reports/smoke-tuned").iterdir()}
    assert {"tuning-synthetic.md", "tuning-synthetic.csv"} <= files
    assert "tuning.md" not in files
    text = (tmp_path / "reports/smoke-tuned/tuning-synthetic.md").read_text()
    assert text.startswith("# Tuning: SYNTHETIC data")


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
        assert row["test_chosen"] == tested[one["cells"][0]]["test"]["ndcg@20"]
    report = (copy / "reports/smoke-tuned/tuning.md").read_text()
    assert "## Test NDCG@20 over trials: not used for any choice" in report


def test_a_broken_account_is_one_clear_error(copy, log):
    (root(copy) / "tuning.json").write_text("{")
    ran = run(copy, log, "--tune", 6)
    assert ran.status == 2
    assert "remove it and tune again" in ran.errors

"""What is tried: equal budgets, possible and distinct trials, chosen on validation alone."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace

import pytest
from support.tuning import SETTINGS, log_file, plan_of, pretend, root, run, systems, written

import samplers
from bench import grid_run
from bench.datasets.base import Dataset
from bench.datasets.splits import Split
from bench.studies import executors, search, tuning
from bench.studies.planning import make_plan
from bench.studies.store import Store


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return log_file(tmp_path_factory.mktemp("log"))


def test_the_choice_goes_by_validation_alone(tmp_path, log):
    """Where the best on validation is the worst on test, it is chosen all the same."""
    order = [1, 20, 30, 2, 10, 5]
    (one,), cells, _ = pretend(
        tmp_path, log, lambda v: order.index(v["dns+.M"]) / 10, 6, "dns+",
        settings=["gru4rec.dropout=0.5", "dns+.N=30"],
    )  # fmt: skip
    assert one.chosen == {"dns+.M": 5}
    assert [cell.sampler.hyper["M"] for cell in cells] == [5]


@pytest.mark.parametrize("sampler", ["uniform", "popularity", "mdcns", "dns+", "gbce", "mixed"])
def test_the_first_trial_is_the_system_as_it_stands_without_tuning(tmp_path, log, sampler):
    """The very cell, by its key, also where N, here 10, is none of the values that are declared."""
    plan = plan_of(log, sampler)
    (untuned,) = plan.cells
    (one,), _, asked = pretend(tmp_path, log, lambda v: 0.5, 4, sampler)
    assert asked[0][0].cell == untuned
    assert one.trials[0].key == untuned.key
    for name, value in one.trials[0].values.items():
        assert value in one.space[name]
    assert len({trial.key for trial in one.trials}) == 4


def test_of_equals_the_earlier_trial_is_chosen(tmp_path, log):
    (one,), _, asked = pretend(tmp_path, log, lambda v: 0.5, 6, "mdcns")
    assert one.chosen == asked[0][0].values


class Sealed:
    """A split whose test part may not be looked at."""

    def __init__(self, split):
        self.train, self.valid, self.digest = split.train, split.valid, split.digest
        self.file = split.file

    @property
    def test(self):
        raise PermissionError("somebody looked at the test split")

    repeated = test  # which needs it


def test_tuning_never_looks_at_the_test_split(tmp_path, log, monkeypatch):
    def make_sealed(request):
        plan = make_plan(request)
        return replace(plan, splits={key: Sealed(split) for key, split in plan.splits.items()})

    monkeypatch.setattr(grid_run, "make_plan", make_sealed)
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
        ("dns+", "M", {1, 2, 5, 10}),  # of up to 100: M > N = 10
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
    line += " (fussy.py:12)"
    assert line in ran.errors
    (one,) = systems(tmp_path)
    assert [trial["status"] for trial in one["trials"]].count("failed") == 3 - len(chosen)
    assert one["chosen"] is None if not chosen else one["chosen"]["fussy.a"] in chosen
    assert len(one["cells"]) == (2 if chosen else 0)
    assert len(list((root(tmp_path) / "trials/failures").iterdir())) == 3 - len(chosen)


def test_what_the_user_fixed_is_not_tuned(log):
    plan = plan_of(log, "dns+", settings=["dns+.M=3"])
    (cell,) = tuning.systems(plan)
    assert set(search.space_of(cell, [])) == {"dns+.M", "gru4rec.dropout"}
    assert set(search.space_of(cell, {"dns+.M"})) == {"gru4rec.dropout"}
    assert search.space_of(cell, {"dns+.M", "*.dropout"}) == {}
    assert tuning.size_of({}) == 1  # there is one way to vary nothing


def test_the_objective_of_a_sampler_is_tuned_with_it(log):
    plan = plan_of(log, "gbce")
    (cell,) = tuning.systems(plan)
    assert set(search.space_of(cell, [])) == {"gbce.N", "gbce.t", "gru4rec.dropout"}


def test_what_makes_a_variant_one_is_not_tuned():
    assert set(samplers.registry.search_space("mdcns")) == {"gamma", "tau"}
    assert set(samplers.registry.search_space("mutual-learning")) == {"tau"}
    assert set(samplers.registry.search_space("side-by-side")) == set()


def test_a_search_space_with_a_slip_is_an_error_before_anything_is_trained(
    tmp_path, log, monkeypatch
):
    monkeypatch.setattr(samplers.registry.get("dns+"), "search_space", {"m": [1, 2]})
    ran = run(tmp_path, log, "--tune", 2, chosen=["dns+"])
    assert ran.status == 2
    assert "its search_space names 'm', which is not a hyper-parameter" in ran.errors
    assert list(tmp_path.iterdir()) == []


def test_without_optuna_it_says_how_to_get_it(tmp_path, log, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    ran = run(tmp_path, log, "--tune", 2)
    assert ran.status == 2
    assert "--tune needs the extra tune: pip install -c constraints.txt -e '.[tune]'" in ran.errors
    assert list(tmp_path.iterdir()) == []


def test_dry_run_counts_and_writes_nothing(tmp_path, log):
    ran = run(tmp_path, log, "--tune", 20, "--dry-run", chosen=["uniform", "mdcns"])
    assert ran.status == 0, ran.errors
    assert "20 of 80 configurations  shop/gru4rec/mdcns/bce" in ran.out
    assert "to train: at most 30 trials and 4 cells" in ran.out
    assert list(tmp_path.iterdir()) == []


def test_synthetic_data_are_named_in_file_and_title(tmp_path):
    ran = run(tmp_path, "beauty-twin", "--tune", 1, chosen=["uniform"])
    assert ran.status == 0, ran.errors
    files = {path.name for path in (tmp_path / "reports/smoke-tuned").iterdir()}
    assert {"tuning-synthetic.md", "tuning-synthetic.csv"} <= files
    assert "tuning.md" not in files
    text = (tmp_path / "reports/smoke-tuned/tuning-synthetic.md").read_text()
    assert text.startswith("# Tuning: SYNTHETIC data")

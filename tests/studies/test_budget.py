"""A study with a budget, from the command: what it trains, tests, keeps and goes on with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.cells import MATERIAL, cell_of
from support.grid import in_process
from support.tuning import log_file, run
from test_search import Sealed

from bench import grid_run
from bench.errors import UserError
from bench.studies import budget as accounts
from bench.studies import run_cell as running
from bench.studies.budget import Budget, Clock
from bench.studies.code import code_digest
from bench.studies.halving import Halving
from bench.studies.planning import make_plan
from bench.studies.run_cell import OUT_OF_TIME, Material, Task, run_cell, run_task
from bench.studies.states import States
from bench.studies.store import Store

SETTINGS = ["dim=8", "window=8", "N=10", "epochs=5", "*.K=1", "popularity.power=0.5", "dns+.M=5"]
CHOSEN = ["uniform", "popularity", "dns", "dns+"]
BUDGET = ["--budget", "1h", "--seeds", "2"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return log_file(tmp_path_factory.mktemp("log"))


def ran(folder, log, *arguments):
    return run(folder, log, *BUDGET, *arguments, chosen=CHOSEN, settings=[*SETTINGS, "dns.N=10"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, log):
    folder = tmp_path_factory.mktemp("budget")
    done = ran(folder, log)
    assert done.status == 0, done.errors
    return folder, done


def store_of(folder):
    return Store(folder / "results/shop-budget")


def test_who_is_dropped_is_said_with_numbers_and_not_tested(finished):
    folder, done = finished
    account = accounts.read(store_of(folder).root)
    first, last = account.rounds[0], account.last
    assert len(first.entrants) == 4
    assert len(first.kept) == 2 == len(first.dropped)
    for name in first.dropped:
        assert f"{name} {first.means()[name]:.4f}" in done.out.partition("dropped: ")[2]
    assert min(first.means()[n] for n in first.kept) >= max(first.means()[n] for n in first.dropped)
    tested = {(r.sampler, r.cell.seed) for r in store_of(folder).records()}
    assert tested == {(name, seed) for name in last.kept for seed in range(2)}
    assert f"of 4 candidates: {last.kept[0]}," in done.out
    assert "validation users" in done.out
    page = (folder / "reports/shop-budget/index.html").read_text(encoding="utf-8")
    assert "Found within a budget" in page
    text = (folder / "reports/shop-budget/budget.md").read_text(encoding="utf-8")
    assert text.count("dropped, round 1") == 2
    assert text.count("| finalist |") == 2


def test_a_finalist_is_what_training_in_one_go_gives(finished, log):
    """The cells that went through rounds, to the last digit of every rank."""
    folder, _ = finished
    store = store_of(folder)
    record = next(store.records())
    plan = make_plan(grid_run.request(options_of(log)))
    (dataset,) = plan.datasets.values()
    material = Material.of(dataset, plan.splits[record.cell.data_key], test=True)
    again = run_cell(Task(record.cell, code_digest(record.cell), 1), material)
    assert again.metrics == record.metrics
    assert again.best_epoch == record.best_epoch
    assert (again.arrays["rank"] == store.arrays(record.key)["rank"]).all()
    assert [row["loss"] for row in again.epochs] == store.epochs(record.key)["loss"].tolist()


def options_of(log):
    from bench.grid_options import parser

    given = ["--preset", "smoke", "--datasets", str(log), "--backbones", "gru4rec", "--samplers"]
    return parser().parse_args([*given, *CHOSEN, "--set", *SETTINGS, "dns.N=10", *BUDGET])


def test_once_more_trains_nothing(finished, log):
    folder, _ = finished
    before = (store_of(folder).root / "budget.json").read_text(encoding="utf-8")
    again = ran(folder, log)
    assert again.status == 0, again.errors
    assert "spent, and all is finished" in again.out
    assert "training" not in again.errors
    assert (store_of(folder).root / "budget.json").read_text(encoding="utf-8") == before
    assert not list((store_of(folder).root / "rounds/states").glob("*"))


def test_another_question_is_refused(finished, log):
    folder, _ = finished
    other = run(folder, log, *BUDGET, chosen=["uniform", "dns"], settings=SETTINGS[:4])
    assert other.status == 2
    assert "was given its budget for other systems, settings or data" in other.errors


def test_two_at_a_time_are_refused(tmp_path, log):
    lock = store_of(tmp_path).lock("budget")
    try:
        second = ran(tmp_path, log)
    finally:
        lock.release()
    assert second.status == 2
    assert "another run with --budget is at it" in second.errors


def test_the_test_split_is_for_finalists_alone(tmp_path, log, monkeypatch):
    def make_sealed(request):
        plan = make_plan(request)
        return replace(plan, splits={key: Sealed(split) for key, split in plan.splits.items()})

    monkeypatch.setattr(grid_run, "make_plan", make_sealed)
    with pytest.raises(PermissionError):  # the finalists do look, once all is decided
        ran(tmp_path, log)
    account = accounts.read(store_of(tmp_path).root)
    assert account.last.final
    assert account.cells == []
    assert list(store_of(tmp_path).records()) == []


def test_a_killed_run_goes_on_and_pays_for_what_it_had_spent(tmp_path, log, monkeypatch):
    whole = Halving._trained

    def killed(self, step):
        made = whole(self, step)
        if len(self.account.rounds) == 2:
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(Halving, "_trained", killed)
    stopped = ran(tmp_path, log)
    assert stopped.status == 130
    root = store_of(tmp_path).root
    (root / ".progress/spent").write_text("1000.5\n", encoding="utf-8")
    before = accounts.read(root)
    monkeypatch.setattr(Halving, "_trained", whole)
    done = ran(tmp_path, log)
    assert done.status == 0, done.errors
    account = accounts.read(root)
    assert account.rounds[0] == before.rounds[0]
    assert 1000.5 < account.spent_s < 3600
    assert account.rounds[1].spent_s > 1000.5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "soon"], "'soon' is no time; expected such as 2h"),
        (["--budget", "1s"], "--budget 1s: too little for a round"),
        (["--budget", "1h", "--tune", "2"], "give one"),
        (["--budget", "1h", "--grid"], "leave out --grid"),
        (["--budget", "1h", "--datasets", "beauty-twin", "toys-twin"], "on one dataset, not on 2"),
    ],
)
def test_what_cannot_be_is_an_error_before_anything_is_written(tmp_path, log, arguments, said):
    status, errors = in_process(
        tmp_path, "--preset", "smoke", "--datasets", str(log), "--backbones", "gru4rec",
        "--samplers", *CHOSEN, "--workers", "1", "--set", *SETTINGS, "dns.N=10", *arguments,
    )  # fmt: skip
    assert status == 2
    assert said in errors
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_account_is_one_clear_error(tmp_path):
    for text in ("{", "[]", '{"seconds": -1}'):
        (tmp_path / "budget.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"budget\.json: cannot be read .* remove it"):
            accounts.read(tmp_path)


def test_the_clock_of_a_run_goes_on_where_a_killed_one_was(tmp_path):
    store = Store(tmp_path / "study")
    with Clock(Budget(100.0), store, 30.0) as clock:
        assert 30 <= clock.spent < 40
    assert 60 < Clock(Budget(100.0), store, 0.0).left <= 70
    (store.root / ".progress/spent").write_text("nonsense", encoding="utf-8")
    assert Clock(Budget(100.0), store, 0.0).spent < 10


def test_a_cell_stops_after_the_first_epoch_that_ends_too_late(tmp_path, monkeypatch):
    cell = replace(cell_of(), protocol=replace(cell_of().protocol, epochs=9, patience=9))
    task = Task(cell, code_digest(cell), 1, until=100.0)
    now = iter([0.0, 10.0, 99.0, 101.0])
    monkeypatch.setattr(running.time, "time", lambda: next(now))
    outcome = run_task(task, MATERIAL)
    assert outcome.result is None
    assert outcome.error == OUT_OF_TIME
    assert next(now, None) is None  # before training, and after each of three epochs
    monkeypatch.setattr(running.time, "time", lambda: 0.0)
    assert run_task(task, MATERIAL).result is not None


def test_states_are_found_by_what_is_trained_and_the_highest_limit_below(tmp_path):
    states, cell = States(tmp_path), cell_of()

    def at(epochs):
        return replace(cell, protocol=replace(cell.protocol, epochs=epochs))

    assert states.start(cell) is None
    for epochs in (2, 10, 30):
        states.end(at(epochs)).touch()
    assert states.start(at(12)) == states.end(at(10))
    assert states.start(at(30)) == states.end(at(30))
    assert states.start(at(1)) is None
    assert states.start(replace(at(12), seed=1)) is None
    states.keep_only([at(10)])
    assert [path.name for path in tmp_path.iterdir()] == [states.end(at(10)).name]


def test_the_account_is_read_as_it_was_written(finished):
    folder, _ = finished
    root = store_of(folder).root
    account = accounts.read(root)
    accounts.save(root, account)
    assert accounts.read(root) == account
    assert json.loads((root / "budget.json").read_text(encoding="utf-8"))["select_on"] == "ndcg@20"

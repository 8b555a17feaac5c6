"""The speed script measures what it says; no figure is asserted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import CPU, cell_of, dataset_of, random_sequences
from support.results import result_of

from bench import grid, scoring, speed
from bench.costs import growth, long_histories, throughput
from bench.costs.loops import PlainLoop, floor_trainer
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.studies.store import Store
from bench.training.loop import Trainer

DATASET = dataset_of(random_sequences(n_users=60, n_items=40, longest=14))
DATA = TrainingData.of(DATASET, make_split(DATASET, "user", 0))


def test_every_system_and_yardstick_gets_a_row(tmp_path, capsys):
    path = tmp_path / "speed.json"
    arguments = ["--preset", "smoke", "--samplers", "uniform", "mdcns", "--rounds", "1",
                 "--batches", "2", "--json", str(path)]  # fmt: skip
    assert speed.main(arguments) == 0
    record = json.loads(path.read_text(encoding="utf-8"))
    systems = [cost["system"].removeprefix("beauty-twin/sasrec/") for cost in record["costs"]]
    assert systems == ["floor", "plain", "mdcns/bce", "uniform/bce"] or systems == [
        "floor", "plain", "uniform/bce", "mdcns/bce"
    ]  # fmt: skip
    floor, plain, *rest = record["costs"]
    assert floor["to_floor"] == plain["to_plain"] == 1
    for cost in rest:
        assert cost["to_floor"] == pytest.approx(cost["epoch_s"] / floor["epoch_s"])
        assert 0.8 < sum(cost["shares"].values()) <= 1
    out = capsys.readouterr().out
    assert "| beauty-twin/sasrec/plain |" in out
    (pool,) = record["pool_us"].values()
    assert pool > 0 and f"candidate pools of 20, beauty-twin/sasrec: {pool:.2f} µs a target" in out
    (whole,), (encoding,) = (
        record[f"{name}_ratio"].values() for name in ("evaluation", "encoding")
    )
    assert whole > 0 and f"{whole:.2f} × the bare product" in out and f"{encoding:.2f}\n" in out
    assert speed.main(["--samplers", "unifrom", "--preset", "smoke"]) == 2


def test_a_study_s_systems_are_measured_each_once(tmp_path, capsys):
    """Whatever the seeds, and in how many studies; namesakes are told apart."""
    for study, more in {"one": ["--seeds", "2"], "two": ["--set", "dns+.M=2"]}.items():
        arguments = ["--preset", "smoke", "--backbones", "gru4rec", "--samplers", "uniform", "dns+"]
        folders = ["--results", str(tmp_path), "--reports", str(tmp_path / "reports")]
        assert grid.main([*arguments, *more, *folders, "--study", study, "--workers", "1"]) == 0
    measured = ["--rounds", "1", "--batches", "1", "--json", str(tmp_path / "speed.json")]
    studies = ["--study", str(tmp_path / "one"), str(tmp_path / "two")]
    assert speed.main([*studies, *measured]) == 0
    costs = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))["costs"]
    names = sorted(cost["system"].removeprefix("beauty-twin/gru4rec/") for cost in costs)
    assert names == ["dns+/bce (M=10)", "dns+/bce (M=2)", "floor", "plain", "uniform/bce"]
    known = ("epoch_cpu_s", "targets_per_s")
    expected = {cost["key"]: {name: cost[name] for name in known} for cost in costs}
    for study in ("one", "two"):
        store = Store(tmp_path / study)
        first = {record.key for record in store.records() if record.cell.seed == 0}
        assert store.costs_in_turns() == {key: expected[key] for key in first}
    assert speed.main([*studies, "--samplers", "dns+"]) == 2
    assert "leave out --samplers" in capsys.readouterr().err
    assert speed.main(["--study", str(tmp_path / "none")]) == 2
    assert "no cells there" in capsys.readouterr().err


def test_long_histories_are_measured_on_a_made_log(tmp_path, monkeypatch, capsys):
    whole = long_histories.made_log()
    assert (whole.n_users, whole.n_items) == (6000, 3400)
    assert (whole.lengths.min(), whole.lengths.max()) == (20, 2300)
    assert 160 < whole.lengths.mean() < 170
    assert all(len(set(user)) == len(user) for user in np.split(whole.items, whole.offsets[1:-1]))
    assert whole.fingerprint == long_histories.made_log().fingerprint
    counts = np.sort(np.bincount(whole.items))[::-1]
    assert counts[:340].sum() > 2 * counts[-1700:].sum()  # popularity is skewed
    monkeypatch.setattr(long_histories, "USERS", 40)
    path = tmp_path / "speed.json"
    arguments = ["--preset", "smoke", "--samplers", "uniform", "--rounds", "1", "--batches", "1"]
    assert speed.main([*arguments, "--long-histories", "--json", str(path)]) == 0
    record = json.loads(path.read_text(encoding="utf-8"))
    assert {cost["system"].split("/")[0] for cost in record["costs"]} == {"long-histories"}
    assert list(record["pool_us"]) == ["long-histories/sasrec"]
    assert speed.main(["--long-histories", "--datasets", "beauty-twin"]) == 2
    assert "leave out --datasets" in capsys.readouterr().err
    assert speed.main(["--long-histories", "--study", str(tmp_path)]) == 2
    assert "leave out --long-histories" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rounds", "--batches", "--threads", "--cells"])
def test_none_at_all_is_a_mistake_of_an_option(option, capsys):
    with pytest.raises(SystemExit) as ended:
        speed.main(["--datasets", "beauty-twin", option, "0"])
    assert ended.value.code == 2
    assert f"error: argument {option}: 0: must be at least 1" in capsys.readouterr().err


def test_a_study_of_other_data_is_refused(tmp_path, capsys):
    Store(tmp_path).save(result_of(replace(cell_of("uniform"), dataset="beauty-twin")))
    assert speed.main(["--study", str(tmp_path)]) == 2
    assert "use the study's data" in capsys.readouterr().err


def test_the_floor_draws_legal_negatives_ahead():
    trainer = floor_trainer(cell_of("mdcns"), DATA, CPU)
    assert len(trainer.models) == 1
    for batch in trainer.batches.epoch(1, trainer.generator):
        views = [type("View", (), {"sequences": batch.targets.sequences,
                                   "positions": batch.targets.positions})]  # fmt: skip
        (negatives,) = trainer.sampler.sample(views)
        assert not batch.targets.illegal(negatives.ids).any()


def test_the_plain_loop_trains_the_same_pairs_to_the_same_loss():
    """Its loss is that of the last states of left-aligned padded prefixes, by hand."""
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    plain = PlainLoop("plain", trainer, window=8)
    plain._model.eval()  # no dropout
    windows, model = plain._windows, plain._model
    torch.manual_seed(3)
    rows = [0, 5, 17]
    expected = 0.0
    negatives = torch.randint(1, 41, (3,))
    for row, negative in zip(rows, negatives, strict=True):
        start = DATA.train.offsets[windows.sequence[row]] + windows.start[row]
        items = torch.as_tensor(DATA.train.items[start : start + windows.length[row] + 1]).long()
        state = model.last(items[None, :-1], torch.tensor([len(items) - 1]))[0]
        s = model.items.weight @ state
        expected += float((torch.nn.functional.softplus(-s[items[-1]])
                           + torch.nn.functional.softplus(s[negative])).detach()) / 3  # fmt: skip
    torch.manual_seed(3)
    torch.testing.assert_close(plain.step(rows), torch.tensor(expected))


def test_the_plain_loop_has_dense_gradients_at_any_size(monkeypatch):
    """As most published code; torch's Adam takes no others."""
    monkeypatch.setattr(scoring, "LARGE", 10)
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    assert trainer.models[0].items.sparse
    plain = PlainLoop("plain", trainer, window=8)
    plain.step([0, 5, 17])
    assert not plain._model.items.weight.grad.is_sparse


def test_growth_has_a_row_and_a_mark_for_every_point(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(growth, "AXES", {"items": [300, 600], "N": [5, 10], "interactions": [3000]})
    monkeypatch.setattr(growth, "BASE", {"items": 300, "N": 5, "interactions": 3000})
    # Here, not in a process of its own, which would take seconds to start.
    monkeypatch.setattr(growth, "in_own_processes", lambda count, f, *given: [f(*given)])
    arguments = ["--preset", "smoke", "--samplers", "uniform", "dns+", "--batches", "1"]
    arguments += ["--set", "dns+.M=2"]
    assert speed.main([*arguments, "--growth", str(tmp_path / "growth")]) == 0
    table = (tmp_path / "growth" / "growth.md").read_text(encoding="utf-8")
    assert "synthetic" in table
    for row in ("items = 600 | dns+", "N = 10 | dns+", "interactions = 3,000 | uniform"):
        assert row in table
    assert (tmp_path / "growth" / "growth.csv").read_text(encoding="utf-8").count("\n") == 1 + 2 * 5
    for suffix in ("png", "svg"):
        assert (tmp_path / "growth" / f"growth.{suffix}").stat().st_size > 5000


def test_workers_and_threads_are_compared_on_all_cores(monkeypatch):
    monkeypatch.setattr(throughput.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(
        throughput, "in_own_processes", lambda count, f, *given: [f(*given)] * count
    )
    threads = torch.get_num_threads()
    try:
        lines = throughput.measure_parallel(cell_of(), DATA, 1)
    finally:
        torch.set_num_threads(threads)
    assert [line.split(":")[0] for line in lines] == [
        "1 workers × 2 threads", "2 workers × 1 threads"
    ]  # fmt: skip

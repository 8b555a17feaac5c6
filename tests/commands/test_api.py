"""From Python, by keywords: plan, run, look at, compare and report."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support import forked
from support.grid import ROOT, clean_environment, grid, numbers, records

import bench

SMALL = {
    "preset": "smoke",
    "backbones": ["sasrec"],
    "samplers": ["uniform", "dns"],
    "settings": {"dim": 8, "window": 8, "N": 10},
}


class Heard(bench.Listener):
    """Names of what it was told, and the labels of cells."""

    def __init__(self):
        self.events, self.lines = [], []

    def said(self, text):
        self.lines.append(text)

    def planned(self, estimate, results):
        self.events.append(("planned", str(results)))

    def began(self, batch):
        self.events.append(("began", [job.label for job in batch.jobs]))

    def started(self, job):
        self.events.append(("started", job.label))

    def finished(self, job, result):
        self.events.append(("finished", job.label))

    def failed(self, job, error, traceback):
        self.events.append(("failed", job.label, error, traceback.exists()))

    def skipped(self, job, reason):
        self.events.append(("skipped", job.label, reason))

    def ended(self, batch, complete):
        self.events.append(("ended", complete))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A study of two samplers, what its run gave, and what a listener heard; not to be changed."""
    study = bench.Study("demo", results=tmp_path_factory.mktemp("api") / "results")
    heard = Heard()
    result = study.run(bench.plan(**SMALL), workers=1, listeners=[heard])
    return study, result, heard


def python(code, folder):
    (folder / "script.py").write_text(code)
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=clean_environment(),
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_a_run_trains_the_plan_and_says_so_to_listeners(demo, capfd):
    study, result, heard = demo
    assert result.ok
    assert result.failed == result.finished_before == []
    labels = ["beauty-twin/sasrec/uniform/bce/seed0", "beauty-twin/sasrec/dns/bce/seed0"]
    assert [cell.label for cell in result.trained] == labels
    assert result.cells == result.trained
    root = study.store.root
    assert heard.lines == [f"2 cells in study {root}: 2 missing"]
    assert heard.events == [
        ("planned", str(root.parent)),
        ("began", labels),
        *(pair for label in labels for pair in [("started", label), ("finished", label)]),
        ("ended", True),
    ]
    assert "2 done, 0 running, 0 failed" in study.status()[0]


def test_the_command_and_the_call_are_one(demo, tmp_path):
    """Same cells, same numbers, same study: what one trained the other finds."""
    study, _, _ = demo
    options = [
        "--preset", "smoke", "--backbones", "sasrec", "--samplers", "uniform", "dns",
        "--set", "dim=8", "window=8", "N=10", "--study", "smoke", "--workers", "1",
    ]  # fmt: skip
    assert grid(tmp_path, *options).returncode == 0
    found = {record.key: record for record in study.records()}
    stored = numbers(tmp_path)
    assert {key: record.metrics for key, record in found.items()} == {
        key: metrics for key, (metrics, _, _) in stored.items()
    }
    again = bench.Study("smoke", results=tmp_path / "results").run(bench.plan(**SMALL))
    assert (again.trained, len(again.finished_before)) == ([], 2)


def test_a_second_run_trains_nothing_and_is_silent(demo, capfd):
    study, first, _ = demo
    before = {path: path.stat().st_mtime_ns for path in study.store.root.glob("cells/*/*")}
    heard = Heard()
    again = study.run(bench.plan(**SMALL), workers=2, listeners=[heard])
    assert again.ok
    assert again.trained == []
    assert again.finished_before == again.cells == first.cells
    assert heard.events == []
    assert {path: path.stat().st_mtime_ns for path in study.store.root.glob("cells/*/*")} == before
    assert capfd.readouterr() == ("", "")


def test_progress_prints_what_the_command_does(tmp_path, capfd):
    bench.run("one", results=tmp_path, workers=1, progress=True, **SMALL | {"samplers": "uniform"})
    out, errors = capfd.readouterr()
    assert out == f"1 cells in study {tmp_path}/one: 1 missing\n"
    assert "training 1 cells in this process: at most 0:00:0" in errors
    assert "[1/1, 0:00:00 left] done beauty-twin/sasrec/uniform/bce/seed0: test ndcg@10" in errors


def test_the_process_of_the_caller_is_left_as_it_was(tmp_path):
    import torch

    settings = SMALL["settings"] | {"epochs": 1}
    plan = bench.plan(**SMALL | {"samplers": "uniform", "settings": settings})
    torch.manual_seed(7)
    expected = torch.random.get_rng_state()
    assert bench.Study("one", results=tmp_path).run(plan, workers=1, threads=2).ok
    assert torch.equal(torch.random.get_rng_state(), expected)
    assert torch.get_num_threads() == 1  # as the fixture of all tests has it


def test_a_study_is_read_as_records_as_a_frame_and_as_comparisons(demo):
    study, result, _ = demo
    records = {record.key: record for record in study.records()}
    assert set(records) == {cell.key for cell in result.cells}
    assert [records[cell.key].cell for cell in result.cells] == result.cells
    frame = study.frame().set_index("key")
    assert list(frame["sampler"]) == ["uniform", "dns"]
    for key, record in records.items():
        assert frame.loc[key, "ndcg@10"] == record.test["ndcg@10"]
    (comparison,) = study.comparisons()
    ((backbone, table),) = comparison.backbones()
    assert backbone == "sasrec"
    assert {"uniform", "dns"} <= set(table.columns)
    assert comparison.title.startswith("SYNTHETIC")


def test_a_report_is_the_files_that_were_written(demo, tmp_path):
    study, _, _ = demo
    written = study.report(tmp_path / "demo")
    assert set(written) == {path for path in (tmp_path / "demo").rglob("*") if path.is_file()}
    assert tmp_path / "demo" / "index.html" in written


def test_two_studies_are_compared(demo, tmp_path):
    study, _, _ = demo
    other = bench.Study("other", results=tmp_path)
    changed = SMALL["settings"] | {"epochs": 2, "dns.N": 40}
    assert other.run(bench.plan(**SMALL | {"settings": changed}), workers=1).ok
    changes = {
        change.system.split("/")[2]: change for change in bench.compare_studies(study, other)
    }
    assert set(changes) == {"uniform", "dns"}
    assert changes["uniform"].before == changes["uniform"].after
    assert changes["dns"].before != changes["dns"].after


def test_what_a_run_would_take_is_told_and_nothing_written(tmp_path):
    study = bench.Study("new", results=tmp_path / "results")
    expected = study.expected(bench.plan(**SMALL, seeds=3), workers=2)
    assert len(expected.cells) == 6
    assert expected.estimate.workers == 2
    assert "to train: 6 cells, at most 0:00:" in str(expected)
    assert list(tmp_path.iterdir()) == []


def test_a_tuned_study_holds_what_was_chosen(tmp_path):
    plan = bench.plan(**SMALL | {"samplers": "popularity"}, seeds=2)
    study = bench.Study("tuned", results=tmp_path)
    result = study.run(plan, tune=2, workers=1)
    assert result.ok
    assert {record.key for record in study.records()} == {cell.key for cell in result.cells}
    assert [cell.seed for cell in result.cells] == [0, 1]
    assert len(list((tmp_path / "tuned/trials/cells").iterdir())) == 2
    with pytest.raises(bench.UserError, match="holds cells that were tuned"):
        study.run(plan)


FAILING = """
import samplers

@samplers.register("failing")
class Failing(samplers.Sampler):
    '''Fails in its first step.'''
    def sample(self, views):
        raise ArithmeticError("no negatives today")
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cell_that_fails_is_in_the_result_and_the_others_are_trained(tmp_path, workers):
    """A plug-in that a plan was given is known to the workers, too."""
    import samplers

    (tmp_path / "failing.py").write_text(FAILING)
    plan = bench.plan(
        **SMALL | {"samplers": ["failing", "uniform"]}, plugins=[str(tmp_path / "failing.py")]
    )
    heard = Heard()
    study = bench.Study("some", results=tmp_path / "results")
    result = study.run(plan, workers=workers, listeners=[heard])
    samplers.registry._classes.pop("failing")
    assert not result.ok
    (failure,) = result.failed
    assert str(failure).endswith(
        "/failing/bce/seed0: ArithmeticError: no negatives today (failing.py:8)"
    )
    assert [cell.sampler.name for cell in result.trained] == ["uniform"]
    assert ("failed", failure.label, failure.error, True) in heard.events


class No(bench.Listener):
    def planned(self, estimate, results):
        raise bench.UserError("not today")


def test_a_listener_may_say_no_before_anything_is_trained(tmp_path):
    study = bench.Study("no", results=tmp_path / "results")
    with pytest.raises(bench.UserError, match="not today"):
        study.run(bench.plan(**SMALL), workers=1, listeners=[No()])
    assert list(tmp_path.iterdir()) == []


def test_a_listener_that_fails_stops_the_run_and_the_log_says_so(tmp_path):
    class Careless(bench.Listener):
        def finished(self, job, result):
            raise KeyError(job.label)

    study, heard = bench.Study("stopped", results=tmp_path), Heard()
    with pytest.raises(KeyError):
        study.run(bench.plan(**SMALL), workers=1, listeners=[heard, Careless()])
    assert heard.events[-1] == ("ended", False)
    assert len(study.records()) == 1  # it had been stored
    assert '"event": "stopped"' in (tmp_path / "stopped/log.jsonl").read_text().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"preset": "smok"}, "did you mean smoke"),
        ({"table": 1}, "table 1: the paper's are 3, 4, 5, 6, 7"),
        ({"samplers": ["mdnc"]}, "unknown sampler 'mdnc'; did you mean mdcns"),
        ({"samplers": []}, "samplers: none is given"),
        ({"backbones": "sasrek"}, "unknown backbone 'sasrek'; did you mean sasrec"),
        ({"datasets": ["absent.txt"]}, "absent.txt"),
        ({"datasets": Path("absent.txt")}, "absent.txt"),
        ({"settings": {"mdcns.gama": 2}}, "'gama'; did you mean gamma"),
        ({"settings": {"epoch": 5}}, "did you mean epochs"),
        ({"settings": {"epochs": "many"}}, "expected int"),
        ({"seeds": 0}, "seeds=0: must be a whole number from 1 to 1000"),
        ({"seeds": "2"}, "seeds='2': must be a whole number"),
        ({"seeds": 2.0}, "seeds=2.0: must be a whole number"),
        ({"settings": ["epochs=3"]}, "settings=['epochs=3']: give a dictionary"),
        ({"datasets": pd.DataFrame({"user": [1]})}, "a DataFrame is given; give names or paths"),
        ({"samplers": [3]}, "samplers: a list is given; give names or paths"),
        ({"split": "usr"}, "unknown split 'usr'"),
        ({"split_file": "absent"}, "--split-file absent: no such file"),
        ({"data_dir": "absent"}, "absent: no such directory"),
        ({"plugins": ["absent.py"]}, "no such file"),
    ],
)
def test_bad_input_to_a_plan_is_a_user_error(arguments, message):
    with pytest.raises(bench.UserError, match=re.escape(message)):
        bench.plan(**{"preset": "smoke", **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers=0: must be at least 1"),
        ({"device": "tpu"}, "expected cpu, cuda or cuda:NUMBER"),
        ({"executor": "slurm"}, "expected one of here, dask, ray"),
        ({"address": "tcp://x:1"}, "goes with --executor dask or ray"),
        ({"tune": 0}, "tune=0: must be a whole number from 1"),
        ({"tune": "2"}, "tune='2': must be a whole number from 1"),
        ({"budget": "soon"}, "'soon' is no time"),
        ({"test_trials": True}, "give its --tune COUNT too"),
        ({"cells_per_gpu": 2}, "give --gpus too"),
    ],
)
def test_bad_input_to_a_run_is_a_user_error_before_training(tmp_path, arguments, message):
    plan = bench.plan(**SMALL)
    with pytest.raises(bench.UserError, match=re.escape(message)):
        bench.Study("x", results=tmp_path / "results").run(plan, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_is_not_there_is_a_user_error(tmp_path):
    study = bench.Study("absent", results=tmp_path)
    for look in (study.frame, study.comparisons, study.report, study.status):
        with pytest.raises(bench.UserError, match=r"no finished cell|no such study"):
            look()
    assert study.records() == []
    with pytest.raises(bench.UserError, match="expected the name of a folder"):
        bench.Study("")


OWN = """
import torch
import bench
import samplers

LOWEST = 1  # what the class uses goes with it

@samplers.register("lowest")
class Lowest(samplers.Sampler):
    '''The first item of each pool.'''
    def __init__(self, *, N: int = 5) -> None:
        self.N = N
    def sample(self, views):
        pools = [view.pool(self.N) for view in views]
        return [samplers.Negatives(ids=pool[:, :LOWEST]) for pool in pools]

if __name__ == "__main__":
    plan = bench.plan(preset="smoke", backbones=["sasrec"], samplers=["lowest", "uniform"],
                      settings={"dim": 8, "window": 8})
    for workers in (1, 2):
        result = bench.Study(f"of-{workers}").run(plan, workers=workers)
        print(len(result.trained), *result.failed)
"""


def test_classes_of_the_calling_script_are_trained_by_workers(tmp_path):
    (tmp_path / "script.py").write_text(OWN)
    run = forked.run(["script.py"], tmp_path, clean_environment())
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["2", "2"]
    here, there = (records(tmp_path, f"of-{workers}") for workers in (1, 2))
    assert {key: record["metrics"] for key, record in here.items()} == {
        key: record["metrics"] for key, record in there.items()
    }


def test_importing_bench_costs_nothing(tmp_path):
    """Less than 50 ms of this process, whatever else the machine is doing."""
    run = python(
        "import sys, time\n"
        "started = time.process_time()\n"
        "import bench\n"
        "seconds = time.process_time() - started\n"
        "assert seconds < 0.05, seconds\n"
        "print(sys.modules.keys() & {'torch', 'numpy', 'pandas', 'typing'}, bench.__version__)\n",
        tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"set\(\) \d+\.\d+\S*\n", run.stdout)


def test_the_public_names_are_those_of_the_stub():
    stub = ast.parse((ROOT / "bench/__init__.pyi").read_text())
    declared = {
        alias.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == bench._HOMES
    assert set(bench.__all__) == {"__version__", *declared} <= set(dir(bench))
    for name, module in declared.items():
        assert getattr(bench, name) is getattr(importlib.import_module(module), name)
    with pytest.raises(AttributeError, match="no attribute 'compere'"):
        bench.compere  # noqa: B018

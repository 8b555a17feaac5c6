"""The command line, as a user runs it: in processes of its own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from support.grid import (
    SMALL,
    command,
    fork_servers_of,
    grid,
    in_process,
    numbers,
    records,
    start,
    wait_for_cells,
)

import samplers
from bench.grid import main
from bench.studies.running import Runner


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Two samplers, two seeds, one worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = grid(folder, *SMALL, "--samplers", "uniform", "mdcns", "--seeds", 2, "--workers", 1)
    assert run.returncode == 0, run.stderr
    return folder, run


def test_a_grid_trains_stores_and_reports(undisturbed):
    folder, run = undisturbed
    assert "4 cells in study" in run.stdout
    assert "[4/4, 0:00:00 left] done beauty-twin/sasrec/" in run.stderr
    stored = records(folder)
    assert len(stored) == 4
    for record in stored.values():
        assert record["data"]["synthetic"]
        assert record["environment"]["packages"]["torch"]
        assert set(record["metrics"]["test"]) >= {"recall@5", "ndcg@20", "mrr", "coverage@10"}
    index = pd.read_csv(folder / "results/smoke/index.csv")
    assert len(index) == 4
    names = sorted(path.name for path in (folder / "reports/smoke").iterdir())
    by_backbone = ("buckets", "costs", "diagnostics", "loss", "validation")
    plots = [f"{kind}-bce-synthetic-sasrec" for kind in by_backbone] + ["gains-bce-synthetic"]
    assert set(names) >= {f"{plot}.{s}" for plot in plots for s in ("png", "svg")}
    assert [name for name in names if not name.startswith((*by_backbone, "gains"))] == [
        *(f"comparison-bce-synthetic.{s}" for s in ("csv", "md", "png", "svg", "tex")),
        "index.html",
        "manifest.json",
        *(f"significance-bce-synthetic.{s}" for s in ("csv", "md")),
    ]
    assert not list((folder / "results/smoke/.progress").iterdir())


def test_a_second_run_trains_nothing(undisturbed):
    folder, _ = undisturbed
    cells = Path(folder, "results/smoke/cells")
    before = {path: path.stat().st_mtime_ns for path in cells.glob("*/*")}
    again = grid(folder, *SMALL, "--samplers", "uniform", "mdcns", "--seeds", 2)
    assert again.returncode == 0
    assert "4 cells in study" in again.stdout
    assert "4 done" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in cells.glob("*/*")} == before


def test_two_workers_give_the_same_numbers_as_one(undisturbed, tmp_path):
    run = grid(tmp_path, *SMALL, "--samplers", "uniform", "mdcns", "--seeds", 2, "--workers", 2)
    assert run.returncode == 0, run.stderr
    assert numbers(tmp_path) == numbers(undisturbed[0])


def test_a_killed_run_loses_nothing_and_goes_on(undisturbed, tmp_path):
    arguments = [*SMALL, "--samplers", "uniform", "mdcns", "--seeds", 2]
    process = start(tmp_path, *arguments)
    wait_for_cells(tmp_path, 1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {
        path: path.stat().st_mtime_ns
        for path in Path(tmp_path, "results/smoke/cells").glob("[!.]*/*")
    }
    assert finished
    again = grid(tmp_path, *arguments, "--workers", 1)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert numbers(tmp_path) == numbers(undisturbed[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_stops_cleanly(tmp_path, workers):
    process = start(
        tmp_path, *SMALL, "--samplers", "uniform", "mdcns", "--seeds", 30, "--workers", workers
    )
    wait_for_cells(tmp_path, 1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "run the same command again to continue" in errors
    assert "Traceback" not in errors
    assert 1 <= len(records(tmp_path)) < 60
    deadline = time.monotonic() + 20
    while group_alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not group_alive(process.pid)  # no worker is left behind


def test_ctrl_c_stops_cleanly_while_torch_is_loaded_for_workers(tmp_path):
    process = start(tmp_path, *SMALL, "--samplers", "uniform", "mdcns", "--workers", 2)
    while process.poll() is None and not fork_servers_of(process):
        pass
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert errors == "stopped; run the same command again to continue\n"


def test_a_cell_that_another_run_has_finished_meanwhile_is_not_trained_again(
    undisturbed, monkeypatch, capsys, tmp_path
):
    """As if it had been missing when this run made its plan."""
    folder = undisturbed[0]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("results/smoke/cells/*/*")}
    monkeypatch.setattr(Runner, "todo", lambda runner, planned, *_: list(planned))
    arguments = command(folder, *SMALL, "--samplers", "uniform", "--workers", 1)[3:]
    assert main(arguments) == 0
    assert "another run has finished it" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in folder.glob("results/smoke/cells/*/*")}
    assert after == before


def group_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


BROKEN = """
import samplers

@samplers.register("broken")
class Broken(samplers.Sampler):
    '''Fails in its first step.'''
    def sample(self, views):
        raise ArithmeticError("no negatives today")
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_cell_is_named_and_the_others_go_on(tmp_path, workers):
    (tmp_path / "broken.py").write_text(BROKEN)
    run = grid(
        tmp_path, *SMALL, "--samplers", "broken", "uniform", "--plugin", "broken.py",
        "--workers", workers,
    )  # fmt: skip
    assert run.returncode == 1
    line = "failed: beauty-twin/sasrec/broken/bce/seed0: ArithmeticError: no negatives today"
    assert line in run.stderr
    assert [r["config"]["sampler"]["name"] for r in records(tmp_path).values()] == ["uniform"]
    (failure,) = (tmp_path / "results/smoke/failures").iterdir()
    assert "Traceback" in failure.read_text()
    assert (tmp_path / "reports/smoke/comparison-bce-synthetic.md").exists()


def test_changed_code_of_a_sampler_makes_its_cells_stale_and_no_others(tmp_path):
    (tmp_path / "mine.py").write_text(BROKEN.replace(
        'raise ArithmeticError("no negatives today")',
        "return [samplers.Negatives(ids=view.pool(1)) for view in views]",
    ))  # fmt: skip
    arguments = [*SMALL, "--samplers", "broken", "uniform", "--plugin", "mine.py", "--workers", "1"]
    assert grid(tmp_path, *arguments).returncode == 0
    plugin = (tmp_path / "mine.py").read_text()
    (tmp_path / "mine.py").write_text(f"{plugin}# A comment changes no number.\n")
    assert "2 done" in grid(tmp_path, *arguments, "--dry-run").stdout
    (tmp_path / "mine.py").write_text(plugin.replace("pool(1)", "pool(2)"))
    dry = grid(tmp_path, *arguments, "--dry-run")
    assert "1 done, 1 stale" in dry.stdout
    assert "to train: 0 cells" in dry.stdout
    redone = grid(tmp_path, *arguments, "--force-stale")
    assert "done beauty-twin/sasrec/broken" in redone.stderr
    assert "done beauty-twin/sasrec/uniform" not in redone.stderr


def test_dry_run_plans_and_writes_nothing(tmp_path):
    run = grid(tmp_path, *SMALL, "--samplers", "uniform", "--dry-run")
    assert run.returncode == 0, run.stderr
    assert "1 cells in study" in run.stdout
    assert "to train: 1 cells, at most 0:00:" in run.stdout
    assert list(tmp_path.iterdir()) == []


LATEST = """
import numpy as np
from bench import references

@references.register("latest")
class Latest(references.Reference):
    '''What came last in training.'''
    def fit(self, data):
        self.score = np.zeros(data.n_items + 1)
        np.maximum.at(self.score, data.train.items, np.arange(len(data.train.items)))
    def scores(self, items, offsets, users):
        return np.tile(self.score, (len(users), 1))
"""


def test_a_plug_in_s_reference_is_listed_and_stands_in_tables(tmp_path):
    (tmp_path / "latest.py").write_text(LATEST)
    plugin = ["--plugin", "latest.py"]
    assert (
        "\n  latest         What came last in training." in grid(tmp_path, *plugin, "--list").stdout
    )
    run = grid(tmp_path, *SMALL, "--samplers", "uniform", *plugin, "--workers", 2)
    assert run.returncode == 0, run.stderr
    ((data,),) = [[r["data"]] for r in records(tmp_path).values()]
    ours = "popularity ranking | co-occurrence | item-knn | latest | markov | best reachable"
    assert set(data["references"]) == {
        "co-occurrence", "item-knn", "latest", "markov", "oracle", "popularity"
    }  # fmt: skip
    assert data["reference_choices"].keys() == data["references"].keys()
    text = (tmp_path / "reports/smoke/comparison-bce-synthetic.md").read_text()
    assert f"| dataset | metric | uniform | {ours} |" in text


def test_list_shows_everything_registered_with_defaults(tmp_path):
    run = grid(tmp_path, "--list")
    assert run.returncode == 0
    for name in (
        "mdcns",
        "popularity",
        "mamba4rec",
        "bpr",
        "item-knn",
        "beauty",
        "kuairand-twin",
        "paper",
    ):
        assert f"\n  {name} " in run.stdout
    assert "power=0.75 K=1" in run.stdout


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Small logs in files, good and bad."""
    folder = tmp_path_factory.mktemp("logs")
    good = ["\t".join(("user_id:token", "item_id:token", "timestamp:float"))]
    good += [f"u{u}\ti{(u * 7 + n * 3) % 90}\t{n}" for u in range(40) for n in range(6)]
    (folder / "my_shop.inter").write_text("\n".join(good) + "\n")
    (folder / "negative.txt").write_text("1 4 5 6\n2 3 -7 8\n")
    (folder / "zero.txt").write_text("1 4 5 6\n2 3 0 8\n")
    (folder / "malformed.inter").write_text("\n".join([*good[:3], "u1\ti2", *good[3:]]) + "\n")
    (folder / "empty.txt").write_text("")
    tiny = [f"{u} 1 2 3 4 5 6" for u in range(1, 21)]
    (folder / "tiny.txt").write_text("\n".join(tiny) + "\n")
    (folder / "unwritable").write_text("a file, not a directory")
    return folder


def test_a_log_of_ones_own_needs_no_code(tmp_path, logs):
    run = grid(
        tmp_path, "--preset", "smoke", "--datasets", logs / "my_shop.inter", "--backbones",
        "sasrec", "--samplers", "uniform", "dns", "--set", "dim=8", "N=10", "--workers", 1,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report = (tmp_path / "reports/smoke/comparison-bce.md").read_text()
    assert report.startswith("# Real data")
    assert "| my_shop | NG@10 |" in report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--samplers", "mdnc"], "unknown sampler 'mdnc'; did you mean mdcns"),
        (["--backbones", "sasrek"], "unknown backbone 'sasrek'; did you mean sasrec"),
        (["--objectives", "bec"], "unknown objective 'bec'; did you mean bce"),
        (["--datasets", "beuty"], "unknown dataset 'beuty'; did you mean beauty"),
        (["--set", "mdcns.gama=2"], "no hyper-parameter 'gama'; did you mean gamma"),
        (["--set", "mdcns.gamma=high"], "mdcns.gamma=high: expected float"),
        (["--set", "dsn.N=5"], "'dsn' is unknown; did you mean dns"),
        (["--set", "epoch=5"], "epoch=5: no such setting of the protocol; did you mean epochs"),
        (["--set", "epochs=0"], "epochs=0: must be positive"),
        (["--set", "epochs"], "--set epochs: expected NAME.OPTION=VALUE"),
        (["--samplers", "dns", "--set", "mdcns.mu=0"], "'mdcns' is not part of this grid"),
        (["--set", "dns+.M=21"], "M=21: must lie between 1 and the pool size N=20"),
        (["--set", "sasrec.heads=5"], "heads=5"),
        (["--set", "mdcns.peer=gru5rec"], "unknown backbone 'gru5rec'; did you mean gru4rec"),
        (["--data-dir", "LOGS/absent"], "--data-dir"),
        (["--datasets", "beauty"], "--data-dir"),
        (["--datasets", "LOGS/absent.txt"], "absent.txt"),
        (["--datasets", "LOGS/malformed.inter"], r"malformed.inter, line 4"),
        (["--datasets", "LOGS/negative.txt"], r"negative.txt, line 2"),
        (["--datasets", "LOGS/zero.txt"], r"zero.txt, line 2"),
        (["--datasets", "LOGS/empty.txt"], "empty.txt"),
        (["--datasets", "LOGS/tiny.txt"], "has had all of its"),
        (["--results", "LOGS/unwritable/results"], "cannot be written"),
        (["--plugin", "LOGS/absent.py"], "no such file"),
        (["--split", "usr"], "unknown split 'usr'; did you mean user"),
        (["--split-file", "LOGS/absent"], "no such file"),
        (["--split", "temporal"], "no time stamps"),
        (["--seeds", "0"], "must be at least 1"),
        (["--preset", "huge"], "invalid choice: 'huge'"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(tmp_path, logs, arguments, message):
    given = [str(a).replace("LOGS", str(logs)) for a in arguments]
    # In this process: thirty starts of Python would take a minute.
    status, errors = in_process(tmp_path, "--all", *given)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_chosen_is_an_error_that_says_what_there_is(tmp_path):
    status, errors = in_process(tmp_path)
    assert status == 2
    assert "give --all" in errors


def test_ce_is_refused_for_samplers_that_it_would_ignore(tmp_path):
    status, errors = in_process(
        tmp_path, "--datasets", "beauty-twin", "--samplers", "uniform", "--objectives", "ce"
    )
    assert status == 2
    assert "choose the sampler full-softmax" in errors


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:x"])
def test_a_device_it_does_not_know_is_refused(tmp_path, device):
    status, errors = in_process(tmp_path, "--all", "--device", device)
    assert status == 2
    assert "expected cpu, cuda or cuda:NUMBER" in errors


@pytest.mark.parametrize("setting", ["lr=nan", "lr=inf", "mdcns.gamma=inf"])
def test_a_number_that_is_none_is_refused(tmp_path, setting):
    status, errors = in_process(tmp_path, "--all", "--set", setting)
    assert status == 2
    assert "expected float" in errors


def test_a_plug_in_that_fails_is_one_error(tmp_path):
    (tmp_path / "bad.py").write_text("import samplers\nthis is no python\n")
    status, errors = in_process(tmp_path, "--all", "--plugin", str(tmp_path / "bad.py"))
    assert status == 2
    assert "it failed with SyntaxError" in errors


def test_a_history_with_repeats_counts_its_distinct_items(tmp_path):
    """80 events over 8 of 44 items leave 36 candidates."""
    log = tmp_path / "music.txt"
    rows = [
        [1 + i % 8 for i in range(80)],
        *([1 + (u + i) % 50 for i in range(5)] for u in range(40)),
    ]
    log.write_text("".join(f"{u + 1} {' '.join(map(str, r))}\n" for u, r in enumerate(rows)))
    status, errors = in_process(
        tmp_path, "--datasets", str(log), "--samplers", "dns", "--set", "dns.N=36", "--dry-run",
        "--split", "leave-one-out",
    )  # fmt: skip
    assert status == 0, errors


def test_list_of_a_name_prints_all_that_is_known_of_it(tmp_path, capsys):
    assert in_process(tmp_path, "--list", "unifrom") == (
        2, "error: --list unifrom: nobody registered it; did you mean uniform?\n"
    )  # fmt: skip
    assert main(["--list", "gnno", "mdcns-text"]) == 0
    out = capsys.readouterr().out
    assert samplers.registry.get("gnno").__doc__.splitlines()[-2].strip() in out
    assert "sampler mdcns-text, a setting of mdcns" in out
    assert "tuned over: c_max in [0.3, 0.7]" in out

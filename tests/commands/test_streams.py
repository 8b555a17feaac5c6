"""What happens outside a run must not harm it: readers that go, signals, closed streams, names."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import forked
from support.grid import clean_environment

import samplers
from bench import datasets, grid, report
from bench.errors import UserError
from bench.files import check_name
from bench.registry import Registry
from bench.studies.estimates import Estimate, confirm
from bench.studies.store import Store
from bench.terminal import on_terminal

ENDS = """
import sys
from bench.datasets import DatasetSource, register as dataset
from samplers import Sampler, register


def ends(self, *_):
    sys.exit(0)


@register("ends")
class Ends(Sampler):
    \"""Ends the program.\"""

    def sample(self, views):
        raise NotImplementedError


@dataset("ending")
class Ending(DatasetSource):
    \"""Ends the program.\"""

    def load(self, data_dir):
        raise NotImplementedError


for cls, names in ((Ends, ("__init__", "pool_size")), (Ending, ("load",))):
    if "{where}" in names:
        setattr(cls, "{where}", property(ends) if "{where}" == "pool_size" else ends)
"""
TWIN = ["--datasets", "beauty-twin", "--backbones", "sasrec", "--samplers", "uniform",
        "--preset", "smoke", "--workers", "1"]  # fmt: skip


def command(*options):
    return [sys.executable, "-m", "bench.grid", *TWIN, *options]


def folders(tmp_path):
    return ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]


def test_training_goes_on_when_nobody_reads_what_it_says(tmp_path):
    """``2>&1 | head -1``: the pipe is closed after the first line."""
    options = ["--seeds", "2", "--set", "epochs=2", "--study", "study", *folders(tmp_path)]
    process = subprocess.Popen(
        command(*options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=clean_environment(),
    )  # fmt: skip
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert len(list(Store(tmp_path / "results/study").records())) == 2
    assert (tmp_path / "reports/study/index.html").is_file()


def test_a_list_may_be_cut_short():
    line = f"{sys.executable} -m bench.grid --list | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True,
        env=clean_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "samplers:\n", "")


@pytest.mark.parametrize("line", ["data list", "data describe beauty", "report --help"])
def test_other_commands_may_be_cut_short_too(line):
    words = f"{sys.executable} -m bench.{line} | true"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True,
                          env=clean_environment())  # fmt: skip
    assert "Traceback" not in done.stderr


def test_a_terminal_that_is_not_of_utf8_is_shown_escapes(tmp_path):
    environment = clean_environment() | {
        "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "bench.grid", "--list", "gbce"],
                          capture_output=True, text=True, env=environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\\u03c3" in done.stdout  # a sigma


def test_nobody_is_asked_where_nobody_can_answer(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert not on_terminal()
    estimate = Estimate(1, 1, 1e9, 0.0, 0.0, 0.0)
    confirm(estimate, Path(), yes=False)


@pytest.mark.parametrize("where", ["__init__", "pool_size", "load"])
@pytest.mark.parametrize("option", ["--dry-run", "--yes"])
def test_what_ends_the_program_is_an_error_wherever_it_stands(tmp_path, where, option, capsys):
    (tmp_path / "ends.py").write_text(ENDS.format(where=where))
    chosen = ["--datasets", "ending" if where == "load" else "beauty-twin"]
    words = [*TWIN[2:], *chosen, "--plugin", str(tmp_path / "ends.py"), option]
    words[words.index("uniform")] = "ends" if where != "load" else "uniform"
    assert grid.main([*words, *folders(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "SystemExit" in error
    assert "Traceback" not in error
    samplers.registry._classes.pop("ends", None)
    datasets.registry._classes.pop("ending", None)


def test_standard_input_may_be_closed(tmp_path):
    options = ["--set", "epochs=1", "--seeds", "1", *folders(tmp_path)]
    words = " ".join(command(*options))
    done = subprocess.run(["bash", "-c", f"{words} 0<&-"], capture_output=True, text=True,
                          env=clean_environment())  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_schedulers_stop_a_run_as_ctrl_c_does(tmp_path, number, status):
    long = ["--set", "epochs=100000", "patience=100000", "--seeds", "1", "--study", "study"]
    process = subprocess.Popen(
        command(*long, *folders(tmp_path)), stderr=subprocess.PIPE, text=True,
        env=clean_environment(),
    )  # fmt: skip
    log, until = tmp_path / "results/study/log.jsonl", time.monotonic() + 60
    while not log.exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "stopped; run the same command again to continue" in errors
    assert "Traceback" not in errors
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events == ["start", "stopped"]


UGLY = ["a/b", "../out", "..", ".hidden", "x" * 101, "字" * 34, "a\nb", " a", "a\\b", ""]


@pytest.mark.parametrize("name", UGLY)
def test_a_study_has_one_plain_name(tmp_path, name, capsys):
    assert grid.main([*TWIN, "--study", name, *folders(tmp_path)]) == 2
    assert "expected the name of a folder" in capsys.readouterr().err
    assert report.main([name, *folders(tmp_path)]) == 2
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["quick", "paper-protocol", "Größe 2", "x" * 100])
def test_other_names_do(name):
    check_name("--study", name)


def test_a_folder_for_reports_that_cannot_be_written_is_found_before_training(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    results = tmp_path / "results"
    arguments = [*TWIN, "--results", str(results), "--reports", str(tmp_path / "file")]
    assert grid.main(arguments) == 2
    assert "--reports" in capsys.readouterr().err
    assert not list(results.glob("*/cells/*"))


def test_an_error_says_why_also_where_the_system_does_not(tmp_path, capsys):
    assert grid.main([*TWIN, "--set", "epochs=1", "--seeds", "1", *folders(tmp_path)]) == 0
    capsys.readouterr()
    target = ["--to", str(tmp_path / "none" / "x.csv"), "--results", str(tmp_path / "results")]
    assert report.main(["export", "smoke", *target]) == 2
    error = capsys.readouterr().err
    assert "cannot be written (No such file or directory)" in error
    assert "None" not in error


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("*.foo=1", "nothing in this grid has an option 'foo'; known: "),
        ("*.droput=0.1", "did you mean dropout?"),
    ],
)
def test_an_option_of_nothing_is_told_by_its_own_name(tmp_path, given, told, capsys):
    assert grid.main([*TWIN, "--set", given, *folders(tmp_path)]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyError("oops"), TypeError("no"), RuntimeError("12 bytes")])
def test_a_constructor_that_fails_is_one_error(error):
    registry = Registry("thing", "bench.objectives", lambda: object)

    class Thing:
        """A thing."""

        def __init__(self, *, size: int = 3) -> None:
            raise error

    registry.register("thing")(Thing)
    with pytest.raises(UserError, match="thing 'thing': it cannot be made with size=3"):
        registry.build("thing", {"size": 3})


def test_a_sampler_that_ends_the_process_is_a_failed_cell(tmp_path, capsys):
    plugin = tmp_path / "leaves.py"
    plugin.write_text(
        "import sys\nimport samplers\n\n\n@samplers.register('leaves')\n"
        "class Leaves(samplers.Sampler):\n    '''Leaves.'''\n\n"
        "    def sample(self, views):\n        sys.exit(0)\n"
    )
    words = [*TWIN, "--seeds", "1", "--plugin", str(plugin), *folders(tmp_path)]
    words[words.index("uniform")] = "leaves"
    done = forked.run(["-m", "bench.grid", *words], tmp_path, clean_environment())
    assert done.returncode == 1
    assert "failed: beauty-twin/sasrec/leaves/bce/seed0: SystemExit: 0" in done.stderr

"""The README says what is: its example runs as printed, its lists are the registries'."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from support import forked
from support.grid import clean_environment, records

import backbones
import samplers
from bench import datasets, objectives, references
from bench.errors import UserError
from bench.grid_file import parse
from bench.grid_options import parser
from bench.grid_run import request

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


FEWER_EPOCHS = """
from dataclasses import replace
from bench.cell import PRESETS

quick = PRESETS["quick"]
PRESETS["quick"] = replace(quick, protocol=replace(quick.protocol, epochs=2))
"""


def test_the_worked_example_runs_as_printed(tmp_path):
    (example,) = [block for block in blocks("python") if "softdns" in block]
    (tmp_path / "softdns.py").write_text(example + FEWER_EPOCHS)
    (command,) = [
        line for block in blocks("bash") for line in block.splitlines() if "softdns" in line
    ]
    words = shlex.split(command)
    assert words[0] == ".venv/bin/python"
    run = forked.run(words[1:], tmp_path, clean_environment())
    assert run.returncode == 0, run.stderr
    used = {r["config"]["sampler"]["name"]: r for r in records(tmp_path, "quick").values()}
    assert set(used) == {"uniform", "dns", "softdns"}
    assert used["softdns"]["config"]["sampler"]["hyper"] == {"N": 20, "T": 0.5}
    assert "| softdns |" in (tmp_path / "reports/quick/comparison-bce-synthetic.md").read_text()


def test_the_example_in_python_runs_as_printed(tmp_path):
    (example,) = [block for block in blocks("python") if "bench.plan(" in block]
    (tmp_path / "example.py").write_text(example)
    run = forked.run(["example.py"], tmp_path, clean_environment())
    assert run.returncode == 0, run.stderr
    assert "4 trained, 0 finished before" in run.stdout
    assert run.stderr.count("] done beauty-twin/sasrec/") == 4
    stored = records(tmp_path, "my-study").values()
    assert [r["config"]["sampler"]["hyper"]["N"] for r in stored
            if r["config"]["sampler"]["name"] == "dns"] == [10, 10]  # fmt: skip
    assert "reports/my-study/index.html" in run.stdout
    assert (tmp_path / "reports/my-study/index.html").exists()


def test_the_lists_are_those_of_the_registries():
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", README, flags=re.MULTILINE))
    assert set(rows["samplers"].split(", ")) == set(samplers.registry.names())
    assert set(rows["backbones"].split(", ")) == set(backbones.registry.names())
    assert set(rows["objectives"].split(", ")) == set(objectives.registry.names())
    assert set(rows["references"].split(", ")) == set(references.registry.names())
    real = {n for n in datasets.registry.names() if not datasets.registry.get(n).synthetic}
    assert set(rows["datasets"].split(";")[0].split(", ")) == real


def test_every_option_it_shows_exists():
    known = {option for action in parser()._actions for option in action.option_strings}
    shown = {
        word
        for block in blocks("bash")
        for line in block.splitlines()
        if "bench.grid" in line
        for word in line.partition("bench.grid")[2].split()
        if word.startswith("--")
    }
    assert shown <= known
    assert len(shown) > 5


COMMANDS = [
    pytest.param(line.partition("-m bench.grid ")[2], id=f"{page.name}-{place}")
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for place, line in enumerate(page.read_text(encoding="utf-8").splitlines())
    if "-m bench.grid " in line and not re.search(r" (status|--from) ", line)
    and line.startswith((".venv/bin/python", "python3 -m venv"))
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_grid_that_a_text_shows_is_one(command, tmp_path, monkeypatch):
    """Its options go together and its names are known; so it fails for want of files alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    try:
        options = parse(shlex.split(command))
        request(options)
        for registry in (samplers.registry, backbones.registry, objectives.registry):
            for name in getattr(options, f"{registry.kind}s") or []:
                registry.get(name)
        for name in options.datasets or []:
            assert "." in name or datasets.registry.get(name)  # a log's file
    except UserError as error:
        assert "softdns.py" in str(error), error


def test_ci_runs_the_readme_test_command():
    (command,) = [b.strip() for b in blocks("bash") if "bench.check" in b]
    assert command in (ROOT / ".ci/run").read_text()

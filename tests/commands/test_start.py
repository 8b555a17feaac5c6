"""What a command loads before it does what it was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.grid import clean_environment

TESTS = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "pandas", "scipy", "matplotlib", "seaborn", "joblib", "sklearn", "rich"}
LOADED = """
import contextlib, importlib, io, json, sys
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    module = importlib.import_module(sys.argv[1])
    getattr(module, "main", list)(sys.argv[2:])
print(json.dumps(sorted(sys.modules)))
"""


def loaded(*command):
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command],
        env=clean_environment(), cwd=TESTS,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("command", ["grid", "report", "speed", "check"])
def test_help_loads_nothing_that_takes_long(command):
    assert not loaded(f"bench.{command}", "--help") & HEAVY


@pytest.mark.parametrize("command", ["grid status", "report compare", "report export"])
def test_nor_does_the_help_of_a_part(command):
    name, part = command.split()
    assert not loaded(f"bench.{name}", part, "--help") & HEAVY


def test_a_list_of_names_loads_what_registers_them_and_no_more():
    modules = loaded("bench.grid", "--list")
    assert {"torch", "samplers.mdcns", "bench.datasets.amazon"} <= modules
    assert not modules & {"pandas", "matplotlib", "joblib", "scipy.stats"}


def test_what_trains_loads_no_tests_and_no_plots():
    modules = loaded("bench.studies.run_cell")
    assert "torch" in modules
    assert not modules & {"pandas", "matplotlib", "seaborn", "scipy.stats"}


def test_training_loads_no_compiler():
    """`torch._dynamo`, which torch imports when its own optimisers are first used."""
    modules = loaded("support.trained")
    assert "torch.optim.adam" in modules
    assert not {name for name in modules if name.startswith(("torch._dynamo", "sympy"))}

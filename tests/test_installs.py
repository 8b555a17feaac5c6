"""The versions that are declared: with the least of each dependency, and with the newest, the smoke
study runs and the fast tests pass.  Downloads some 300 MB.

PyTorch, whose least version is a download of gigabytes, is the one that runs these tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TORCH = f"torch=={version('torch')}"
FOLDERS = ["analysis", "backbones", "datasets", "ground", "objectives", "references", "samplers",
           "studies", "training"]  # fmt: skip
"""Of tests that hang on nothing but the packages; committed pictures are of one matplotlib."""


LINTERS = ("negative-sampling-bench", "ruff", "mypy", "import-linter", "pandas-stubs")
"""What tests need for themselves alone: of the project, and what looks at its source."""


def needed():
    """What the project and its tests ask for."""
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    return [each for each in asked if not each.startswith(LINTERS)]


def least():
    """``name==version`` of the least that is declared of each."""
    pins = {}
    for asked in needed():
        found = re.fullmatch(r"([\w-]+)>=([\w.]+)", asked)
        if found and found[1] != "torch":
            pins.setdefault(found[1], found[0].replace(">=", "=="))
    tools = ("pytest", "pytest-xdist", "hypothesis", "setuptools")
    return [pin for name, pin in pins.items() if name not in tools]


@pytest.mark.parametrize("pins", [least(), []], ids=["minimums", "newest"])
def test_declared_versions_hold(pins, tmp_path):
    home = tmp_path / "environment"
    venv.create(home, with_pip=True)
    python, pinned = home / "bin" / "python", tmp_path / "constraints.txt"
    pinned.write_text("\n".join([TORCH, *pins]))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*command, cwd=ROOT):
        done = subprocess.run(
            [str(word) for word in command], cwd=cwd, env=environment, capture_output=True,
            text=True, timeout=1800,
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]

    run(python, "-m", "pip", "install", "-q", "-c", pinned, *needed())
    smoke = ["--preset", "smoke", "--datasets", "beauty-twin", "--workers", "1", "--seeds", "1"]
    folders = ["--results", tmp_path / "results", "--reports", tmp_path / "reports"]
    run(python, "-m", "bench.grid", *smoke, "--backbones", "sasrec", *folders)
    assert (tmp_path / "reports/smoke/index.html").is_file()
    tests = [f"tests/{folder}" for folder in FOLDERS]
    run(python, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", *tests)


def test_the_python_that_runs_this_is_declared():
    assert sys.version_info >= tuple(
        map(int, PROJECT["requires-python"].removeprefix(">=").split("."))
    )

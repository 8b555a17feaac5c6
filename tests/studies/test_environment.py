"""What a cell says that it ran on."""

from __future__ import annotations

import subprocess

import pytest

from bench.studies.environment import commit_of
from bench.studies.modules import PROJECT


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def harness(tmp_path):
    """A repository with a module in each package, and a result."""
    for package in (*PROJECT, "results"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "one.py").write_text("X = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    commit_of.cache_clear()
    return tmp_path


def test_results_that_come_and_go_are_no_change_of_code(harness):
    (harness / "results" / "one.py").unlink()
    (harness / "results" / "two.py").touch()
    assert commit_of(harness) == git(harness, "rev-parse", "HEAD")


@pytest.mark.parametrize("name", ["one.py", "two.py"])
def test_code_that_is_in_no_commit_is_told(harness, name):
    (harness / "samplers" / name).write_text("X = 2\n")
    assert commit_of(harness) == git(harness, "rev-parse", "HEAD") + "+changes"


def test_outside_git_and_in_anothers_repository_there_is_none(harness, tmp_path_factory):
    installed = harness / ".venv" / "site-packages"
    for package in PROJECT:
        (installed / package).mkdir(parents=True)
        (installed / package / "one.py").touch()
    assert commit_of(installed) is None
    assert commit_of(tmp_path_factory.mktemp("nowhere")) is None

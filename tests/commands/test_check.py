"""The check of a change: what it runs, and that asking for help runs nothing."""

from __future__ import annotations

import subprocess

import pytest

from bench import check


@pytest.fixture
def ran(monkeypatch):
    """The commands that would have been run; ruff finds something."""
    commands = []

    def run(command, **_):
        commands.append(command[2:])
        status = int("ruff" in command)
        return subprocess.CompletedProcess(command, status, stdout="what it found\n")

    monkeypatch.setattr(check.subprocess, "run", run)
    return commands


@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_help_is_printed_and_nothing_run(ran, capsys, asked):
    with pytest.raises(SystemExit) as stop:
        check.main([asked])
    assert stop.value.code == 0
    assert "everything a change must pass" in capsys.readouterr().out
    assert ran == []


def test_other_arguments_go_to_pytest_in_their_order(ran, capsys):
    given = ["-m", "slow", "tests/ground", "--he", "-x", "-k", "not help", "--", "-h"]
    assert check.main(given) == 1  # ruff
    assert [command[0] for command in ran[:2]] == ["ruff", "ruff"]
    (tests,) = [command for command in ran[2:] if command[0] == "pytest"]
    assert tests[-len(given) :] == given
    assert [command for command in ran[2:] if command != tests] == [["mypy"]]
    printed = capsys.readouterr()
    assert printed.out.endswith("$ mypy\nwhat it found\n")
    assert "failed: ruff check ." in printed.err

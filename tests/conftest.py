"""Fixtures that any test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

GIVEN = os.environ.get("BENCH_DATA")
"""Where whoever runs the tests has data: for those that ask for it alone."""


@pytest.fixture(scope="session")
def data_dir():
    """The directory of real datasets; tests that need it are skipped where there is none."""
    root = Path(__file__).resolve().parent.parent
    found = Path(GIVEN or root.parent / "shared" / "data")
    if not (found / "beauty.txt.gz").is_file():
        pytest.skip(f"no real data: {found}/beauty.txt.gz is absent (set $BENCH_DATA)")
    return found


@pytest.fixture(autouse=True, scope="session")
def without_data():
    """What a command does without ``--data-dir`` does not hang on who runs the tests."""
    os.environ.pop("BENCH_DATA", None)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """As in the grid: the same numbers on every machine, and no idle threads."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def interruptible():
    """Runs that tests start can be stopped by Ctrl-C, even if these were started with ``&``."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def without_pictures():
    """Figures of reports are composed and not rendered, as no assertion is about them."""
    from support.sketches import sketched  # loads matplotlib

    with sketched():
        yield


sketches = pytest.fixture(without_pictures, name="sketches")
sketches_throughout = pytest.fixture(
    without_pictures, scope="module", name="sketches_throughout"
)  # a module's own fixtures included


def pytest_terminal_summary(terminalreporter):
    """The table of faults that were tried (`tests/studies/test_faults.py`)."""
    reports = terminalreporter.getreports("passed")
    rows = [value for report in reports for name, value in report.user_properties
            if name == "fault" and report.when == "call"]  # fmt: skip
    if rows:
        terminalreporter.section("faults")
        for row in [("fault", "done", "found"), ("---",) * 3, *rows]:
            terminalreporter.line(f"| {' | '.join(row)} |")

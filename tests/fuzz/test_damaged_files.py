"""Hostile input: whatever a file holds, it is read or refused by a `UserError`, in little memory.

The default suite tries some dozens of inputs a target; ``-m slow -s`` thousands, and prints how
many and the peak of memory; with Atheris (extra ``fuzz``) guided by coverage as well.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.hostile import TRIED, fuzz, watched
from support.targets import STUDIES, TARGETS

from bench.errors import UserError


@pytest.mark.parametrize("name", TARGETS)
def test_the_good_files_are_good(name, tmp_path):
    target = TARGETS[name]
    path = tmp_path / name
    path.write_bytes(target.pack(target.content))
    try:
        target.use(path)
    except UserError as error:
        assert name in ("reviews.json.gz",)
        assert "nothing is left" in str(error)  # two reviews are no 5-core


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    fuzz(TARGETS[name], 10 if TARGETS[name].use in STUDIES else 30, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_damaged_files_are_read_or_refused(name, tmp_path, record_property):
    with watched() as spent:
        fuzz(TARGETS[name], 400 if TARGETS[name].use in STUDIES else 4000, tmp_path)
        grown, seconds = spent()
    tried, refused = TRIED[name], TRIED[f"{name} refused"]
    line = f"{name}: {tried} inputs, {refused} refused, +{grown:.0f} MB at peak, {seconds:.0f} s"
    record_property("fuzz", line)
    print(f"\n{line}")
    assert grown < 500


@pytest.mark.slow
def test_coverage_guided(tmp_path):
    """Atheris, a minute long, on all targets but those that write whole studies."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (pip install -e '.[fuzz]'; Linux wheels only)")
    tests = Path(__file__).parent.parent
    command = [sys.executable, str(tests / "fuzz_atheris.py"), "-max_total_time=60", "-max_len=400"]
    command += ["-rss_limit_mb=2048", f"-artifact_prefix={tmp_path}/"]
    environment = os.environ | {"PYTHONPATH": str(tests.parent)}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    print("\n" + "\n".join(ran.stderr.splitlines()[-3:]))
    assert ran.returncode == 0, ran.stderr[-4000:]

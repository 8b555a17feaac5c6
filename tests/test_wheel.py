"""The wheel, installed where there is no checkout: its files, its metadata, its commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "samplers", "backbones")
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", *PACKAGES)


def run(*command, cwd):
    """What the command prints, where nothing points to the checkout."""
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment,
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that what an earlier build left in the checkout is not packed."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    pip_wheel = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip_wheel, "--no-index", "--wheel-dir", built, source, cwd=source)
    (path,) = built.iterdir()
    return path


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory):
    """The folder of programs of a fresh environment that has the wheel, and no checkout.

    Dependencies are those of the environment that runs the tests: nothing is downloaded.  Its
    site-packages come after the wheel's own, and ``.pth`` files in them (those of an editable
    installation of this project, say) are not followed.
    """
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    pip_install = (sys.executable, "-m", "pip", "--python", home / "bin/python", "install")
    run(*pip_install, "--no-deps", "--no-index", wheel, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    found = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(found), encoding="utf-8")
    return home / "bin"


def test_it_holds_all_that_is_not_code(wheel):
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        described = HeaderParser().parsestr(packed.read(metadata).decode())
    data = [*(f"{package}/py.typed" for package in PACKAGES)]
    for folder in ("bench/reports/templates", "bench/studies/published"):
        data += [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).iterdir()]
    assert len(data) > 10
    assert set(data) <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert described["License-Expression"] == "Apache-2.0"
    assert described.get_all("License-File") == ["LICENSE"]
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_its_commands_run_where_there_is_no_checkout(programs, tmp_path):
    where = run(programs / "python", "-c", "import bench; print(bench.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(programs.parent)
    assert "mdcns" in run(programs / "nsbench-grid", "--list", cwd=tmp_path)
    assert "beauty" in run(programs / "nsbench-data", "list", cwd=tmp_path)
    run(programs / "nsbench-speed", "--help", cwd=tmp_path)

    smoke = ("--preset", "smoke", "--backbones", "sasrec", "--samplers", "uniform", "dns")
    run(programs / "nsbench-grid", *smoke, cwd=tmp_path)
    reports = tmp_path / "reports" / "smoke"
    written = {path.name: path.read_bytes() for path in reports.iterdir()}
    assert b"| dns |" in written["comparison-bce-synthetic.md"]
    assert b"<style>" in written["index.html"]  # of the page's templates
    shutil.rmtree(reports)
    run(programs / "nsbench-report", "smoke", cwd=tmp_path)
    assert {path.name for path in reports.iterdir()} == set(written)


def test_the_published_figures_name_a_table_s_cells(programs, tmp_path):
    table = ("--table", "3", "--datasets", "beauty-twin", "--samplers", "uniform", "--seeds", "1")
    planned = run(programs / "nsbench-grid", *table, "--dry-run", cwd=tmp_path)
    assert "beauty-twin/sasrec/uniform/bce/seed0" in planned

"""The tool that gives stored cells the digest of the code that trained them."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
from support.cells import ROOT, cell_of
from support.results import result_of

from bench.studies.code import code_digest
from bench.studies.store import Store

CODE = """
from bench.errors import UserError

def code_digest(sampler):
    if sampler == "popularity":
        raise UserError("it was not there then")
    return f"before {sampler}"
"""


@pytest.fixture
def before(tmp_path):
    """In place of a checkout: digests are the samplers' names."""
    package = tmp_path / "before" / "bench"
    (package / "studies").mkdir(parents=True)
    for folder in (package, package / "studies"):
        (folder / "__init__.py").touch()
    (package / "errors.py").write_text("class UserError(Exception): pass\n")
    (package / "cell.py").write_text(
        "class Cell:\n"
        "    @staticmethod\n"
        "    def from_config(config): return config['sampler']['name']\n"
    )
    (package / "studies" / "code.py").write_text(CODE)
    return package.parent


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("reseal", ROOT / "tools" / "reseal.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_current_cells_are_sealed_anew_and_all_others_left_alone(tmp_path, before, tool, capsys):
    store = Store(tmp_path / "study")
    store.check_writable()
    codes = {"uniform": "before uniform", "dns": "long ago", "popularity": "before popularity",
             "srns": "before srns"}  # fmt: skip
    cells = {name: cell_of(name) for name in codes}
    for name, cell in cells.items():
        result = replace(result_of(cell), code=codes[name])
        result.environment["note"] = f"é, {codes[name]}"
        store.save(result)
    folders = {name: store.root / "cells" / cell.key for name, cell in cells.items()}
    (folders["srns"] / "epochs.csv").write_text("epoch,loss\n1,0.8\n")  # broken since
    was = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    arguments = [str(store.root), "--before", str(before)]

    def now():
        return {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}

    assert tool.main([*arguments, "--dry-run"]) == 0
    assert now() == was
    assert tool.main(arguments) == 0
    printed = capsys.readouterr().out
    for line in (
        "1 sealed: uniform",
        "1 left stale: dns",
        "1 left stale: popularity",
        "1 broken: ",
    ):
        assert printed.count(line) == 2
    sealed, code = folders["uniform"], code_digest(cells["uniform"])
    assert {path for path, content in now().items() if content != was[path]} == {
        sealed / "cell.json", sealed / "SHA256SUMS"
    }  # fmt: skip
    old, new = (f'"code": "{each}"'.encode() for each in ("before uniform", code))
    assert (sealed / "cell.json").read_bytes() == was[sealed / "cell.json"].replace(old, new)
    assert {name: store.status(cell, code_digest(cell)) for name, cell in cells.items()} == {
        "uniform": "done", "dns": "stale", "popularity": "stale", "srns": "broken"
    }  # fmt: skip

"""The direction of imports, as ``[tool.importlinter]`` of pyproject.toml has it."""

from __future__ import annotations

import pkgutil
import re
import sys
import tomllib
from pathlib import Path

import grimp
from importlinter.cli import lint_imports

import bench

ROOT = Path(__file__).resolve().parent.parent


def test_every_contract_is_kept(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    status = lint_imports(no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out


def test_every_module_of_the_harness_has_a_place():
    """A new module or wing that no layer names would be free to import what it likes."""
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in configuration["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    placed = {name for layer in layers for name in re.findall(r"[\w.]+", layer)}
    assert {f"bench.{each.name}" for each in pkgutil.iter_modules(bench.__path__)} <= placed


def test_metrics_need_numpy_alone():
    graph = grimp.build_graph("bench", include_external_packages=True, cache_dir=None)
    imported = graph.find_modules_directly_imported_by("bench.metrics")
    assert imported - set(sys.stdlib_module_names) == {"numpy"}

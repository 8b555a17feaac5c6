"""Components of a notebook or a script are trained in worker processes like all others."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch
from support import forked
from support.cells import ROOT, cell_of, numbers, work_of
from support.grid import clean_environment

import samplers
from bench import references
from bench.studies import executors
from bench.studies.by_value import arrive, carry
from bench.studies.code import code_digest
from bench.studies.run_cell import run_task

CELL = '''
from __future__ import annotations
from typing import Literal
import torch.nn.functional as F
import samplers
from samplers import Negatives, Sampler

FIRST = 1

def some(view, K):
    """Of the pool."""
    return view.pool(K + FIRST)[:, FIRST:]

@samplers.register("mine")
class Mine(Sampler):
    """Mine."""

    def __init__(self, *, K: int = 1, kind: Literal["a", "b"] = "a") -> None:
        self.K = K

    def sample(self, views):
        super().after_step(views)
        return [Negatives(ids=some(view, self.K)) for view in views]

samplers.variant("mine-2", "mine", "Two of mine.", K=2)
'''

SCRIPT = (
    CELL
    + """
import contextlib
from beside import HALF
from bench.studies import executors
from support.cells import cell_of, numbers, work_of

@samplers.register("far")
class Far(Mine):
    "Uses a module beside the script."
    def sample(self, views):
        return [Negatives(ids=view.pool(HALF)) for view in views]

cells = [cell_of("mine", K=1, kind="a"), cell_of("mine-2", K=2, kind="a"),
         cell_of("far", K=1, kind="a"), cell_of("uniform")]
here = numbers(executors.run(work_of(cells), executors.Here("cpu")))
with contextlib.closing(executors.Processes(["cpu"] * 2, 1)) as engine:
    assert numbers(executors.run(work_of(cells), engine)) == here
print("the same", len(here))
"""
)


@pytest.fixture
def notebook(monkeypatch):
    """Runs cells as a notebook does: in one namespace, called ``__main__``, without a file."""
    for name in ("_classes", "_variants"):
        samplers.registry.names()
        monkeypatch.setattr(samplers.registry, name, dict(getattr(samplers.registry, name)))
    space = {"__name__": "__main__"}
    return lambda text: exec(text, space)


def mine(name="mine"):
    return cell_of(name, **samplers.registry.resolve(name, {}))


def test_a_script_trains_its_own_classes_in_two_processes(tmp_path):
    (tmp_path / "beside.py").write_text("HALF = 5\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = clean_environment()
    environment["PYTHONPATH"] += f":{ROOT / 'tests'}"
    run = forked.run(["script.py"], tmp_path, environment, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "the same 4\n"


def test_a_notebook_trains_its_own_classes_and_what_became_of_them(notebook):
    with contextlib.closing(executors.Processes(["cpu"], 1)) as engine:
        found = []
        for text in (CELL, "FIRST = 2", CELL.replace("K + FIRST", "K + 1")):
            notebook(text)
            here = numbers(executors.run(work_of([mine(), mine("mine-2")]), executors.Here("cpu")))
            there = numbers(executors.run(work_of([mine(), mine("mine-2")]), engine))
            assert there == here
            found.append(here[mine().key])
        assert found[0] != found[1]


REFERENCE = """
import numpy as np
from bench import references

@references.register("mine")
class First(references.Reference):
    "The first items of the catalogue."
    def fit(self, data):
        self.n_items = data.n_items
    def scores(self, items, offsets, users):
        return np.tile(-np.arange(self.n_items + 1.0), (len(users), 1))
"""


def test_a_notebook_s_reference_is_counted_by_workers_too(notebook, monkeypatch):
    references.registry.names()
    monkeypatch.setattr(references.registry, "_classes", dict(references.registry._classes))
    notebook(REFERENCE)
    work = work_of([cell_of("uniform")])
    with contextlib.closing(executors.Processes(["cpu"], 1)) as engine:
        (there,) = executors.run(work, engine)
    (here,) = executors.run(work, executors.Here("cpu"))
    assert there.result.data["references"]["mine"] == here.result.data["references"]["mine"]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""Of the pool."""', '"""Some."""  # of them', True),
        ("@samplers.register", "\n\n@samplers.register", True),
        ("FIRST = 1", "FIRST = 2", False),
        ("FIRST = 1", "FIRST = 1.0", False),
        ("view.pool(K + FIRST)", "view.pool(K - FIRST)", False),
        ("K: int = 1", "K: int = 3", False),
        ("import samplers\n", "import samplers\nOTHER = 1\n", True),
    ],
)
def test_what_a_notebook_s_class_means(notebook, old, new, same):
    notebook(CELL)
    before = code_digest(cell_of("mine"))
    assert old in CELL
    notebook(CELL.replace(old, new))
    assert (code_digest(cell_of("mine")) == before) == same


def test_arrays_that_a_class_reads_count(notebook):
    notebook(CELL)
    notebook("import numpy, torch")
    digests = set()
    for value in ("numpy.arange(3)", "numpy.arange(4)", "torch.arange(3)", "torch.zeros(3)"):
        notebook(f"FIRST = {value}")
        digests.add(code_digest(cell_of("mine")))
    assert len(digests) == 4


def test_what_its_modules_are_counts_where_it_arrives(notebook, monkeypatch):
    """A worker with another version of the project refuses a notebook's class too."""
    notebook(CELL)
    ((task, material),) = work_of([mine()])
    monkeypatch.setattr("bench.studies.modules.digests", lambda names: frozenset({"other"}))
    assert "other code" in run_task(task, material).error


def test_what_can_be_imported_is_not_carried(notebook):
    notebook(CELL)
    assert carry(cell_of("dns")) == ()
    assert [one.name for one in carry(mine("mine-2"))] == ["mine-2", "mine"]


def test_what_comes_back_to_its_own_process_is_left_alone(notebook):
    notebook(CELL)
    carried, cls = carry(mine()), samplers.registry.get("mine")
    sample = cls.sample
    arrive(carried)
    assert samplers.registry.get("mine") is cls
    assert cls.sample is sample
    arrive(replace(one, home="another process") for one in carried)
    assert cls.sample is not sample
    view = type("V", (), {"pool": lambda self, K: torch.zeros(2, K)})()
    arrived = samplers.registry.get("mine")(K=3)
    assert arrived.sample([view])[0].ids.shape == (2, 3)

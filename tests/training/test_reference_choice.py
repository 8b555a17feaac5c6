"""How a reference is chosen and tested, and how its numbers come into cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.cells import MATERIAL, cell_of, work_of

from bench import references
from bench.errors import UserError
from bench.metrics import SELECT_ON, accuracy
from bench.references.ranking import ranks
from bench.studies import compared_with, run_cell
from bench.training.references import measured

VALID, TEST = MATERIAL.valid, MATERIAL.test


class Favourite(references.Reference):
    """Recommends the targets of one part."""

    search_space = {"of": ["test", "valid"]}

    def __init__(self, *, of: str = "test") -> None:
        self.favourites = {"test": TEST, "valid": VALID}[of].targets

    def fit(self, data):
        self.n_items = data.n_items

    def scores(self, items, offsets, users):
        found = np.zeros((len(users), self.n_items + 1))
        found[:, self.favourites] = 1
        return found


@pytest.fixture
def register(monkeypatch):
    """Registers references for a test."""
    references.registry.names()
    monkeypatch.setattr(references.registry, "_classes", dict(references.registry._classes))
    monkeypatch.setattr(compared_with, "_measured", {})
    return lambda name, cls: references.registry.register(name)(cls)


def test_validation_chooses_and_test_is_read_once(register):
    register("favourite", Favourite)
    found = measured("favourite", MATERIAL.data, VALID, TEST)
    assert found.hyper == {"of": "valid"}  # the other would have been the best on test
    made = Favourite(of="valid")
    made.fit(MATERIAL.data)
    n_items = MATERIAL.data.n_items
    assert found.test == accuracy(ranks(made, TEST, n_items))
    assert found.valid == accuracy(ranks(made, VALID, n_items))[SELECT_ON]
    assert found.cpu_s > 0


def test_too_many_settings_are_refused(register):
    register("greedy", type("Greedy", (Favourite,), {
        "__doc__": "Greedy.", "search_space": {"of": [str(i) for i in range(9)]},
    }))  # fmt: skip
    with pytest.raises(UserError, match="'greedy': its search_space has 9 combinations"):
        measured("greedy", MATERIAL.data, VALID, TEST)


def test_cells_of_one_material_share_what_is_counted_once(register, monkeypatch):
    asked = []

    def counted(name, *parts):
        asked.append(name)
        return measured(name, *parts)

    monkeypatch.setattr(compared_with, "measured", counted)
    register("favourite", Favourite)
    (one, _), (two, _) = work_of([cell_of(), cell_of(seed=1)])
    results = [run_cell.run_cell(task, MATERIAL) for task in (one, two)]
    assert sorted(asked) == references.registry.names()
    assert results[0].data["references"] == results[1].data["references"]
    # Nothing is generated here, so that no truth is known, and what users have had is masked.
    left_out = ("oracle", "recency")
    assert list(results[0].data["references"]) == [n for n in sorted(asked) if n not in left_out]
    choice = results[0].data["reference_choices"]["favourite"]
    assert choice["hyper"] == {"of": "valid"}
    trial = run_cell.run_cell(one, replace(MATERIAL, key="a trial", test=None))
    assert len(asked) == len(references.registry.names())
    assert not {"references", "reference_choices"} & trial.data.keys()


def test_a_reference_that_fails_fails_before_anything_is_trained(register, monkeypatch):
    def broken(self, data):
        raise ArithmeticError("no counts today")

    register("broken", type("Broken", (Favourite,), {"__doc__": "Broken.", "fit": broken}))
    monkeypatch.setattr(run_cell, "fit", lambda *_: pytest.fail("trained"))
    (task, _) = work_of([cell_of()])[0]
    assert run_cell.run_task(task, MATERIAL).error == (
        "ArithmeticError: no counts today (test_reference_choice.py:92)"
    )

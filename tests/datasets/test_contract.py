"""What a plug-in's dataset must be: each mistake is one error that names it, before training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import dataset_of, exposures_of

from bench.datasets import DatasetSource
from bench.datasets.contract import loaded
from bench.errors import UserError

SEQUENCES = [[1, 2, 3, 4], [2, 5, 6], [7, 8, 1, 9, 3]]
GOOD = replace(dataset_of(SEQUENCES, times=[[1, 2, 2, 9], [1, 1, 1], [0, 5, 5, 5, 6]]), name="mine")
GOOD = replace(GOOD, synthetic=False, item_labels=np.array([*"abcdefghi"]))
SHOWN = exposures_of(GOOD)


class Source(DatasetSource):
    """Gives what a test puts here."""

    name = "mine"

    def __init__(self, given):
        self.given = given

    def load(self, data_dir):
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def with_(**fields):
    return replace(GOOD, **fields)


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


WRONG = [
    (None, "load() returned a NoneType; it must be a bench.datasets.Dataset"),
    (KeyError("user"), "load() failed, KeyError: 'user'"),
    (FileNotFoundError("no x.csv"), "load() failed, FileNotFoundError: no x.csv"),
    (with_(name="other"), "load() calls it 'other'"),
    (with_(synthetic=True), "load() says synthetic=True, the class does not"),
    (with_(n_items=0), "n_items is 0"),
    (with_(items=GOOD.items.tolist()), "items is a list; it must be a numpy array of integers"),
    (with_(items=GOOD.items.astype(float)), "items is float64 of shape [12]"),
    (with_(items=changed(GOOD.items, 4, 0)), "items hold 0; items are numbered from 1 to 9"),
    (with_(items=changed(GOOD.items, 4, 10)), "items hold 10; items are numbered from 1 to 9"),
    (with_(items=changed(GOOD.items, 4, -4)), "items hold -4"),
    (with_(offsets=GOOD.offsets[:-1]), "offsets must begin with 0 and end with 12"),
    (with_(offsets=GOOD.offsets + 1), "offsets must begin with 0"),
    (with_(offsets=changed(GOOD.offsets, 1, 8)), "offsets fall at place 2"),
    (with_(only_tested=3), "only_tested is 3, of 3 users"),
    (with_(times=GOOD.times[:5]), "times has 5 entries; it must have 12"),
    (with_(times=GOOD.times * np.nan), "times is float64"),
    (with_(times=changed(GOOD.times, 5, 0)), "times of user 1 go back"),
    (with_(user_labels=np.array(["a", "b"])), "user_labels has 2 entries; it must have 3"),
    (with_(user_labels=np.array([1, 2, 3])), "user_labels must be a numpy array of text"),
    (with_(item_labels=np.array(["a"] * 9)), "item_labels must all be different"),
    (with_(exposures=replace(SHOWN, items=0 * SHOWN.items)), "exposures.items hold 0"),
    (
        with_(exposures=replace(SHOWN, positions=SHOWN.positions[1:])),
        "exposures.positions has 23 entries; it must have 24",
    ),
    (
        with_(exposures=replace(SHOWN, offsets=np.array([0, 24]))),
        "exposures are of 1 users of 3",
    ),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_mistake_is_one_error_that_names_the_dataset(given, message):
    with pytest.raises(UserError) as error:
        loaded(Source(given), None)
    assert str(error.value).startswith(f"dataset 'mine': {message}")


def test_a_dataset_as_it_should_be_is_left_as_it_is():
    found = loaded(Source(replace(GOOD, exposures=SHOWN)), None)
    assert found.fingerprint == replace(GOOD, exposures=SHOWN).fingerprint
    small = replace(GOOD, items=GOOD.items.astype(np.uint8), offsets=GOOD.offsets.astype(np.int32))
    small = loaded(Source(small), None)
    assert (small.items.dtype, small.offsets.dtype) == (np.int32, np.int64)
    assert small.fingerprint == GOOD.fingerprint


def test_what_the_class_calls_generated_is_called_so_everywhere():
    class Generated(Source):
        synthetic = True

    assert loaded(Generated(GOOD), None).synthetic

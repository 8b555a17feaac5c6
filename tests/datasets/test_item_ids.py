"""What items are called in predictions."""

from __future__ import annotations

import numpy as np
import pytest

from bench.datasets.reading.item_ids import ItemIds
from bench.errors import UserError

OWN = ItemIds(4, np.array(["0", "sku-7", "162", "1"]))


@pytest.mark.parametrize(
    "ids",
    [
        ["162", "0", "1"],
        [162, 0, 1],
        [162.0, 0.0, 1.0],
        ["162.0", "0", "1.00"],
        [162, "0", 1.0],
        [b"162", b"0", b"1"],
    ],
)
def test_an_id_is_its_text_whatever_its_type(ids):
    array = np.array(ids, dtype=object if len({type(one) for one in ids}) > 1 else None)
    assert OWN.numbers("x", array).tolist() == [3, 1, 4]
    assert [OWN.name(number) for number in (3, 1, 4)] == ["162", "0", "1"]


def test_none_in_a_list_is_what_no_item_is_called():
    lists = np.array([["sku-7", "0", "-1"], ["", "1", None]], dtype=object)
    assert OWN.of_lists("x", lists).tolist() == [[2, 1, 0], [0, 4, 0]]
    assert ItemIds(3).of_lists("x", np.array([[3, 0, -1]])).tolist() == [[3, 0, 0]]


@pytest.mark.parametrize(
    ("ids", "given", "message"),
    [
        (OWN, ["2"], r"x, line 5: no item '2' among the 4 .* called like '0'"),
        (OWN, [np.nan], "no item ''"),
        (OWN, ["1.5"], r"no item '1\.5'"),
        (ItemIds(3), [4], "no item '4' among the 3 .* numbers from 1"),
        (ItemIds(3), [0], "no item '0'"),
    ],
)
def test_what_is_no_item_is_an_error(ids, given, message):
    with pytest.raises(UserError, match=message):
        ids.numbers("x", np.array(given), first_line=5)
    with pytest.raises(UserError, match="no item '-2'"):
        ids.of_lists("x", np.array([[-2]]))

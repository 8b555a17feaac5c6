"""Amazon reviews, 2014 edition: Beauty, Toys, Sports, Health."""

from __future__ import annotations

import ast
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.datasets.base import register
from bench.datasets.official import Counts, OfficialSource
from bench.datasets.reading import files
from bench.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MAX_REVIEW = 2**18
"""Bytes; a Python literal takes some 500 times as much memory while it is read."""

LATEST = 2**53
FIELDS = {"reviewerID": "user", "asin": "item", "unixReviewTime": "time"}


class Amazon(OfficialSource):
    """5-core reviews of one category; every review counts, whatever its rating."""

    notes: ClassVar[tuple[str, ...]] = (
        "time stamps are days; same-day items stand in file order, so 'next' is partly arbitrary",
    )
    licence = "no licence text; distributed for research, the authors ask for citation"
    citation = "He & McAuley, WWW 2016; McAuley et al., SIGIR 2015"

    def events(self, raw: Path) -> pd.DataFrame:
        """One record a line, JSON or a Python literal; see `OfficialSource.events`."""
        import pandas as pd

        with files.open_text(raw, MAX_REVIEW) as file:
            lines = io.TextIOWrapper(file, "utf-8")
            rows = [_fields(raw, number, line) for number, line in enumerate(lines, 1)]
        return pd.DataFrame(rows, columns=list(FIELDS.values()))


def _fields(raw: Path, number: int, line: str) -> list[Any]:
    try:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = ast.literal_eval(line)
        user, item, time = (record[name] for name in FIELDS)
        if type(time) is not int or abs(time) > LATEST:
            raise ValueError("its time is not in unix seconds")
        texts = [str(user), str(item)]
        "".join(texts).encode()  # JSON can name what is no character
        return [*texts, time]
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise UserError(
            f"{raw}, line {number}: expected a review with {', '.join(FIELDS)} "
            f"({files.last_line(error)[:80]}); delete the file and fetch again"
        ) from error


def _url(category: str) -> str:
    return (
        "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
        f"reviews_{category}_5.json.gz"
    )


@register("beauty")
class Beauty(Amazon):
    """Amazon Beauty, 2014, 5-core."""

    published = expected = Counts(22_363, 12_101, 198_502)
    url = _url("Beauty")


@register("toys")
class Toys(Amazon):
    """Amazon Toys and Games, 2014, 5-core."""

    published = expected = Counts(19_412, 11_924, 167_597)
    url = _url("Toys_and_Games")


@register("sports")
class Sports(Amazon):
    """Amazon Sports and Outdoors, 2014, 5-core."""

    published = expected = Counts(35_598, 18_357, 296_337)
    url = _url("Sports_and_Outdoors")


@register("health")
class Health(Amazon):
    """Amazon Health and Personal Care, 2014, 5-core."""

    published = Counts(66_519, 28_237, 485_163)
    expected = Counts(38_609, 18_534, 346_355)
    difference = (
        "Table 2 prints Amazon Home and Kitchen (551,682 interactions, less one a user); the "
        "paper's logs used Health and Personal Care, which this is"
    )
    notes = (
        *Amazon.notes,
        difference,
        "the paper's logs split it 80/10/10, not 70/20/10",
    )
    url = _url("Health_and_Personal_Care")

"""Which columns of a table are users, items and times."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import UserError
from bench.registry import suggest

NAMES = {
    "user": ("user", "userid", "uid", "usr", "customer", "customerid", "client", "clientid",
             "member", "memberid", "buyerid", "accountid", "reviewerid", "visitor", "visitorid",
             "fullvisitorid", "viewerid", "listenerid", "playerid", "session", "sessionid"),
    "item": ("item", "itemid", "iid", "product", "productid", "sku", "skuid", "goodsid", "movie",
             "movieid", "asin", "parentasin", "article", "articleid", "newsid", "contentid",
             "video", "videoid", "track", "trackid", "song", "songid", "artist", "artistid",
             "book", "bookid", "isbn", "game", "gameid", "appid", "business", "businessid",
             "venueid", "poiid", "recipeid"),
    "time": ("time", "timestamp", "ts", "datetime", "date", "timems", "timestampms", "eventtime",
             "eventdate", "eventtimestamp", "unixtime", "unixtimestamp", "unixreviewtime",
             "epoch", "createdat", "clicktime", "orderdate", "purchasedate", "watchedat"),
}  # fmt: skip
"""Usual names; case, ``_``, ``-``, spaces and RecBole's ``:token`` do not count."""

KNOWN = {name for names in NAMES.values() for name in names}

MISSING = {"", "nan", "nat", "null", "none", "<na>"}
"""What stands for nothing, in any case."""

SHOWN = 20
"""Columns that an error names."""


@dataclass(frozen=True)
class Columns:
    """Of a table.

    Attributes:
        places: ``user``, ``item`` and, if there is one, ``time``, to the number of the column.
        names: of all columns; numbers, where the table has no header.
    """

    places: dict[str, int]
    names: list[str]

    def place(self, column: str, option: str) -> int:
        """The number of the column that an option names.

        Raises:
            UserError: there is none, or several.
        """
        return place(self.names, column, option)

    def described(self) -> str:
        """Which is what."""
        return ", ".join(f"{role}={self.names[at]}" for role, at in self.places.items())


def plain(name: str) -> str:
    """A column's name as `NAMES` has it."""
    word = name.partition(":")[0].strip().casefold()
    return word.replace("_", "").replace("-", "").replace(" ", "")


def columns_of(
    path: Path, names: Sequence[str], given: Mapping[str, str] | None, unnamed: Sequence[str] = ()
) -> Columns:
    """Find users, items and times among a table's columns.

    Args:
        path: what errors call the table.
        names: of its columns; numbers from 0 where it has no header.
        given: role to a column's name or number, which comes before usual names; None where
            nobody can be asked for that, so that errors ask for other names.
        unnamed: the first row of a table without header.

    Raises:
        UserError: one of them is not there, there are several by its name, or it holds lists.
    """
    for name in names:
        if _is_list(name):
            raise UserError(
                f"{path}: column {name[:40]!r} holds lists; write a row for each interaction "
                "(user, item, time)"
            )
    places = {
        role: place(names, column, f"{path}: --columns {role}={column}")
        for role, column in (given or {}).items()
    }
    for role, accepted in NAMES.items():
        if role in places:
            continue
        found = [i for i, name in enumerate(names) if not unnamed and plain(name) in accepted]
        found = [i for i in found if i not in places.values()]
        if len(found) > 1:
            _refuse_several(
                path, role, [names[i] for i in found], found if given is not None else []
            )
        if found:
            places[role] = found[0]
        elif role != "time":
            raise UserError(_no_column(path, role, names, unnamed, given is not None))
    twice = [role for role, at in places.items() if list(places.values()).count(at) > 1]
    if twice:
        raise UserError(
            f"{path}: --columns: column {names[places[twice[0]]]!r} cannot be "
            f"{' and '.join(twice)} at once"
        )
    return Columns({role: places[role] for role in NAMES if role in places}, list(names))


def place(names: Sequence[str], column: str, option: str) -> int:
    """The number of the column that an option names: by its name, that in another spelling, or a
    number from 0.

    Raises:
        UserError: there is none, or several.
    """
    for spelt in (str, plain):
        found = [i for i, name in enumerate(names) if spelt(name) == spelt(column)]
        if len(found) > 1:
            raise UserError(
                f"{option}: {len(found)} columns are called {column!r}; give the number of one, "
                f"{' or '.join(map(str, found))}"
            )
        if found:
            return found[0]
    if column.isdecimal() and column.isascii():
        if int(column) < len(names):
            return int(column)
        raise UserError(
            f"{option}: there are {len(names)} columns, numbered from 0 to {len(names) - 1}"
        )
    raise UserError(f"{option}: no column {column!r}{suggest(column, list(names))}")


def _refuse_several(
    path: Path, role: str, names: list[str], places: list[int] | Literal[False]
) -> None:
    both = " and ".join(map(repr, names))
    if places is False:
        raise UserError(f"{path}: {both} may both be the {role}; keep one")
    choices: list[str] = names if len({*names}) == len(names) else [str(i) for i in places]
    raise UserError(
        f"{path}: {both} may both be the {role}; say which with "
        f"{' or '.join(f'--columns {role}={one}' for one in choices)}"
    )


def _no_column(
    path: Path, role: str, names: Sequence[str], unnamed: Sequence[str], option: bool
) -> str:
    if len(names) < 2:
        return (
            f"{path}: no column of {role}s: all there is is "
            f"{shown(unnamed or names) or 'nothing'}; between columns stands a tab, a comma, a "
            "semicolon, a bar, '::' or a space"
        )
    if unnamed:
        timed = next((i for i, value in enumerate(unnamed) if i > 1 and is_time(value)), None)
        example = "user=0,item=1" + ("" if timed is None else f",time={timed}")
        return (
            f"{path}: its first line ({shown(unnamed)}) is taken for a row, as no name in it is "
            f"known; say which columns are what by their numbers, such as --columns {example}, or "
            "by their names if it is a header"
        )
    remedy = f"say which it is with --columns {role}=NAME" if option else f"call it {role!r}"
    return f"{path}: no column of {role}s; its columns are {shown(names)}; {remedy}"


def _is_list(name: str) -> bool:
    """Whether RecBole's type, or the name, says that a user's or an item's column holds lists."""
    base, _, kind = name.partition(":")
    word = plain(base)
    said = kind.strip().endswith("_seq") or word.endswith("list")
    return said and word.removesuffix("list") in NAMES["user"] + NAMES["item"]


def is_time(value: str) -> bool:
    """Whether a value looks like a time: a number of seconds or finer, or a date."""
    return (
        re.match(r"\s*([0-9]{9,19}(\.[0-9]*)?\s*$|[0-9]{4}-[0-9]{2}-[0-9]{2})", value) is not None
    )


def shown(names: Sequence[str]) -> str:
    """So many names as an error can show."""
    some = ", ".join(name[:40] for name in names[:SHOWN])
    return f"{some}, ..." if len(names) > SHOWN else some

"""How a log of one's own is to be read: which columns, which rows, how many of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import json_shape
from bench.errors import UserError

ROLES = ("user", "item", "time")

REPEATS = ("keep", "drop-consecutive", "first")
"""What becomes of an item that its user has had: all stay; those right after themselves go; only
the first stays."""

OPERATORS = ("!=", ">=", "<=", "==", "=", ">", "<")

SHAPE = {
    "columns": {str: json_shape.text},
    "where": [json_shape.text],
    "min_count": json_shape.whole,
    "repeats": json_shape.one_of(*REPEATS),
}
"""Of `Reading.config`."""


@dataclass(frozen=True)
class Condition:
    """A condition on a column, as ``--where`` has it: ``event=purchase``, ``rating>=4``.

    Attributes:
        text: the whole of it.
        column: a name, or a number from 0.
        operator: ``=``, ``!=``, ``>=``, ``<=``, ``>`` or ``<``.
        value: a number, for which numbers are compared; with ``=`` and ``!=`` a text, too; an empty
            one is met by what stands for nothing.
    """

    text: str
    column: str
    operator: str
    value: str

    @classmethod
    def parsed(cls, text: str) -> Condition:
        """Of ``column``, operator, value.

        Raises:
            UserError: there is no operator, no column, or what is to be compared is no number.
        """
        found = re.fullmatch(rf"(.+?)({'|'.join(OPERATORS)})(.*)", text, re.DOTALL)
        if not found:
            raise UserError(
                f"--where {text}: expected a column, one of {' '.join(sorted({*OPERATORS}))} and a "
                "value, such as 'rating>=4' or 'event=purchase'"
            )
        column, operator, value = (part.strip() for part in found.groups())
        made = cls(text, column, "=" if operator == "==" else operator, value)
        if made.operator not in ("=", "!=") and made.number is None:
            raise UserError(
                f"--where {text}: {made.operator} compares numbers, and {value!r} is none; texts "
                "are compared by = and !="
            )
        return made

    @property
    def number(self) -> float | None:
        """The value, if it is a number."""
        return float(self.value) if re.fullmatch(_NUMBER, self.value) else None


_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"


@dataclass(frozen=True)
class Reading:
    """How logs of one's own are read.

    Attributes:
        columns: ``user``, ``item`` and ``time`` to a column's name, or its number from 0; what is
            not named is found by usual names.
        where: conditions that a row must meet, all of them.
        min_count: users and items with fewer interactions are left out, until none is (k-core).
        repeats: one of `REPEATS`; applied before users and items are counted.
    """

    columns: tuple[tuple[str, str], ...] = ()
    where: tuple[str, ...] = ()
    min_count: int = 1
    repeats: str = REPEATS[0]

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise UserError(f"--min-count {self.min_count}: must be at least 1")
        if self.repeats not in REPEATS:
            raise UserError(f"--repeats {self.repeats}: expected {', '.join(REPEATS)}")
        wrong = [role for role, _ in self.columns if role not in ROLES]
        if wrong:
            raise UserError(f"--columns: {wrong[0]!r} is none of {', '.join(ROLES)}")
        for text in self.where:
            Condition.parsed(text)

    @classmethod
    def of(
        cls,
        columns: str | Mapping[str, str | int] | None = None,
        where: str | Sequence[str] = (),
        min_count: int | None = None,
        repeats: str | None = None,
    ) -> Reading:
        """From options, each of which may be left out.

        Args:
            columns: ``{"user": "customer", "time": 3}``, or ``user=customer,time=3``.
            where: conditions.
            min_count: see `Reading`.
            repeats: see `Reading`.

        Raises:
            UserError: impossible values.
        """
        pairs = columns or {}
        if isinstance(pairs, str):
            words = [word.partition("=") for word in pairs.split(",")]
            if not all(equals and name.strip() for _, equals, name in words):
                raise UserError(
                    f"--columns {columns}: expected user=NAME,item=NAME,time=NAME, or numbers from "
                    "0 in place of names"
                )
            roles = [role.strip() for role, _, _ in words]
            if len({*roles}) < len(roles):
                raise UserError(f"--columns {columns}: a role is named twice")
            pairs = {role: name.strip() for role, (_, _, name) in zip(roles, words, strict=True)}
        return cls(
            tuple(sorted(((role, str(name)) for role, name in pairs.items()), key=_place)),
            (where,) if isinstance(where, str) else tuple(where),
            1 if min_count is None else min_count,
            REPEATS[0] if repeats is None else repeats,
        )

    @property
    def named(self) -> dict[str, str]:
        """Role to the column given for it."""
        return dict(self.columns)

    @property
    def conditions(self) -> list[Condition]:
        return [Condition.parsed(text) for text in self.where]

    def words(self) -> list[str]:
        """The options that say the same; none where all is as usual."""
        columns = ",".join(f"{role}={name}" for role, name in self.columns)
        given = ["--columns", columns] if columns else []
        for text in self.where:
            given += ["--where", text]
        given += ["--min-count", str(self.min_count)] if self.min_count > 1 else []
        return given + (["--repeats", self.repeats] if self.repeats != REPEATS[0] else [])

    def config(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "columns": self.named, "where": list(self.where)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Reading:
        """The inverse of `config`, of JSON in `SHAPE`.

        Raises:
            UserError: impossible values.
        """
        return cls.of(**{name: config[name] for name in SHAPE})


def _place(pair: tuple[str, str]) -> int:
    """Where roles stand; what is none is refused later."""
    return ROLES.index(pair[0]) if pair[0] in ROLES else len(ROLES)


USUAL = Reading()
"""By usual names, every row."""

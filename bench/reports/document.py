"""What a report says, once: typed parts, of which Markdown, LaTeX, CSV and the page are renderings.

No part knows how it is written down; no rendering knows what it is about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd


@dataclass(frozen=True)
class Code:
    """Letters that stand for themselves within a text: a file's name, a registered one."""

    text: str


@dataclass(frozen=True)
class Emphasis:
    """Words that stand out within a text."""

    text: str


Text = str | tuple[str | Code | Emphasis, ...]
"""Plain text, or pieces of which some are marked; nothing in a text is ever parsed."""


def pieces(text: Text) -> tuple[str | Code | Emphasis, ...]:
    """A text's pieces; of plain text the one."""
    return (text,) if isinstance(text, str) else text


@dataclass(frozen=True)
class Heading:
    """Begins a section; the document's title is of level 1."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    text: Text


@dataclass(frozen=True)
class Warned:
    """What stands between a report's numbers and a conclusion; pages have it in their summary."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list, which has at least one item."""

    items: Sequence[Text]


Mark = Literal["", "best", "second", "reference"]


@dataclass(frozen=True)
class Number:
    """A number in a table.

    Attributes:
        value: NaN where there is none.
        pattern: by which it is written.
        mark: its place in its row; a reference is nobody's result, and has none.
        margin: half the width of an interval around it; NaN where there is none.
        worse: whether it is significantly below the best of its row.
    """

    value: float
    pattern: str = "{:.4f}"
    mark: Mark = ""
    margin: float = math.nan
    worse: bool = False

    @property
    def missing(self) -> bool:
        return math.isnan(self.value)

    @property
    def text(self) -> str:
        """As it is written, less the mark and the margin; only where it is not missing."""
        return self.pattern.format(self.value)


Value = str | Number


@dataclass(frozen=True)
class Print:
    """How a table is printed where it stands by itself.

    Attributes:
        caption: complete.
        header: of the first columns, where print names them otherwise.
        notes: below the table.
    """

    caption: str
    header: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Table:
    """A table, whose columns are of text first and then of numbers.

    Attributes:
        caption: what it shows, in short.
        header: a name a column.
        rows: a value a column; a text among numbers is of numbers, or says why there is none.
        n_text: how many of the first columns are text.
        last_is_text: whether the last one is again.
        kept: columns that name a row, which a screen keeps in sight.
        wrapped: columns of long texts.
        printed: tables without it are not.
        across: what its columns of numbers are of, in a word; a table that says so can be turned.
        keys: of each column of numbers what its header says in one, from the whole to the part:
            ``("beauty", "NG@10")``; empty where that has one part.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Value]]
    n_text: int
    last_is_text: bool = False
    kept: Sequence[int] = (0,)
    wrapped: Sequence[int] = ()
    printed: Print | None = None
    across: str = ""
    keys: Sequence[tuple[str, ...]] = ()

    def is_text(self, column: int) -> bool:
        last = len(self.header) - 1
        return column < self.n_text or (self.last_is_text and column == last)


@dataclass(frozen=True)
class Picture:
    """A figure as it was drawn.

    Attributes:
        name: of its files, without a suffix.
        caption: what it shows, also for those who do not see it.
        png, svg, pdf: the contents of its files; empty of those that were not asked for.
    """

    name: str
    caption: str
    png: bytes = b""
    svg: bytes = b""
    pdf: bytes = b""

    @property
    def files(self) -> dict[str, bytes]:
        """Name to content of its files, that which a screen shows first."""
        contents = {".png": self.png, ".svg": self.svg, ".pdf": self.pdf}
        return {f"{self.name}{suffix}": content for suffix, content in contents.items() if content}


Part = Heading | Paragraph | Warned | Bullets | Table | Picture


@dataclass(frozen=True)
class Document:
    """A report on one thing.

    Attributes:
        name: of its files, without a suffix.
        title: its only heading of level 1.
        parts: in their order.
        synthetic: whether it is of generated data alone.
        data: the numbers that it is about, if they are a file too.
        computed: whether they are computed rather than stored ones: processors add up in other
            orders, so that their last digits are left out.
        verdict: what all of it comes to, a sentence each; comes first.
    """

    name: str
    title: str
    parts: Sequence[Part]
    synthetic: bool = False
    data: pd.DataFrame | None = None
    computed: bool = True
    verdict: Sequence[str] = ()

    @property
    def warnings(self) -> list[str]:
        return [part.text for part in self.parts if isinstance(part, Warned)]

    @property
    def pictures(self) -> list[Picture]:
        return [part for part in self.parts if isinstance(part, Picture)]

"""What samplers, datasets, backbones and metrics are called in print, in place of their names."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import json_shape
from bench.errors import UserError
from bench.files import read_limited, why
from bench.metrics import METRICS

KINDS = ("samplers", "datasets", "backbones", "metrics")
MAX_FILE = 2**20
"""Bytes of a file of names."""

BEFORE, BEHIND = r"(?<![\w@+.-])", r"(?![\w@+-])"
"""What is not part of a name that stands within a text: ``dns`` is not in ``dns+``."""


@dataclass(frozen=True)
class Printed:
    """How a name is printed.

    Attributes:
        text: wherever LaTeX is not: in figures and Markdown.
        latex: in LaTeX, as it is; None for the text, escaped.
    """

    text: str
    latex: str | None = None


def seen(value: object) -> bool:
    """A text that shows."""
    return json_shape.text(value) and bool(str(value).strip())


SHAPE = {str: (seen, {"text": seen, "latex": (..., seen)})}


@dataclass(frozen=True)
class Names:
    """Names to what is printed in their place.

    ``dns+`` renames ``dns+ (M=5)`` too, to what is printed for it with `` (M=5)`` behind.

    Attributes:
        printed: by name, of whatever kind.
        kept: names that stay, though one that is printed otherwise is a part of them.
    """

    printed: Mapping[str, Printed] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """Any of the names, the longest first."""
        known = sorted({*self.printed, *self.kept}, key=len, reverse=True)
        if not self.printed:
            return None
        return re.compile(f"{BEFORE}(?:{'|'.join(map(re.escape, known))}){BEHIND}")

    def pieces(self, text: str) -> Iterator[str | Printed]:
        """A text, in which names have given way to what is printed for them."""
        end = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            if match[0] in self.printed:
                yield text[end : match.start()]
                yield self.printed[match[0]]
                end = match.end()
        yield text[end:]

    def text(self, text: str) -> str:
        """A text with its names as they are printed in figures and Markdown."""
        return "".join(
            piece.text if isinstance(piece, Printed) else piece for piece in self.pieces(text)
        )

    @functools.cached_property
    def in_latex(self) -> Names:
        """What is printed, to how LaTeX prints it, where that is given."""
        return Names({one.text: one for one in self.printed.values() if one.latex is not None})

    def unused(self, texts: Iterable[str]) -> list[str]:
        """The names that none of the texts has."""
        found = {match[0] for text in texts for match in re.finditer(self._pattern or "(?!)", text)}
        return [name for name in self.printed if name not in found]

    def keeping(self, names: Iterable[str]) -> Names:
        """The same, but for these names."""
        return replace(self, kept=(*self.kept, *names))


def names_of(tables: Mapping[str, Mapping[str, str | Mapping[str, str]]]) -> Names:
    """Names from a table a kind, as `read_names` finds them in a file.

    Args:
        tables: ``samplers``, ``datasets``, ``backbones`` or ``metrics`` to name to a text, or to
            ``{"text": ..., "latex": ...}``.

    Raises:
        UserError: another kind, a metric that tables do not have, or a name of two kinds.
    """
    return _names(tables, "names")


def read_names(path: Path) -> Names:
    """Names of a TOML file, which has a table a kind.

    Raises:
        UserError: it cannot be read, or is not such a file.
    """
    where = f"--names {path}"
    try:
        tables = tomllib.loads(read_limited(path, MAX_FILE))
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({why(error)})") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise UserError(f"{where}: not TOML ({error})") from error
    return _names(tables, where)


def _names(tables: Mapping[str, Any], where: str) -> Names:
    if strange := sorted(set(tables) - set(KINDS)):
        raise UserError(
            f"{where}: no kind of names is called {', '.join(strange)}; tables are [samplers], "
            "[datasets], [backbones] and [metrics]"
        )
    found: dict[str, Printed] = {}
    for kind, table in tables.items():
        try:
            json_shape.check(table, SHAPE, f"[{kind}]")
        except ValueError as error:
            raise UserError(
                f'{where}: {error}; a line is NAME = "text", or NAME = {{text = "text", latex = '
                '"LaTeX"}'
            ) from error
        for name, given in table.items():
            one = Printed(given) if isinstance(given, str) else Printed(**given)
            for spelt in _spellings(kind, name, where):
                if found.setdefault(spelt, one) != one:
                    raise UserError(f"{where}: {name!r} is of two kinds; name it once")
    return Names(found)


def _spellings(kind: str, name: str, where: str) -> list[str]:
    """A name as reports have it; a metric is called otherwise in tables and in figures."""
    if kind != "metrics":
        return [name]
    if name not in METRICS:
        raise UserError(f"{where}: no metric {name!r}; there are {', '.join(METRICS)}")
    return [name, METRICS[name], name.upper()]

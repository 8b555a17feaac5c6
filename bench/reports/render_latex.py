"""A document's tables for LaTeX, which needs booktabs.

They fit a two-column paper (`bench.reports.latex_layout`): a column where they can, else both, in
``table*``; a table that is too wide or too high for that is split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.reports.document import Document, Number, Print, Table, Value
from bench.reports.latex_layout import (
    GAP,
    LEADING,
    LONGEST,
    NARROW,
    SIZES,
    Grid,
    alike,
    broken,
    column_width,
    layout,
    values_width,
)
from bench.reports.names import Names, Printed

PREAMBLE = "% needs \\usepackage{booktabs}"
MISSING = "--"
MARKS = {"best": "\\textbf{{{}}}", "second": "\\underline{{{}}}"}
ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {"±": r"$\pm$", "†": r"$^\dagger$", "∞": r"$\infty$", "×": r"$\times$", "–": "--"}
)


def latex(document: Document, names: Names | None = None) -> str:
    """The tables that are printed, in a file to be read by ``\\input``; empty where none is.

    Args:
        document: with names as they are printed.
        names: of those, what LaTeX has in their place; see `Names.in_latex`.
    """
    writer = _Writer(names or Names())
    lines = [
        line
        for part in document.parts
        if isinstance(part, Table) and part.printed is not None
        for line in writer.table(part, part.printed)
    ]
    return "\n".join([PREAMBLE, *lines]) if lines else ""


@dataclass(frozen=True)
class _Tail:
    """What numbers of a column have behind them: half an interval, the mark of what is worse."""

    margin: bool
    worse: bool

    @classmethod
    def of(cls, column: Sequence[Value]) -> _Tail:
        numbers = [value for value in column if isinstance(value, Number) and not value.missing]
        return cls(
            any(not math.isnan(number.margin) for number in numbers),
            any(number.worse for number in numbers),
        )


@dataclass(frozen=True)
class _Writer:
    """Writes tables.

    Attributes:
        names: see `latex`.
    """

    names: Names

    def table(self, table: Table, printed: Print) -> Iterator[str]:
        """Lines of a table, in as many floats as it takes, which have one number."""
        found = layout(table)
        name = "table*" if found.wide else "table"
        floats = list(found.floats())
        for place, pieces in enumerate(floats):
            yield from (f"\\begin{{{name}}}", "\\centering", "\\emergencystretch=3em")
            if place:
                yield "\\addtocounter{table}{-1}"
            yield f"\\caption{{{self.escaped(printed.caption)}{' (continued)' * bool(place)}}}"
            yield f"\\par\\smallskip{_size(found.size)}"
            yield f"\\setlength{{\\tabcolsep}}{{{GAP / 2:g}pt}}"
            for number, piece in enumerate(pieces):
                yield from ["\\par\\medskip"] * bool(number)
                yield from self.tabular(piece, table)
            if place == len(floats) - 1:
                for note in printed.notes:
                    yield f"\\par\\raggedright{_size(SIZES[-1])} {self.escaped(note)}"
            yield from (f"\\end{{{name}}}", "")

    def tabular(self, grid: Grid, table: Table) -> Iterator[str]:
        """Lines of a tabular; a rule stands where the first name changes, if there are several.

        Names are not repeated while they stay the same.
        """
        n_names = len(grid.stub)
        aligned = ["r"] * len(grid.keys)
        if table.last_is_text and not table.keys and aligned:
            aligned[-1] = "l"
        yield f"\\begin{{tabular}}{{@{{}}{'l' * n_names}{''.join(aligned)}@{{}}}}"
        yield "\\toprule"
        yield from self.header(grid)
        tails = [_Tail.of(column) for column in zip(*grid.values, strict=True)]
        previous = ("",) * n_names
        for names, values in zip(grid.names, grid.values, strict=True):
            if previous == ("",) * n_names or (n_names > 1 and names[0] != previous[0]):
                yield "\\midrule"
            same = 0
            while same < n_names - 1 and names[same] == previous[same]:
                same += 1
            shown = [self.stack(broken(name, LONGEST), "l") for name in names[same:]]
            numbers = map(self.value, values, tails)
            yield " & ".join([*[""] * same, *shown, *numbers]) + " \\\\"
            previous = names
        yield from ("\\bottomrule", "\\end{tabular}")

    def header(self, grid: Grid) -> Iterator[str]:
        """A line a level of the keys, those of several columns over a rule."""
        n_names, columns = len(grid.stub), range(len(grid.keys))
        depth = len(grid.keys[0]) if grid.keys else 1
        for level in range(1, depth):
            cells, rules, at = [""] * n_names, "", n_names + 1
            for part in alike(grid.keys, columns, level):
                room = max(NARROW, sum(column_width(grid, j) for j in part))
                lines = self.stack(broken(grid.keys[part[0]][level - 1], room), "c")
                cells.append(f"\\multicolumn{{{len(part)}}}{{c}}{{{lines}}}")
                rules += f"\\cmidrule(lr){{{at}-{at + len(part) - 1}}}"
                at += len(part)
            yield from (" & ".join(cells) + " \\\\", rules)
        leaves = [
            self.stack(broken(grid.keys[j][-1], max(values_width(grid, j), NARROW)), "r")
            for j in columns
        ]
        yield " & ".join([*map(self.escaped, grid.stub), *leaves]) + " \\\\"

    def stack(self, lines: Sequence[str], aligned: str) -> str:
        """Lines one below the other in one cell."""
        if len(lines) == 1:
            return self.escaped(lines[0])
        inner = "\\\\".join(map(self.escaped, lines))
        return f"\\begin{{tabular}}[t]{{@{{}}{aligned}@{{}}}}{inner}\\end{{tabular}}"

    def value(self, value: Value, tail: _Tail) -> str:
        """A value, with room for what others of its column have behind them, so that numbers stand
        below each other."""
        if isinstance(value, str) or value.missing:
            return self.escaped(value) if isinstance(value, str) else MISSING
        text = MARKS.get(value.mark, "{}").format(self.escaped(value.text))
        if tail.margin:
            known = not math.isnan(value.margin)
            margin = f" $\\pm$ {value.margin:.4f}" if known else " $\\pm$ 0.0000"
            text += margin if known else f"\\phantom{{{margin}}}"
        if tail.worse:
            text += "$^\\dagger$" if value.worse else "\\phantom{$^\\dagger$}"
        return text

    def escaped(self, text: str) -> str:
        """A text as LaTeX prints it."""
        return "".join(
            piece.latex or "" if isinstance(piece, Printed) else piece.translate(ESCAPES)
            for piece in self.names.pieces(text)
        )


def _size(points: float) -> str:
    return f"\\fontsize{{{points:g}}}{{{LEADING * points:.1f}}}\\selectfont"

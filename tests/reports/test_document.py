"""One document, and what each of its renderings makes of it."""

from __future__ import annotations

import math

import pandas as pd

from bench.reports.document import (
    Bullets,
    Code,
    Document,
    Emphasis,
    Heading,
    Number,
    Paragraph,
    Picture,
    Print,
    Table,
)
from bench.reports.render_latex import latex
from bench.reports.render_markdown import markdown
from bench.reports.tables import places
from bench.reports.writing import document_files

ROWS = [
    ["a|b", "x_1", Number(0.5, mark="best", margin=0.01), "<0.001", "<b>"],
    ["a|b", "x_2", Number(0.25, mark="second", worse=True), Number(math.nan), "-"],
    ["c", "x_2", Number(1234.5, "{:,.0f}", mark="reference"), Number(50, "{:.0f} %"), "c"],
]
TABLE = Table(
    "A caption",
    ["name", "of", "value", "p", "note"],
    ROWS,
    n_text=2,
    last_is_text=True,
    printed=Print("50 % of it", header=["Name"], notes=["a & b"]),
)
DOCUMENT = Document(
    "name",
    "A <b>title</b>",
    [
        Paragraph(("Plain, ", Code("code"), " and ", Emphasis("more"), ".")),
        Picture("drawn", "seen", b"png", b"svg"),
        Heading("Below"),
        TABLE,
        Heading("Again", level=1),
        Bullets(["one < 2", ("two ", Code("x"))]),
    ],
    data=pd.DataFrame({"value": [1 / 3]}),
)


def test_markdown():
    assert (
        markdown(DOCUMENT)
        == """\
# A &lt;b>title&lt;/b>

Plain, `code` and *more*.

![seen](drawn.png)

## Below

| name | of | value | p | note |
|---|---|--:|--:|---|
| a\\|b | x_1 | **0.5000** ± 0.0100 | <0.001 | &lt;b> |
| a\\|b | x_2 | <u>0.2500</u> † | – | - |
| c | x_2 | 1,234 | 50 % | c |

# Again

- one < 2
- two `x`
"""
    )


def test_latex_holds_the_tables_that_are_printed():
    found = latex(DOCUMENT)
    assert found.count(r"\begin{table}") == 1
    assert r"\begin{tabular}{@{}llrrl@{}}" in found
    assert r"\caption{50 \% of it}" in found
    assert r"Name & of & value & p & note \\" in found
    # Numbers stand below each other: what one has behind it the others have room for.
    dagger, margin = r"\phantom{$^\dagger$}", r"\phantom{ $\pm$ 0.0000}"
    first = r"a\textbar{}b & x\_1 & \textbf{0.5000} $\pm$ 0.0100" + dagger
    assert first + r" & \textless{}0.001 &" in found
    second = r" & x\_2 & \underline{0.2500}" + margin + r"$^\dagger$ & -- & - \\"
    assert second in found  # a|b is not repeated
    assert r"c & x\_2 & 1,234" + margin + dagger + r" & 50 \% & c \\" in found
    assert found.count(r"\midrule") == 2
    assert r"\selectfont a \& b" in found
    assert latex(Document("name", "none", [Heading("x")])) == ""


def test_the_files_are_the_renderings_that_there_are():
    files = document_files(DOCUMENT)
    assert set(files) == {"name.md", "name.tex", "name.csv", "drawn.png", "drawn.svg"}
    assert files["name.csv"] == b"value\n0.3333333333\n"
    assert files["drawn.svg"] == b"svg"
    assert set(document_files(Document("name", "none", []))) == {"name.md"}


def test_places_go_by_what_is_shown():
    assert places(["0.2", "0.3", None, "0.3", "0.1"]) == ["second", "best", "", "best", ""]
    assert places(["0.2", "0.1"]) == ["best", ""]  # the last of several is never marked
    assert places(["0.2", "0.2"]) == ["", ""]
    assert places([]) == []

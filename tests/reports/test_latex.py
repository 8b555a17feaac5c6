"""The LaTeX fits a two-column paper, and compiles as it is, names and all."""

from __future__ import annotations

import itertools
import math
import shutil
import string
import subprocess
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.ft2font import FT2Font, LoadFlags
from support import cell_of
from support.results import result_of

from bench.reports.document import Document, Number, Print, Table
from bench.reports.latex_layout import COLUMN, PAGE, SIZES, height_of, layout, width_of
from bench.reports.latex_layout import text_width as estimated
from bench.reports.names import names_of
from bench.reports.renaming import renamed
from bench.reports.render_latex import latex
from bench.reports.writing import write
from bench.studies.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[letterpaper,textwidth=7in,textheight=9.5in,columnsep=0.34in]{geometry}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""
"""Columns of 3.33 inches, in the type of LaTeX itself."""
STRANGE = r"a_b & 100% #1 {~^\x} <$> \"q\" a|b"


def accuracy(n_samplers, datasets, metrics=6, sampler="mdcns-released (peer=gru4rec, M={})"):
    """A table as reports have it, a value apart from every other."""
    values = itertools.count(1)
    rows = [
        [dataset, f"NG@{k}"]
        + [
            Number(next(values) / 1e4, mark="best" if j == 0 else "", margin=0.0123, worse=j > 1)
            for j in range(n_samplers)
        ]
        for dataset in datasets
        for k in range(metrics)
    ]
    header = ["dataset", "metric", *map(sampler.format, range(n_samplers))]
    return Table("x", header, rows, n_text=2, printed=Print("x"), across="sampler")


def values_of(grids):
    return [
        (name, key, value.value)
        for grid in grids
        for name, row in zip(grid.names, grid.values, strict=True)
        for key, value in zip(grid.keys, row, strict=True)
    ]


@settings(deadline=None, max_examples=40)
@given(
    n_samplers=st.integers(1, 24),
    datasets=st.lists(st.text(string.ascii_letters + "- ", min_size=1, max_size=30).map(str.strip),
                      min_size=1, max_size=7, unique=True),
    metrics=st.integers(1, 6),
)  # fmt: skip
def test_every_piece_fits_and_every_number_is_in_one(n_samplers, datasets, metrics):
    table = accuracy(n_samplers, datasets, metrics)
    found = layout(table)
    for piece in found.pieces:
        assert width_of(piece, found.size) <= (PAGE if found.wide else COLUMN)
        assert height_of(piece, found.size) <= found.room
        assert len({(len(names), len(keys)) for names in piece.names for keys in piece.keys}) == 1
    assert found.size in SIZES and min(SIZES) >= 7
    assert [piece for pieces in found.floats() for piece in pieces] == found.pieces
    for pieces in found.floats():
        assert len(pieces) == 1 or sum(height_of(p, found.size) for p in pieces) <= found.room
    expected = {value.value for row in table.rows for value in row[2:]}
    shown = values_of(found.pieces)
    assert sorted(value for *_, value in shown) == sorted(expected)
    for name, key, value in shown:  # each beside its own names, whichever way round
        (row,) = [row for row in table.rows if any(v.value == value for v in row[2:])]
        sampler = table.header[[getattr(v, "value", None) for v in row].index(value)]
        assert sorted([*name, *key]) == sorted([*row[:2], sampler])


def test_a_wide_table_is_split_by_datasets():
    datasets = ["beauty", "toys", "sports"]
    found = layout(accuracy(18, datasets, metrics=4))
    assert [{key[0] for key in piece.keys} for piece in found.pieces] == [{d} for d in datasets]
    assert all(len(piece.keys) == 4 and len(piece.names) == 18 for piece in found.pieces)
    narrow = layout(accuracy(2, ["beauty"], sampler="dns{}"))
    assert (len(narrow.pieces), narrow.wide) == (1, False)
    assert narrow.pieces[0].stub == ["dataset", "metric"]  # as it is, where that fits


def test_rows_without_a_value_are_left_out_of_a_piece():
    table = accuracy(18, ["beauty", "toys"])
    rows = [
        [*row[:2], *row[2:10], *[Number(math.nan)] * 10] if row[0] == "toys" else row
        for row in table.rows
    ]
    pieces = layout(replace(table, rows=rows)).pieces
    known = {piece.keys[0][0]: len(piece.names) for piece in pieces}
    assert known == {"beauty": 18, "toys": 8}


def test_widths_are_not_underestimated():
    """Against Computer Modern of 10 points as matplotlib has it; that of 7 points is wider by as
    much as its digits are, 0.569 to 0.5 ems."""
    font = FT2Font(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "cmr10.ttf")))
    em = font.units_per_EM
    for character in string.ascii_letters + string.digits + "()=+@.,-":
        glyph = font.load_char(ord(character), flags=LoadFlags.NO_SCALE)
        width = 0.569 / 0.5 * glyph.linearHoriAdvance / em
        assert estimated(character) >= 0.96 * width, character
    text = "mdcns-released (peer=gru4rec) 0.0586 RC@10"
    widths = [font.load_char(ord(c), flags=LoadFlags.NO_SCALE).linearHoriAdvance for c in text]
    assert estimated(text) >= 0.569 / 0.5 * sum(widths) / em


def test_names_are_escaped_unless_they_are_given_in_latex():
    names = names_of(
        {
            "samplers": {"dns+": {"text": "DNS+", "latex": "DNS$^+$"}, "dns": "D_NS"},
            "datasets": {"beauty": "Beauty & more"},
        }
    )
    rows = [["beauty", "NG@10", Number(0.1), Number(0.2), Number(0.3)]]
    header = ["dataset", "metric", "dns", "dns+ (M=5)", "side-dns"]
    document = Document("x", "x", [Table("x", header, rows, 2, printed=Print("dns+, beauty"))])
    found = latex(renamed(document, names), names.in_latex)
    assert r"& D\_NS & DNS$^+$ (M=5) & side-dns \\" in found
    assert r"\caption{DNS$^+$, Beauty \& more}" in found
    assert r"Beauty \& more & NG@10 &" in found


def compiled(folder, text):
    """What pdflatex says."""
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex: apt-get install texlive-latex-recommended")
    (folder / "all.tex").write_text(DOCUMENT % text, encoding="utf-8")
    made = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-2000:]
    assert (folder / "all.pdf").stat().st_size > 10_000
    return made.stdout


def check_fits(said):
    """No box sticks out of its column, or off its page."""
    assert "Overfull" not in said, said[said.index("Overfull") - 500 :][:1000]
    assert "Float too large" not in said


@pytest.mark.usefixtures("sketches")
def test_every_table_compiles_with_booktabs_and_fits(tmp_path):
    store = Store(tmp_path / "study")
    for seed in (0, 1):
        for sampler in ("uniform", "dns+", "mdcns", "mdcns-no-cd"):
            real = replace(cell_of(sampler, seed=seed), dataset="beauty", fingerprint="r" * 64)
            store.save(result_of(real, 0.1 + seed / 100, synthetic=False))
            store.save(result_of(cell_of(sampler, seed=seed), 0.2))
    store.save(result_of(replace(cell_of("dns"), dataset=STRANGE, fingerprint="s" * 64)))
    tables = [path for path in write(store.root, tmp_path) if path.suffix == ".tex"]
    assert len(tables) > 1
    check_fits(compiled(tmp_path, "\n".join(rf"\input{{{path.name}}}" for path in tables)))


@pytest.mark.parametrize(
    "table",
    [
        accuracy(n, ["beauty", "toys-of-a-much-longer-name, split by prefixes", "x"], metrics, name)
        for n, metrics, name in [
            (2, 6, "dns{}"), (3, 1, "dns{}"), (24, 6, "dns{}"), (9, 2, "a sampler, setting {}"),
            (18, 4, "mdcns-released (M={}, N=70, gamma=0.3, tau=2.0, peer=mamba4rec)"),
        ]
    ],
)  # fmt: skip
def test_what_fits_by_the_estimate_fits_in_print(tmp_path, table):
    check_fits(compiled(tmp_path, latex(Document("x", "x", [table]))))


def test_the_committed_tables_fit(tmp_path):
    tables = sorted((ROOT / "reports").glob("*/*.tex"))
    assert len(tables) > 10
    check_fits(compiled(tmp_path, "\n\\clearpage\n".join(rf"\input{{{path}}}" for path in tables)))

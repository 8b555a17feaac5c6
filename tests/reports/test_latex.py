"""The LaTeX compiles as it is, names and all."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from support import cell_of
from support.results import result_of

from bench.reports.writing import write
from bench.studies.store import Store

DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs,adjustbox}
\begin{document}
%s
\end{document}
"""


@pytest.mark.slow
def test_every_table_compiles_with_booktabs_and_adjustbox(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("needs pdflatex: apt-get install texlive-latex-extra")
    store = Store(tmp_path / "study")
    for seed in (0, 1):
        for sampler in ("uniform", "dns+", "mdcns", "mdcns-no-cd"):
            real = replace(cell_of(sampler, seed=seed), dataset="beauty", fingerprint="r" * 64)
            store.save(result_of(real, 0.1 + seed / 100, synthetic=False))
            store.save(result_of(cell_of(sampler, seed=seed), 0.2))
    strange = r"a_b & 100% #1 {~^\x} <$>"
    store.save(result_of(replace(cell_of("dns"), dataset=strange, fingerprint="s" * 64)))
    tables = [path for path in write(store.root, tmp_path) if path.suffix == ".tex"]
    assert len(tables) > 1
    (tmp_path / "all.tex").write_text(
        DOCUMENT % "\n".join(rf"\input{{{path.name}}}" for path in tables)
    )
    made = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000

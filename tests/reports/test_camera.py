"""Camera-ready reports: what is chosen, as it is asked for, in a folder of their own."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from support import cell_of
from support.figures import DATASETS, check_legible, composed, study_of
from support.results import result_of

import bench
from bench import report
from bench.analysis.comparison import comparisons
from bench.cell import Component
from bench.errors import UserError
from bench.reports import manifest
from bench.reports.names import names_of, read_names
from bench.reports.plots import draw, style
from bench.reports.plots.looks import KNOWN, apart, looks_of
from bench.reports.plots.ranks import figure_of
from bench.reports.presentation import Presentation
from bench.reports.selection import chosen
from bench.reports.writing import write
from bench.studies.store import Store

SAMPLERS = {"uniform": 0.02, "dns": 0.022, "mdcns": 0.03, "mixed": 0.021}
TOML = """
[samplers]
"dns+" = {text = "DNS+", latex = "DNS$^+$"}
mdcns = "MDCNS & co"
[datasets]
first = "The First"
[backbones]
gru4rec = "GRU4Rec"
[metrics]
"ndcg@10" = "nDCG"
"""


@pytest.fixture
def study(tmp_path):
    """Two datasets, four samplers and two settings of a fifth; 200 users, one seed."""
    store = Store(tmp_path / "results" / "study")
    systems = [(name, {}, p) for name, p in SAMPLERS.items()]
    systems += [("dns+", {"M": 5}, 0.023), ("dns+", {"M": 10}, 0.024)]
    for dataset, (name, hyper, p) in itertools.product(("first", "second"), systems):
        cell = replace(cell_of(name, "gru4rec"), sampler=Component(name, hyper))
        cell = replace(cell, dataset=dataset, fingerprint=dataset[0] * 64)
        rng = np.random.default_rng([int(1e4 * p), ord(dataset[0])])
        ranks = rng.geometric(p, 200).astype(float)
        value = float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0).mean())
        result = result_of(cell, value, synthetic=False)
        result.data["references"] = {"popularity": {"ndcg@10": 0.02}}
        store.save(replace(result, arrays={"rank": ranks, "user": np.arange(200)}))
    return store


def run(tmp_path, *options):
    """The command line's exit status; reports go to the test's folder."""
    where = ["--results", str(tmp_path / "results"), "--reports", str(tmp_path / "reports")]
    return report.main(["study", *where, *options])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def holm(p):
    """By hand: the smallest p times how many there are, the next times one less, never falling."""
    order, found, highest = np.argsort(p), np.empty(len(p)), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - place) * p[i]))
        found[i] = highest
    return found


def test_holm_is_over_what_is_shown_and_the_text_says_so(study, tmp_path, sketches):
    few = ("uniform", "dns", "mdcns")
    write(study.root, tmp_path / "all")
    write(study.root, tmp_path / "few", presentation=Presentation(samplers=few))
    whole, part = (
        pd.read_csv(tmp_path / folder / "significance-bce.csv") for folder in ("all", "few")
    )
    assert set(part["first"]) | set(part["second"]) == set(few)
    for dataset, pairs in part.groupby("dataset"):
        against = pairs[pairs["family"] == "baseline"]
        assert len(against) == 2
        assert against["holm_t"].to_numpy() == pytest.approx(holm(against["p_t"].to_numpy()))
        of_all = whole[(whole["dataset"] == dataset) & (whole["family"] == "baseline")]
        common = of_all.set_index("first").loc[list(against["first"])]
        assert common["p_t"].to_numpy() == pytest.approx(against["p_t"].to_numpy())
        assert (common["holm_t"].to_numpy() >= against["holm_t"].to_numpy()).all()
        assert not np.allclose(common["holm_t"], against["holm_t"])
    for name in ("comparison-bce.md", "significance-bce.md", "comparison-bce.tex"):
        text = (tmp_path / "few" / name).read_text()
        assert "3 of 6 samplers that the study compares here are shown" in text
        assert "Holm's correction is for the comparisons among them" in text
        assert "are left out" not in (tmp_path / "all" / name).read_text()


def test_what_is_chosen_is_what_is_shown(study, tmp_path, sketches):
    presentation = Presentation(
        samplers=["uniform", "dns+"], datasets=["second"], metrics=["recall@5", "ndcg@10"]
    )
    folder = tmp_path / "camera"
    write(study.root, folder, presentation=presentation)
    text = (folder / "comparison-bce.md").read_text()
    assert "| dataset | metric | uniform | dns+ (M=5) | dns+ (M=10) | popularity ranking |" in text
    rows = re.findall(r"^\| (first|second) \| (\w\w@\d+) \|", text, flags=re.MULTILINE)
    assert rows == [("second", "RC@5"), ("second", "NG@10")]
    cells = pd.read_csv(folder / "comparison-bce.csv")
    assert set(cells["dataset"]) == {"second"}
    assert set(cells["method"]) == {"uniform", "dns+"}
    assert "first" not in text and "mdcns" not in text
    assert not list(folder.glob("table*")) and not (folder / "index.html").exists()


@pytest.mark.parametrize(
    ("option", "names", "known"),
    [
        ("samplers", ["dns++", "uniform"], "dns, dns+ (M=10), dns+ (M=5), mdcns, mixed, uniform"),
        ("datasets", ["third"], "first, second"),
        ("backbones", ["sasrec"], "gru4rec"),
        ("objectives", ["bpr"], "bce"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_known(
    study, tmp_path, capsys, option, names, known
):
    assert run(tmp_path, f"--{option}", *names) == 2
    said = capsys.readouterr().err
    assert f"--{option}: the study has no {names[0]!r}; it has " in said
    assert set(known.split(", ")) <= set(said.strip().partition("it has ")[2].split(", "))
    assert not (tmp_path / "reports").exists()


def test_what_no_cell_has_is_an_error(study):
    real = study
    real.save(result_of(replace(cell_of("ahns"), dataset="third", fingerprint="t" * 64)))
    with pytest.raises(UserError, match="no cell that has all that is chosen"):
        chosen(comparisons(real), Presentation(samplers=["ahns"], datasets=["first"]))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"width": 0.5}, "--width 0.5: expected inches"),
        ({"width": float("nan")}, "--width nan"),
        ({"figures": ["gif"]}, "--figures: no 'gif'; known: png, svg, pdf"),
        ({"figures": []}, "--figures: name at least one"),
        ({"font": "comic"}, "--font: no 'comic'"),
        ({"metrics": ["mrr"]}, "--metrics: no 'mrr'; known: recall@5"),
    ],
)
def test_a_presentation_that_cannot_be_is_refused(given, match):
    with pytest.raises(UserError, match=re.escape(match)):
        Presentation(**given)


def test_names_are_printed_and_data_keep_theirs(study, tmp_path, capsys):
    path = tmp_path / "names.toml"
    path.write_text(TOML + '"recall@5" = "x"\n')
    assert run(tmp_path, "--names", str(path), "--figures", "svg") == 0
    folder = tmp_path / "reports" / "study-camera"
    text, tex = ((folder / f"comparison-bce.{each}").read_text() for each in ("md", "tex"))
    header = "| dataset | metric | uniform | dns | DNS+ (M=5) | DNS+ (M=10) | MDCNS & co | mixed |"
    assert header in text
    assert "## GRU4Rec" in text and "| The First | nDCG |" in text
    assert r"DNS$^+$ (M=5)" in tex and r"MDCNS \& co" in tex and "DNS+" not in tex
    assert "popularity ranking" in text
    assert set(pd.read_csv(folder / "comparison-bce.csv")["dataset"]) == {"first", "second"}
    svg = (folder / "comparison-bce.svg").read_text()
    assert ">DNS+ (M=5)<" in svg and ">The First<" in svg and ">test nDCG<" in svg
    statements, said = (folder / "significance-bce.md").read_text(), capsys.readouterr().out
    assert "MDCNS & co" in statements.replace("&amp;", "&")
    assert re.search(r"^DNS\+ \(M=5\) +0\.\d{4}", said, re.MULTILINE) and "GRU4Rec" in said
    assert not re.search(r"(?<![\w.-])mdcns(?![\w+-])", statements + text + said)


def test_a_name_within_another_is_not_renamed():
    names = names_of({"samplers": {"dns": "D", "popularity": "Pop"}}).keeping(
        ["popularity ranking"]
    )
    for text in ("dns+", "mdcns-no-dns", "side-dns", "popularity ranking", "mydns", "dns@5"):
        assert names.text(text) == text
    assert names.text("dns (M=5), dns; popularity: dns.") == "D (M=5), D; Pop: D."
    assert names.unused(["dns (M=5)"]) == ["popularity"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[sampler]\na = 'b'", "no kind of names is called sampler"),
        ("[samplers]\na = 1", r"\[samplers\].a"),
        ("[samplers]\na = {latex = 'b'}", "has no 'text'"),
        ("[samplers]\na = ''", r"\[samplers\].a"),
        ("[metrics]\nmrr = 'M'", "no metric 'mrr'; there are recall@5"),
        ("[samplers]\na = 'b'\n[datasets]\na = 'c'", "'a' is of two kinds"),
        ("[samplers", "not TOML"),
        ("samplers = 3", "is not an object"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_of_names_is_refused(tmp_path, text, match):
    path = tmp_path / "names.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=match) as raised:
        read_names(path)
    assert str(raised.value).startswith(f"--names {path}")


def numbers_of(text, heading):
    """The Markdown tables below a heading, a list a row."""
    blocks = text.partition(heading)[2].split("\n\n")
    tables = [block.splitlines() for block in blocks if block.startswith("|")]
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in [head, *rows]]
        for head, _, *rows in tables
    ]


def test_transposed_tables_have_the_same_numbers_with_the_same_marks(study, tmp_path, sketches):
    usual, turned = tmp_path / "usual", tmp_path / "turned"
    write(study.root, usual, presentation=Presentation())
    write(study.root, turned, presentation=Presentation(transpose=True))
    (_, plain, *_), (_, other, *_) = (
        numbers_of((folder / "comparison-bce.md").read_text(), "## gru4rec")
        for folder in (usual, turned)
    )
    expected = {
        (f"{row[0]} {row[1]}", name): value
        for row in plain[1:13]
        for name, value in zip(plain[0][2:], row[2:], strict=True)
    }
    found = {
        (name, row[0]): value
        for row in other[1 : len(plain[0]) - 1]
        for name, value in zip(other[0][1:], row[1:], strict=True)
    }
    assert other[0][0] == "sampler"
    assert found == expected and len(found) == 12 * 7
    assert r"\multicolumn{6}{c}{first}" in (turned / "comparison-bce.tex").read_text()


def test_a_study_s_own_report_is_never_written_over(study, tmp_path, capsys, sketches):
    assert run(tmp_path) == 0
    own = contents(tmp_path / "reports" / "study")
    assert run(tmp_path, "--samplers", "uniform", "dns") == 0
    assert contents(tmp_path / "reports" / "study") == own
    camera = contents(tmp_path / "reports" / "study-camera")
    assert run(tmp_path, "--no-titles", "--out", str(tmp_path / "reports" / "study")) == 2
    assert "has a study's own report, which is not written over" in capsys.readouterr().err
    assert contents(tmp_path / "reports" / "study") == own
    with pytest.raises(UserError, match="has a camera-ready report"):
        manifest.put(tmp_path / "reports" / "study-camera", {"a.md": b""})
    assert contents(tmp_path / "reports" / "study-camera") == camera


@pytest.mark.usefixtures("sketches")
def test_a_camera_ready_report_removes_what_it_wrote_and_nothing_else(study, tmp_path, capsys):
    folder = tmp_path / "paper" / "figures"
    assert run(tmp_path, "--figures", "pdf", "--out", str(folder)) == 0
    (folder / "own.pdf").write_bytes(b"somebody's")
    assert run(tmp_path, "--figures", "svg", "--out", str(folder)) == 0
    assert {path.name for path in folder.glob("*.pdf")} == {"own.pdf"}
    assert list(folder.glob("*.svg"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "comparison-bce.tex").write_text("somebody's")
    assert run(tmp_path, "--transpose", "--out", str(other)) == 2
    assert "no camera-ready report wrote it" in capsys.readouterr().err
    assert (other / "comparison-bce.tex").read_text() == "somebody's"


def test_files_of_figures_are_the_same_again_and_hold_text(study, tmp_path):
    """In other processes, whose hashes of texts differ, at another time."""
    found = []
    for seed in ("1", "2"):
        folder = tmp_path / f"figures-{seed}"
        command = [sys.executable, "-m", "bench.report", "study", "--figures", "pdf", "svg",
                   "--results", str(tmp_path / "results"), "--out", str(folder),
                   "--width", "3.4", "--font", "serif", "--no-titles",
                   "--samplers", "uniform", "dns+", "--datasets", "first"]  # fmt: skip
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        found.append(contents(folder))
    assert found[0] == found[1]
    pdf, svg = found[0]["comparison-bce.pdf"], found[0]["comparison-bce.svg"].decode()
    assert b"CreationDate" not in pdf and "<dc:date>" not in svg
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf  # TrueType, whole: type 42
    assert b"/MediaBox [ 0 0 244.8 " in pdf
    assert ">dns+ (M=5)</text>" in svg and "STIXGeneral" in svg
    assert "Real data" not in svg  # the title


@pytest.fixture
def drawn(monkeypatch):
    """The figures by name of file, each held to be legible, as wide as was asked for, and of type
    of 7 points and more."""
    figures, picture = {}, style.picture

    def checked(name, caption, figure):
        figures[name] = figure
        found = picture(name, caption, figure)
        check_legible(figure)
        assert figure.get_figwidth() == pytest.approx(3.4)
        assert figure.get_figheight() <= 10
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]
        assert min(sizes) >= 7
        return found

    monkeypatch.setattr(style, "rendered", composed)
    monkeypatch.setattr(style, "picture", checked)
    return figures


@pytest.mark.parametrize(
    ("names", "datasets", "font"),
    [
        (["uniform", "dns+", "mdcns"], DATASETS[:1], "serif"),
        (["uniform", "dns+", "mdcns", "sampled-softmax", "gbce"], DATASETS[:2], "serif"),
        (["uniform", *KNOWN][:14], DATASETS[:4], "sans"),
    ],
)
def test_figures_of_a_column_s_width_are_legible(tmp_path, drawn, names, datasets, font):
    comparison = study_of(tmp_path / "study", names, datasets=datasets)
    presentation = Presentation(figures=("png",), width=3.4, font=font)
    draw.draw(comparison, presentation=presentation)
    assert {name.split("-")[0] for name in drawn} == {
        "comparison", "gains", "costs", "validation", "loss", "diagnostics", "buckets"
    }  # fmt: skip


@pytest.mark.parametrize("k", [3, 10, 18])
def test_the_diagram_of_ranks_is_legible_in_a_column(k):
    names = [*KNOWN, "mdcns-released (beta=0.5, gamma=1.5)"][-k:]
    mean = pd.Series(np.linspace(1, k, k), index=names)
    cliques = [names[i : i + 3] for i in range(k - 2)]
    with style.presented(Presentation(width=3.4)):
        figure = figure_of(mean, cliques, "A title")
        style.lay_out(figure)
        check_legible(figure)
    assert figure.get_figwidth() == pytest.approx(3.4)
    (axis,) = figure.axes
    assert axis.get_window_extent().width > 0.3 * figure.bbox.width


def test_no_two_samplers_have_a_mark_in_common():
    names = ["uniform", *list(KNOWN)[:17]]
    usual = looks_of([*KNOWN, "uniform"])
    looks = apart(usual, names)
    assert set(looks) == set(names)
    assert len({look.marker for look in looks.values()}) == len(names)
    assert all(look.colour == usual[name].colour for name, look in looks.items())
    assert sum(look == usual[name] for name, look in looks.items()) >= 10
    assert len(apart(usual, usual)) == len(usual)  # of more than there are marks some share one


@pytest.mark.parametrize(
    ("title", "left"), [("SYNTHETIC data, bce loss", "SYNTHETIC data"), ("Real data, bce loss", "")]
)
def test_without_titles_synthetic_is_still_called_so(title, left):
    with style.presented(Presentation(titles=False)):
        figure = Figure()
        style.set_title(figure, "Accuracy and cost.", title)
        assert figure.get_suptitle() == left


def test_settings_of_figures_end_with_the_figure():
    before = dict(matplotlib.rcParams)
    with style.presented(Presentation(width=3.4, font="serif")):
        assert style.given_width() == 3.4
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert style.given_width() is None
    assert dict(matplotlib.rcParams) == before


def test_the_same_from_python(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    presentation = bench.Presentation(
        figures=["pdf"], samplers=["uniform", "mdcns"], names=bench.names_of({})
    )
    written = bench.Study("study").report(presentation=presentation)
    folder = tmp_path / "reports" / "study-camera"
    assert {path.name for path in written} == set(contents(folder))
    by_hand = contents(folder)
    assert run(tmp_path, "--figures", "pdf", "--samplers", "uniform", "mdcns") == 0
    assert contents(folder) == by_hand

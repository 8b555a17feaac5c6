"""The page of a study: content, nothing trusted, nothing loaded, the same page again."""

from __future__ import annotations

import base64
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from support import cell_of
from support.results import costed, result_of

from bench.analysis.comparison import comparisons
from bench.cell import Component
from bench.errors import UserError
from bench.reports import comparison_report, page
from bench.reports.document import (
    Bullets,
    Code,
    Document,
    Emphasis,
    Heading,
    Number,
    Paragraph,
    Picture,
    Table,
)
from bench.reports.study_report import Compared, StudyReport
from bench.reports.writing import write
from bench.studies.store import Store

EVIL = "<script>alert('x')</script>\" onload=\"alert(1)"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

PICTURE = Picture("accuracy", "bars span the seeds", PNG, b"<svg/>")


@pytest.fixture
def store(tmp_path):
    """Two backbones, one of which lacks a sampler."""
    store = Store(tmp_path / "results" / "study")
    for sampler, value in (("uniform", 0.1), ("dns", 0.3), ("mdcns", 0.2)):
        store.save(costed(cell_of(sampler), value))
    store.save(costed(cell_of("uniform", "gru4rec"), 0.05))
    store.save(costed(cell_of("mdcns", "gru4rec"), 0.04))
    return store


def written(store, significance=None, pictures=(), tuned=()):
    """The page, with a small picture in place of those that take long to draw."""
    compared = [
        Compared(each, comparison_report.document(each, PICTURE), significance, list(pictures))
        for each in comparisons(store)
    ]
    return page.html(StudyReport(store, compared, tuned=list(tuned)), ["table3.md"])


def section(html, title):
    """The page from a heading to the next of its level."""
    level, _, rest = html.partition(f">{title}</a></h")[2].partition(">")
    return rest.partition(f"<h{level}")[0]


class Tags(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_summary_is_made_from_the_stored_numbers(store):
    html = written(store)
    summary = section(html, "Summary")
    assert "<dt>made-up</dt>" in summary
    assert "sasrec: dns has NG@10 0.3000, and level with it:" in summary
    assert "+200.0% over uniform (0.1000)." in summary
    assert "gru4rec: uniform has NG@10 0.0500" in summary
    assert "3 samplers, 2 backbones, 1 dataset and 1 seed: 7 models, 5.0 minutes" in summary
    assert "One seed:" in summary
    assert "Few test users: made-up 2." in summary
    assert "1 combination of dataset, backbone and sampler without a number." in summary


def test_warnings_are_given_where_they_are_due(tmp_path):
    store = Store(tmp_path / "study")
    for seed in (0, 1):
        result = costed(cell_of("uniform", seed=seed), 0.1)
        result.data["test_users"] = 20_000
        store.save(result)
    assert 'class="warning"' not in written(store)


def test_tables_mark_best_and_second_and_show_what_is_missing(store):
    html = written(store)
    accuracy = section(html, "sasrec")
    assert '<td class="number best" data-number="0.3"><b>0.3000</b><small>' in accuracy
    assert '<td class="number second" data-number="0.2"><u>0.2000</u><small>' in accuracy
    assert "<caption>Backbone sasrec, SYNTHETIC data</caption>" in accuracy
    assert "missing" not in section(
        html, "gru4rec"
    )  # a table has columns for the samplers of its backbone
    store.save(costed(replace(cell_of("dns"), dataset="other", fingerprint="e" * 64), 0.1))
    accuracy = section(written(store), "sasrec")
    assert accuracy.count('<td class="number missing">–</td>') == 2 * (6 + 1)


def test_costs(store):
    cost = section(written(store), "Cost")
    shown = re.findall(r"<td[^>]*>([^<]*)</td>", cost)
    start = shown.index("mdcns")
    assert shown[start + 1 : start + 9] == [
        "2", "12,346", "1", "1", "70.0", "–", "512", "0.0400",
    ]  # fmt: skip


def test_costs_are_of_all_epochs_and_multiples_of_sampled_softmax(tmp_path):
    """On a CPU in CPU seconds, of the whole cell; up to the best epoch alone nobody pays."""
    store = Store(tmp_path / "study")
    for sampler, cpu_s in (("uniform", 66.0), ("sampled-softmax", 44.0)):
        result = costed(cell_of(sampler), 0.04)
        result.timings.update(epochs=3, cpu_s=cpu_s)
        result.environment["device"] = "cpu"
        store.save(replace(result, best_epoch=2))
    cost = section(written(store), "Cost")
    assert "cost, CPU seconds" in cost
    shown = re.findall(r"<td[^>]*>([^<]*)</td>", cost)
    start = shown.index("uniform")
    assert shown[start + 3 : start + 7] == ["2", "3", "66.0", "1.50"]
    start = shown.index("sampled-softmax")
    assert shown[start + 5 : start + 7] == ["44.0", "1.00"]
    tables = "".join(path.read_text() for path in (tmp_path / "reports").glob("*.md"))
    assert "to best epoch" not in tables
    assert "per minute" not in tables


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_costs_measured_in_turns_count_if_all_systems_have_them(tmp_path, device):
    store = Store(tmp_path / "study")
    cells = [cell_of("uniform", seed=0), cell_of("uniform", seed=1), cell_of("dns")]
    for cell, best_epoch in zip(cells, (2, 3, 1), strict=True):
        result = costed(cell, 0.04)
        result.environment["device"] = device
        result.timings["epochs"] = 3
        store.save(replace(result, best_epoch=best_epoch))
    one = {"system": "its name", "peak_mb": None, "shares": {}, "targets_per_s": 4321.0}
    costs = [one | {"key": cells[0].system, "epoch_cpu_s": 10.0}]
    assert cells[0].system == cells[1].system != cells[2].system

    def seconds_and_note():
        cost = section(written(store), "Cost")
        shown = re.findall(r"<td[^>]*>([^<]*)</td>", cost)
        found = [shown[shown.index(name) + 5] for name in ("uniform", "dns")]
        speeds = [shown[shown.index(name) + 2] for name in ("uniform", "dns")]
        assert (speeds == ["4,321", "4,321"]) == ("in turns" in cost)
        assert ("CPU seconds" in cost) == (device == "cpu" or "in turns" in cost)
        return found, "in turns" in cost

    whole = "66.0" if device == "cpu" else "70.0"  # of a CPU, or by the clock
    assert seconds_and_note() == ([whole] * 2, False)
    store.save_costs({"environment": {"packages": {}}, "costs": costs})
    assert seconds_and_note() == ([whole] * 2, False)  # one kind of seconds in a table
    costs.append(one | {"key": cells[2].system, "epoch_cpu_s": 40.0})
    store.save_costs({"environment": {"packages": {}}, "costs": costs})
    assert seconds_and_note() == (["30.0", "120.0"], True)  # three epochs of 10 s, of 40 s
    costs[0]["epoch_cpu_s"] = 0
    store.save_costs({"environment": {"packages": {}}, "costs": costs})
    with pytest.raises(UserError, match=r"costs.json: .*epoch_cpu_s.*measure again"):
        written(store)


def test_training_on_several_kinds_of_device_is_not_added_up(tmp_path):
    store = Store(tmp_path / "study")
    for sampler, device, seconds in [("uniform", "cpu", 150.0), ("dns", "cuda", 60.0)]:
        result = costed(cell_of(sampler), 0.04)
        result.environment["device"] = device
        result.timings["train_s"] = seconds
        store.save(result)
    said = "2 models, 2.5 minutes of training on CPUs and 60 seconds of training on GPUs."
    assert said in written(store)


def test_references_stand_apart(tmp_path):
    store = Store(tmp_path / "study")
    result = costed(cell_of("uniform"), 0.1)
    result.data["references"] = {"popularity": {"ndcg@10": 0.05}}
    store.save(result)
    html = written(store)
    accuracy = section(html, "sasrec")
    assert '<td class="number reference" data-number="0.05">0.0500</td>' in accuracy
    assert '<td class="number missing reference">–</td>' in accuracy
    assert "not trained and not marked: popularity ranking." in section(html, "Accuracy")


def test_costs_that_were_not_measured_are_missing(tmp_path):
    store = Store(tmp_path / "study")
    result = result_of(cell_of("uniform"))
    result.timings.clear()
    store.save(result)
    assert section(written(store), "Cost").count("–") == 5


def test_synthetic_is_called_synthetic_and_real_is_not(store):
    real = replace(cell_of("dns"), fingerprint="r" * 64, dataset="shop")
    store.save(costed(real, 0.4, synthetic=False))
    html = written(store, pictures=[replace(PICTURE, caption="losses")])
    parts = re.findall(r'<section id="(comparison[^"]*)".*?</section>', html, re.DOTALL)
    assert sorted(parts) == ["comparison-bce", "comparison-bce-synthetic"]
    real, synthetic = (
        re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL).group()
        for name in sorted(parts)
    )
    assert "SYNTHETIC" not in real
    assert "made-up" not in real
    assert "<figcaption>bars span the seeds</figcaption>" in real
    assert "SYNTHETIC data, bce loss" in synthetic
    assert 'class="banner"' in synthetic
    assert "<figcaption>SYNTHETIC data: bars span the seeds</figcaption>" in synthetic
    assert "<figcaption>SYNTHETIC data: losses</figcaption>" in synthetic
    assert synthetic.count("data:image/png;base64,iVBOR") == 2
    captions = re.findall(r"<caption>(Backbone|Cost|Sizes)(.*?)</caption>", synthetic)
    assert len(captions) == 4
    assert all(rest.endswith(", SYNTHETIC data") for _, rest in captions)


def test_other_documents_are_part_of_the_page(store):
    row = ["dns", Number(0.01, mark="best"), Number(0.02, mark="second", margin=0.3, worse=True)]
    tests = Document(
        "significance-bce-synthetic",
        "Paired tests",
        [
            Paragraph(("Holm, see ", Code("x.csv"), " and ", Emphasis("seeds"), ".")),
            Heading("All"),
            Table("Pairs", ["sampler", "p", "q"], [row], n_text=1),
            Bullets(["a", ("b ", Code("c"))]),
            replace(PICTURE, caption="mean ranks"),
        ],
        synthetic=True,
    )
    tuned = Document("tuning", "Tuning: real data", [Paragraph("Equal budgets.")])
    html = written(store, tests, tuned=[tuned])
    assert ">Paired tests</a></h3>" in html
    shown, details = html.partition("<summary>In detail</summary>")[::2]
    assert "Holm, see <code>x.csv</code> and <em>seeds</em>." in flat(shown)
    assert ">All</a></h4>" in details
    assert "<caption>Pairs, SYNTHETIC data</caption>" in details
    assert '<td class="number best" data-number="0.01"><b>0.0100</b></td>' in details
    assert "<u>0.0200</u><small> ± 0.3000 †</small></td>" in details
    assert "<ul> <li>a</li> <li>b <code>c</code></li> </ul>" in flat(details)
    assert "<figcaption>SYNTHETIC data: mean ranks</figcaption>" in details
    assert "<p>Equal budgets.</p>" in flat(section(html, "Tuned hyper-parameters"))
    assert '<a href="./table3.md">table3.md</a>' in section(html, "Files beside this page")


def flat(html):
    """As a browser shows it: space is space."""
    return " ".join(html.split())


def test_configuration_and_environment(store):
    html = written(store)
    assert '<td class="wrap">N=5' in html
    assert "<td>batch_targets</td>" in html
    environment = section(html, "Environment")
    assert '<td>cpu</td><td class="wrap">a processor</td>' in re.sub(r"\s*(<)", r"\1", environment)
    assert "2.9" in environment


def test_failures_are_shown_with_their_last_line(store):
    traceback = 'Traceback\n  File "/home/me/bench/cell.py", line 3\nValueError: too small'
    store.save_failure(cell_of("dns", seed=7), traceback)
    html = written(store)
    assert "<summary>made-up/sasrec/dns/bce/seed7: ValueError: too small</summary>" in html
    assert "File &#34;…/bench/cell.py&#34;, line 3" in html
    assert "1 of the study's cells failed" in html


def test_nothing_that_a_study_says_is_markup(tmp_path):
    store = Store(tmp_path / "a <b>study")
    cell = cell_of("dns")
    cell = replace(cell, dataset=EVIL, sampler=replace(cell.sampler, name=EVIL))
    cell = replace(cell, backbone=Component(EVIL, {EVIL: EVIL}))
    result = costed(cell, 0.1)
    result.data["notes"] = [EVIL]
    result.environment[EVIL] = EVIL
    store.save(result)
    store.save_failure(cell, EVIL)
    link = "[x](javascript:alert(1)) <http://a.test>"
    parts = [
        Heading(EVIL),
        Paragraph((EVIL, Code(EVIL), Emphasis(EVIL), link)),
        Bullets([EVIL]),
        Table(EVIL, [EVIL, "b"], [[EVIL, EVIL], [EVIL, Number(1.0, EVIL + "{}")]], n_text=1),
        Picture(EVIL, EVIL, PNG, b""),
    ]
    document = Document('a"<i>', EVIL, parts)
    html = written(store, document, [Picture(EVIL, EVIL, PNG, b"")], [document])
    tags = Tags(html).found
    assert [tag for tag, _ in tags].count("script") == 1
    assert not {"b>study", "i", "iframe", "object", "embed", "link", "base"} & {t for t, _ in tags}
    for _, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not attributes.get("href", "#").lower().startswith(("javascript:", "http"))


def test_nothing_is_loaded_from_anywhere(store):
    html = written(store, pictures=[PICTURE])
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", html)
    for tag, attributes in Tags(html).found:
        assert tag not in ("link", "iframe", "object", "embed")
        assert attributes.get("src", "data:").startswith("data:")
    (policy,) = (
        a["content"]
        for tag, a in Tags(html).found
        if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html


def test_the_same_results_make_the_same_page(store, tmp_path):
    store.save_failure(cell_of("dns", seed=7), "ValueError: no")
    pages = []
    for name in ("one", "two"):
        copy = tmp_path / name / "results" / "study"
        shutil.copytree(store.root, copy)
        write(copy, tmp_path / name / "reports")
        pages.append((tmp_path / name / "reports" / "index.html").read_bytes())
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]

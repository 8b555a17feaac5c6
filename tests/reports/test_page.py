"""The page of a study: content, nothing trusted, nothing loaded, the same page again."""

from __future__ import annotations

import base64
import re
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from support import cell_of
from support.results import costed, result_of

from bench import grid, report
from bench.analysis.comparison import comparisons
from bench.cell import Component
from bench.errors import UserError
from bench.reports import page
from bench.reports.reproduce import commands
from bench.studies.planning import make_plan
from bench.studies.store import Store

EVIL = "<script>alert('x')</script>\" onload=\"alert(1)"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def store(tmp_path):
    """Two backbones, one of which lacks a sampler."""
    store = Store(tmp_path / "results" / "study")
    for sampler, value in (("uniform", 0.1), ("dns", 0.3), ("mdcns", 0.2)):
        store.save(costed(cell_of(sampler), value))
    store.save(costed(cell_of("uniform", "gru4rec"), 0.05))
    store.save(costed(cell_of("mdcns", "gru4rec"), 0.04))
    return store


def written(store, tmp_path, texts=None, pictures=()):
    """The page with these files beside it."""
    folder = tmp_path / "reports"
    folder.mkdir(exist_ok=True)
    for name, text in (texts or {}).items():
        (folder / name).write_text(text)
    for name in pictures:
        (folder / name).write_bytes(PNG)
    files = [folder / name for name in (*(texts or {}), *pictures)]
    path = page.write(store.root, folder, comparisons(store), files)
    assert path == folder / "index.html"
    return path.read_text()


def section(html, title):
    """The page from a heading to the next of its level."""
    level, _, rest = html.partition(f">{title}</h")[2].partition(">")
    return rest.partition(f"<h{level}")[0]


class Tags(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_the_summary_is_made_from_the_stored_numbers(store, tmp_path):
    html = written(store, tmp_path)
    summary = section(html, "Summary")
    assert "<dt>made-up</dt>" in summary
    assert "sasrec: dns is best, NG@10 0.3000, +200.0% over uniform (0.1000)." in summary
    assert "gru4rec: no sampler is better than uniform, NG@10 0.0500." in summary
    assert "3 samplers, 2 backbones, 1 dataset and 1 seed: 7 models, 5.0 minutes" in summary
    assert "is dns in 1, uniform in 1." in summary
    assert "One seed:" in summary
    assert "Few test users: made-up 2." in summary
    assert "1 combination of dataset, backbone and sampler without a number." in summary


def test_warnings_are_given_where_they_are_due(tmp_path):
    store = Store(tmp_path / "study")
    for seed in (0, 1):
        result = costed(cell_of("uniform", seed=seed), 0.1)
        result.data["test_users"] = 20_000
        store.save(result)
    assert 'class="warning"' not in written(store, tmp_path)


def test_tables_mark_best_and_second_and_show_what_is_missing(store, tmp_path):
    html = written(store, tmp_path)
    accuracy = section(html, "Accuracy")
    assert '<td class="number best" data-number="0.3"><b>0.3000</b></td>' in accuracy
    assert '<td class="number second" data-number="0.2"><u>0.2000</u></td>' in accuracy
    gru4rec = accuracy.partition("Backbone gru4rec")[2].partition("Backbone sasrec")[0]
    assert "missing" not in gru4rec  # a table has columns for the samplers of its backbone
    store.save(costed(replace(cell_of("dns"), dataset="other", fingerprint="e" * 64), 0.1))
    accuracy = section(written(store, tmp_path), "Accuracy")
    assert accuracy.count('<td class="number missing">–</td>') == 2 * 6


def test_costs(store, tmp_path):
    cost = section(written(store, tmp_path), "Cost")
    shown = re.findall(r"<td[^>]*>([^<]*)</td>", cost)
    start = shown.index("mdcns")
    assert shown[start + 1 : start + 10] == [
        "12,346", "30.0", "–", "512", "2", "0.0400", "70.0", "66.0", "0.0800",
    ]  # fmt: skip


def test_costs_on_a_cpu_are_cpu_seconds_in_proportion_to_the_epochs(tmp_path):
    store = Store(tmp_path / "study")
    result = costed(cell_of("uniform"), 0.04)
    result.timings["epochs"] = 3
    result.environment["device"] = "cpu"
    store.save(replace(result, best_epoch=2))
    shown = re.findall(r"<td[^>]*>([^<]*)</td>", section(written(store, tmp_path), "Cost"))
    start = shown.index("uniform")
    assert shown[start + 2 : start + 4] == ["30.0", "44.0"]  # 2/3 of 66
    assert shown[start + 9] == "0.0545"  # NDCG@10 a minute of the 44 seconds


def test_costs_measured_in_turns_count_if_all_systems_have_them(tmp_path):
    store = Store(tmp_path / "study")
    cells = [cell_of("uniform", seed=0), cell_of("uniform", seed=1), cell_of("dns")]
    for cell, best_epoch in zip(cells, (2, 3, 1), strict=True):
        result = costed(cell, 0.04)
        result.environment["device"] = "cpu"
        result.timings["epochs"] = 3
        store.save(replace(result, best_epoch=best_epoch))
    one = {"system": "its name", "peak_mb": None, "shares": {}}
    costs = [one | {"key": cells[0].system, "epoch_cpu_s": 10.0}]
    assert cells[0].system == cells[1].system != cells[2].system

    def seconds_and_note():
        cost = section(written(store, tmp_path), "Cost")
        shown = re.findall(r"<td[^>]*>([^<]*)</td>", cost)
        found = [shown[shown.index(name) + 3] for name in ("uniform", "dns")]
        return found, "in turns" in cost

    assert seconds_and_note() == (["55.0", "22.0"], False)  # 2.5/3 and 1/3 of 66
    store.save_costs({"environment": {"packages": {}}, "costs": costs})
    assert seconds_and_note() == (["55.0", "22.0"], False)  # one kind of seconds in a table
    costs.append(one | {"key": cells[2].system, "epoch_cpu_s": 40.0})
    store.save_costs({"environment": {"packages": {}}, "costs": costs})
    assert seconds_and_note() == (["25.0", "40.0"], True)
    costs[0]["epoch_cpu_s"] = 0
    store.save_costs({"environment": {"packages": {}}, "costs": costs})
    with pytest.raises(UserError, match=r"costs.json: .*epoch_cpu_s.*measure again"):
        written(store, tmp_path)


def test_references_stand_apart(tmp_path):
    store = Store(tmp_path / "study")
    result = costed(cell_of("uniform"), 0.1)
    result.data["references"] = {"popularity": {"ndcg@10": 0.05}}
    store.save(result)
    accuracy = section(written(store, tmp_path), "Accuracy")
    assert '<td class="number reference" data-number="0.05">0.0500</td>' in accuracy
    assert '<td class="number missing reference">–</td>' in accuracy
    assert "Not trained and not marked: popularity ranking." in accuracy


def test_costs_that_were_not_measured_are_missing(tmp_path):
    store = Store(tmp_path / "study")
    result = result_of(cell_of("uniform"))
    result.timings.clear()
    store.save(result)
    assert section(written(store, tmp_path), "Cost").count("–") == 7


def test_synthetic_is_called_synthetic_and_real_is_not(store, tmp_path):
    real = replace(cell_of("dns"), fingerprint="r" * 64, dataset="shop")
    store.save(costed(real, 0.4, synthetic=False))
    pictures = ["comparison-bce.png", "comparison-bce-synthetic.png", "epochs-bce-shop.png"]
    html = written(store, tmp_path, pictures=pictures)
    parts = re.findall(r'<section id="(comparison[^"]*)".*?</section>', html, re.DOTALL)
    assert sorted(parts) == ["comparison-bce", "comparison-bce-synthetic"]
    of = {
        name: re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL).group()
        for name in parts
    }
    assert "SYNTHETIC" not in of["comparison-bce"]
    assert "made-up" not in of["comparison-bce"]
    assert of["comparison-bce"].count("<img") == 2
    assert "SYNTHETIC data, bce loss" in of["comparison-bce-synthetic"]
    assert 'class="banner"' in of["comparison-bce-synthetic"]
    assert "SYNTHETIC data: comparison bce synthetic" not in html  # once is enough
    assert of["comparison-bce-synthetic"].count("<img") == 1


def test_pictures_have_the_captions_of_their_texts(store, tmp_path):
    texts = {"comparison-bce-synthetic.md": "![bars span the seeds](comparison-bce-synthetic.png)"}
    html = written(store, tmp_path, texts, ["comparison-bce-synthetic.png", "growth.png"])
    assert "<figcaption>SYNTHETIC data: bars span the seeds</figcaption>" in html
    assert "<figcaption>growth</figcaption>" in section(html, "More results")
    assert html.count("data:image/png;base64,iVBOR") == 2


def test_texts_of_other_reports_are_part_of_the_page(store, tmp_path):
    table = "| sampler | p |\n|---|--:|\n| <u>dns</u> | **0.01** |\n"
    tests = f"# Paired tests\n\nHolm.\n\n## All\n\n{table}\n![x](y.png)\n"
    texts = {
        "significance-bce-synthetic.md": tests,
        "tuning-synthetic.md": "# Tuning: SYNTHETIC data\n\nEqual budgets.\n",
        "table3.md": "# Table 3",
    }
    html = written(store, tmp_path, texts)
    assert "<h3>Paired tests</h3>" in html
    assert "<p>Holm.</p>" in html.partition("<summary>In detail</summary>")[0]
    assert "<h4>All</h4>" in html.partition("<summary>In detail</summary>")[2]
    assert '<td class="number"><strong>0.01</strong></td>' in html
    assert "<td><u>dns</u></td>" in html
    assert "y.png" not in html
    assert "<p>Equal budgets.</p>" in section(html, "Tuned hyper-parameters")
    assert '<a href="./table3.md">table3.md</a>' in section(html, "Files beside this page")


def test_configuration_and_environment(store, tmp_path):
    html = written(store, tmp_path)
    assert '<td class="wrap">N=5' in html
    assert "<td>batch_targets</td>" in html
    environment = section(html, "Environment")
    assert '<td>cpu</td><td class="wrap">a processor</td>' in re.sub(r"\s*(<)", r"\1", environment)
    assert "2.9" in environment


def test_failures_are_shown_with_their_last_line(store, tmp_path):
    traceback = 'Traceback\n  File "/home/me/bench/cell.py", line 3\nValueError: too small'
    store.save_failure(cell_of("dns", seed=7), traceback)
    html = written(store, tmp_path)
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
    table = f"# {EVIL}\n\n| a |\n|---|\n| {EVIL} |\n\n[x](javascript:alert(1)) <http://a.test>\n"
    files = {"significance-bce-synthetic.md": table, "tuning.md": table}
    html = written(store, tmp_path, files, ['a"<i>.png'])
    tags = Tags(html).found
    assert [tag for tag, _ in tags].count("script") == 1
    assert not {"b>study", "i", "iframe", "object", "embed", "link", "base"} & {t for t, _ in tags}
    for _, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not attributes.get("href", "#").lower().startswith(("javascript:", "http"))


def test_nothing_is_loaded_from_anywhere(store, tmp_path):
    html = written(store, tmp_path, pictures=["comparison-bce-synthetic.png"])
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
        report.write(copy, tmp_path / name / "reports")
        pages.append((tmp_path / name / "reports" / "index.html").read_bytes())
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]


def test_the_command_trains_what_the_study_has(tmp_path):
    given = ["--preset", "smoke", "--datasets", "beauty-twin", "--backbones", "sasrec", "linrec"]
    given += ["--samplers", "uniform", "mdcns", "gbce", "--objectives", "bpr", "--seeds", "2"]
    given += ["--set", "mdcns.gamma=1.5", "N=15", "sasrec.dropout=0.1"]
    planned = plan_of(given)
    store = Store(tmp_path / "study")
    for cell in planned:
        store.save(result_of(cell))
    (command,) = commands(store)
    words = shlex.split(command.line)
    assert words[:5] == ["python", "-m", "bench.grid", "--study", "study"]
    assert command.notes == []
    assert {cell.key for cell in plan_of(words[3:])} == {cell.key for cell in planned}


def plan_of(arguments):
    options = grid.parser().parse_args(arguments)
    return make_plan(grid.request(options)).cells


def test_settings_that_exclude_each_other_need_a_command_each(tmp_path):
    store = Store(tmp_path / "study")
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 1})))
    store.save(result_of(cell_of("dns+", hyper={"N": 5, "M": 2})))
    found = commands(store)
    assert len(found) == 2
    assert [f"dns+.M={m}" in c.line for c, m in zip(found, (1, 2), strict=True)] in (
        [True, True],
        [False, False],
    )
    assert "In place of made-up give the path of the log." in found[0].notes


@pytest.fixture
def chromium():
    """A headless browser of this system."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
    if found is None:
        pytest.skip("no Chromium found (on Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright (pip install -e '.[browser]')"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.mark.browser
def test_in_a_browser(store, tmp_path, chromium):
    for seed, (sampler, value) in enumerate((("dns", 0.09), ("dns", 0.1), ("srns", 0.3)), 10):
        other = replace(cell_of(sampler), dataset=f"shop {seed}", fingerprint=f"{seed:064d}")
        store.save(costed(other, value))
    store.save_failure(cell_of("dns", seed=7), "ValueError: no")
    report.write(store.root, tmp_path / "reports")
    url = (tmp_path / "reports" / "index.html").as_uri()
    said, asked = [], []
    for width, scheme in ((1280, "light"), (390, "dark")):
        opened = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(url)
        picture = tmp_path / f"page-{width}.png"
        opened.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 10_000
        # Tables scroll in their own containers, so that the page itself never does.
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []
    assert {address for address in asked if not address.startswith("data:")} == {url}

    table = opened.locator("table", has_text="Backbone sasrec").first
    header = table.locator("thead th", has_text="dns")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    down = column(table, header)
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    up = column(table, header)
    numbers = [float(text) for text in down if text != "–"]
    assert numbers == sorted(numbers, reverse=True)
    assert [float(text) for text in up if text != "–"] == numbers[::-1]
    assert down[-6:] == up[-6:] == ["–"] * 6
    table.locator("thead th button").first.press("Space")
    assert table.locator("thead th").first.get_attribute("aria-sort") == "ascending"
    assert header.get_attribute("aria-sort") is None


def column(table, header):
    place = header.evaluate("cell => cell.cellIndex + 1")
    return table.locator(f"tbody td:nth-child({place})").all_inner_texts()

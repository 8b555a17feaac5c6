"""Pages in a browser: sorting, filters, the figure of costs, CSV, keys, paper, accessibility."""

from __future__ import annotations

import csv
import io
import itertools
import re
from dataclasses import replace

import pytest
from support import cell_of
from support.browser import axe, chromium  # noqa: F401 - fixtures
from support.results import costed

from bench.reports import site
from bench.reports.writing import write
from bench.studies.store import Store

pytestmark = pytest.mark.browser
WIDTHS = (1280, 768, 375)


@pytest.fixture
def folder(tmp_path):
    """Reports of a study of two losses, two backbones and several datasets, and a page of all."""
    store = Store(tmp_path / "results" / "study")
    values = {"uniform": 0.1, "dns": 0.3, "mdcns": 0.2, "srns": 0.25}
    for place, dataset in enumerate(("films", "shop, old")):
        for backbone in ("sasrec", "gru4rec"):
            for k, (sampler, value) in enumerate(values.items()):
                if (dataset, backbone, sampler) == ("films", "gru4rec", "srns"):
                    continue
                cell = replace(
                    cell_of(sampler, backbone), dataset=dataset, fingerprint=f"{place:064d}"
                )
                result = costed(cell, value / (1 + place), synthetic=False)
                result.environment["device"] = "cpu"
                result.timings["cpu_s"] = 60.0 * 3**k
                store.save(result)
    store.save(costed(cell_of("dns", objective="bpr"), 0.2, synthetic=False))
    store.save_failure(cell_of("dns", seed=7), "ValueError: no")
    write(store.root, tmp_path / "reports" / "study")
    site.write(tmp_path / "results", tmp_path / "reports")
    return tmp_path / "reports"


@pytest.fixture
def opened(folder, chromium):  # noqa: F811
    """The study's page, at the width of a desk; nothing it says is a complaint."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((folder / "study" / "index.html").as_uri())
    yield page
    assert said == []


def column(table, header):
    place = header.evaluate("cell => cell.cellIndex + 1")
    return table.locator(f"tbody td:nth-child({place})").all_inner_texts()


def shown(page, caption, column=0):
    """Texts of a column's cells that are in sight, of the first table of a caption."""
    return page.evaluate(
        """([caption, column]) => [...document.querySelector(`table[data-name="${caption}"]`)
          .tBodies[0].rows].filter((row) => !row.hidden && !row.cells[column].hidden)
          .map((row) => row.cells[column].dataset.text ?? row.cells[column].textContent)""",
        [caption, column],
    )


def test_pages_fit_every_width_and_ask_for_nothing(folder, chromium):  # noqa: F811
    for path in (folder / "study" / "index.html", folder / "index.html"):
        for width, scheme in zip(WIDTHS, ("light", "dark", "light"), strict=True):
            page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
            asked = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.goto(path.as_uri())
            # Tables scroll in their own containers, so that the page itself never does.
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}
            assert page.locator(".contents").evaluate("part => part.open") == (width == 1280)


def test_headers_sort_by_click_and_by_key(opened):
    table = opened.locator('table[data-name="Backbone gru4rec"]')
    header = table.locator("thead th", has_text="srns")
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    down = column(table, header)
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    up = column(table, header)
    numbers = [float(text.split()[0]) for text in down if text != "–"]
    assert numbers == sorted(numbers, reverse=True)
    assert [float(text.split()[0]) for text in up if text != "–"] == numbers[::-1]
    assert down[-6:] == up[-6:] == ["–"] * 6
    table.locator("thead th button").first.press("Space")
    assert table.locator("thead th").first.get_attribute("aria-sort") == "ascending"
    assert header.get_attribute("aria-sort") is None


def test_filters_are_kept_in_the_address(opened, folder, chromium):  # noqa: F811
    every = shown(opened, "Backbone sasrec", 1)
    opened.locator(".filters summary").click()
    opened.get_by_label("none: metric").click()
    opened.locator('fieldset[data-facet="metric"] input[value="NG@10"]').check()
    opened.locator('fieldset[data-facet="dataset"] input[value="shop, old"]').uncheck()
    assert shown(opened, "Backbone sasrec", 1) == ["NG@10"]
    assert shown(opened, "Backbone sasrec") == ["films"]
    opened.locator('fieldset[data-facet="sampler"] input[value="srns"]').uncheck()
    heads = opened.locator('#comparison-bce table[data-name="Backbone sasrec"] thead th:visible')
    names = heads.all_inner_texts()
    assert [re.sub(r"\W+$", "", name) for name in names] == [
        "dataset", "metric", "uniform", "dns", "mdcns",
    ]  # fmt: skip
    assert "srns" not in shown(opened, "Cost", 2)

    other = chromium.new_page()
    other.goto(opened.url)
    assert shown(other, "Cost", 2) == shown(opened, "Cost", 2)
    assert not other.locator('fieldset[data-facet="sampler"] input[value="srns"]').is_checked()

    opened.go_back()
    assert "srns" in shown(opened, "Cost", 2)
    opened.go_forward()
    assert "srns" not in shown(opened, "Cost", 2)
    opened.get_by_role("button", name="Show all").click()
    assert shown(opened, "Backbone sasrec", 1) == every
    assert "hide" not in opened.url


def test_whole_parts_are_hidden_by_backbone_and_objective(opened):
    opened.locator(".filters summary").click()
    opened.locator('fieldset[data-facet="backbone"] input[value="gru4rec"]').uncheck()
    assert not opened.locator('table[data-name="Backbone gru4rec"]').is_visible()
    assert opened.locator('table[data-name="Backbone sasrec"]').first.is_visible()
    assert opened.locator('figure[data-backbone="gru4rec"]').first.is_hidden()
    opened.locator('fieldset[data-facet="objective"] input[value="bpr"]').uncheck()
    assert opened.locator("#comparison-bpr").is_hidden()
    assert opened.locator("#comparison-bce").is_visible()


def test_a_row_hides_its_sampler_everywhere_and_comes_back(opened):
    table = opened.locator('table[data-name="NG@10, sasrec, the best on top"]').first
    table.get_by_label("Hide srns everywhere").click()
    assert "srns" not in shown(opened, "NG@10, sasrec, the best on top")
    assert "srns" not in shown(opened, "Cost", 2)
    opened.get_by_role("button", name="Show srns again").click()
    assert "srns" in shown(opened, "Cost", 2)


def test_costs_name_a_point_by_key_and_follow_the_filters(opened):
    figure = opened.locator('#comparison-bce figure[data-backbone="sasrec"]')
    assert figure.locator("img").is_hidden()
    panel = figure.locator(".panel").first
    labels = [point.get_attribute("aria-label") for point in panel.locator(".point").all()]
    assert labels[0] == "uniform: NG@10 0.1000, 60.0 CPU seconds; on the Pareto front"
    assert labels[2] == "mdcns: NG@10 0.2000, 540.0 CPU seconds"
    panel.locator(".point").first.focus()
    opened.keyboard.press("ArrowRight")
    assert panel.locator(".tip").inner_text().startswith("dns: NG@10 0.3000, 180.0 CPU seconds")
    # On a logarithmic axis equal ratios are equal distances.
    places = [
        float(re.search(r"translate\(([\d.]+)", point.get_attribute("transform"))[1])
        for point in panel.locator(".point").all()
    ]
    steps = [right - left for left, right in itertools.pairwise(places)]
    assert steps == pytest.approx([steps[0]] * 3)
    figure.locator(".legend button", has_text="mdcns").click()
    assert panel.locator('.point[data-sampler="mdcns"]').count() == 0
    assert "mdcns" not in shown(opened, "Cost", 2)
    figure.locator(".legend button", has_text="mdcns").press("Enter")
    assert panel.locator('.point[data-sampler="mdcns"]').count() == 1


def test_a_table_is_saved_with_every_digit(opened):
    with opened.expect_download() as saving:
        opened.get_by_label("Table Cost as CSV").first.click()
    assert saving.value.suggested_filename == "study-Cost.csv"
    with open(saving.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    (row,) = [
        row for row in rows
        if (row["dataset"], row["backbone"], row["sampler"]) == ("shop, old", "sasrec", "srns")
    ]  # fmt: skip
    assert row["targets/s"] == "12345.6"
    assert float(row["NG@10"]) == 0.125
    assert row["cost, CPU seconds"] == "1620.0"


def test_links_open_what_is_folded(opened):
    detail = opened.locator("#comparison-bce details", has_text="In detail")
    assert detail.evaluate("part => part.open") is False
    link = detail.locator("h4 a").first.get_attribute("href")
    opened.evaluate("link => { location.hash = link; }", link)
    opened.wait_for_function("document.querySelector(location.hash).checkVisibility()")
    assert detail.evaluate("part => part.open") is True


def test_paper_has_all_of_it(opened):
    opened.emulate_media(media="print")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins
    for picture in opened.locator("main img").all():
        assert picture.is_visible()
    assert opened.locator(".side nav").is_hidden()
    right = opened.evaluate(
        """Math.max(...[...document.querySelectorAll("main td, main th, main pre, main img")]
          .filter((one) => one.checkVisibility())
          .map((one) => one.getBoundingClientRect().right))"""
    )
    assert right <= 703
    assert opened.locator("main details:not([open])").count() == 0


@pytest.mark.parametrize("name", ["study/index.html", "index.html"])
def test_no_serious_issue_of_accessibility(folder, chromium, axe, name):  # noqa: F811
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            page = chromium.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
            page.goto((folder / name).as_uri() + "?hide=sampler%3Adns")
            for opening in ("part => part", "part => { part.open = true; }"):
                page.locator("main details").evaluate_all(f"all => all.forEach({opening})")
                page.evaluate(axe)
                found = page.evaluate("axe.run()")["violations"]
                grave = [each for each in found if each["impact"] in ("serious", "critical")]
                assert [(each["id"], each["nodes"][0]["html"]) for each in grave] == []

"""What a page can be filtered by, and its figures in words."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

import pytest
from support import cell_of
from support.results import costed

from bench.analysis.comparison import comparisons
from bench.reports import alt_texts
from bench.reports.document import Heading, Paragraph
from bench.reports.facets import OWN, Facets, about, objective_of
from bench.studies.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "study")
    for dataset, factor in (("films", 1.0), ("old, new", 0.5)):
        for sampler, value in (("uniform", 0.1), ("dns", 0.3), ("mdcns", 0.2)):
            cell = replace(cell_of(sampler), dataset=dataset, fingerprint=dataset[0] * 64)
            result = costed(cell, value * factor, synthetic=False)
            result.timings["wall_s"] = 1000 * value
            result.data["references"] = {"popularity": {"ndcg@10": 0.05}}
            store.save(result)
    return store


def test_only_what_there_is_a_choice_of_is_offered(store):
    facets = Facets.of(comparisons(store))
    assert {name: list(values) for name, values in facets.offered.items()} == {
        "sampler": ["uniform", "dns", "mdcns", "popularity ranking"],
        "dataset": ["films", "old, new"],
        "metric": ["RC@5", "RC@10", "RC@20", "NG@5", "NG@10", "NG@20"],
    }
    assert facets.values["objective"] == ["bce"]


def test_columns_are_of_a_facet_or_about_a_value(store):
    facets = Facets.of(comparisons(store))
    assert facets.column("sampler", text=True) == {"data-facet": "sampler"}
    assert facets.column("second", text=True) == {"data-facet": "sampler"}
    assert facets.column("dns", text=False) == {"data-value": "sampler:dns"}
    assert facets.column("NG@10", text=False) == {"data-value": "metric:NG%4010"}
    assert facets.column("old, new", text=False) == {"data-value": "dataset:old%2C%20new"}
    assert facets.column("seeds", text=False) == facets.column("value", text=True) == {}


def test_headings_say_what_the_parts_below_them_are_about(store):
    facets = Facets.of(comparisons(store))
    first, *rest = [Paragraph("a"), Heading("sasrec"), Paragraph("b"), Heading("old, new, sasrec")]
    blocks = facets.blocks([first, *rest, Heading("Cost"), Paragraph("c")])
    assert [each for each, _ in blocks] == [
        "", "backbone:sasrec", "dataset:old%2C%20new backbone:sasrec", "",
    ]  # fmt: skip
    assert [len(parts) for _, parts in blocks] == [1, 2, 1, 2]


def test_no_name_can_be_taken_for_two():
    names = [("sampler", "a b:c%20"), ("dataset", 'x"<y>')]
    attribute = about(*names)
    found = [each.split(":") for each in attribute.split(" ")]
    assert [(facet, unquote(value)) for facet, value in found] == names


def test_the_objective_of_samplers_with_their_own_is_called_so(tmp_path):
    store = Store(tmp_path / "study")
    store.save(costed(cell_of("gbce"), 0.1))
    (comparison,) = comparisons(store)
    assert objective_of(comparison) == OWN


def test_figures_say_who_is_best_and_worst(store):
    (comparison,) = comparisons(store)
    found = alt_texts.described(comparison, None)
    assert "films, sasrec: best dns 0.3000, worst uniform 0.1000." in found["comparison-bce"].text
    assert (
        "old, new, sasrec: best dns 0.1500, worst uniform 0.0500." in found["comparison-bce"].text
    )
    gains = found["gains-bce"].text
    assert "films, sasrec: best dns +200.0 %, worst mdcns +100.0 %." in gains
    costs = found["costs-bce-sasrec"]
    assert (
        "films: best dns, 0.3000 at 300 seconds; worst uniform, 0.1000 at 100 seconds; "
        "cheapest uniform, 0.1000 at 100 seconds; dearest dns, 0.3000 at 300 seconds." in costs.text
    )
    assert (costs.backbone, costs.costs) == ("sasrec", ("cost, seconds", "NG@10"))


def test_of_many_panels_the_extremes_are_told(tmp_path):
    store = Store(tmp_path / "study")
    for place in range(alt_texts.MOST + 1):
        for sampler, value in (("uniform", 0.1), ("dns", 0.2)):
            cell = replace(cell_of(sampler), dataset=f"d{place}", fingerprint=f"{place:064d}")
            store.save(costed(cell, value * (1 + place), synthetic=False))
    (comparison,) = comparisons(store)
    assert (
        "Of 9 panels, best on 9: dns; worst on 9: uniform. Highest 1.8000, dns on d8, sasrec; "
        "lowest 0.1000, uniform on d0, sasrec." in alt_texts.described(comparison, None)[
            "comparison-bce"
        ].text
    )  # fmt: skip

"""Plots: all there, the same bytes again, and legible."""

from __future__ import annotations

import colorsys
import io
import itertools
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from scipy.stats import t
from support import cell_of
from support.figures import DATASETS, check_legible, composed, study_of
from support.results import result_of

import backbones
import samplers
from bench.analysis.comparison import comparisons
from bench.analysis.names import file_stem
from bench.reports.plots import buckets, costs, curves, draw, fonts, gains, style
from bench.reports.plots import looks as looks_module
from bench.reports.plots.looks import FAMILIES, KNOWN, MARKERS, OTHERS
from bench.reports.plots.style import log_ticks
from bench.studies.store import Store

KINDS = ("costs", "validation", "loss", "diagnostics", "buckets")


@pytest.fixture
def named(monkeypatch):
    """The figures by name of file."""
    figures, picture = {}, style.picture

    def kept(name, caption, figure):
        figures[name] = figure
        return picture(name, caption, figure)

    monkeypatch.setattr(style, "picture", kept)
    return figures


@pytest.fixture
def drawn(named, monkeypatch):
    """The figures, each held to be legible; no files are made of them."""

    def checked(figure):
        files = composed(figure)
        check_legible(figure)
        return files

    monkeypatch.setattr(style, "rendered", checked)
    return named


@pytest.fixture
def printed(named, monkeypatch):
    """The figures, each held to be legible as it was when its file was made."""
    save = Figure.savefig

    def spy(figure, target, **options):
        save(figure, target, **options)
        if options["format"] == "png":
            check_legible(figure)

    monkeypatch.setattr(Figure, "savefig", spy)
    return named


def test_many_samplers_and_datasets_are_legible(tmp_path, printed):
    names = samplers.registry.names()
    comparison = study_of(tmp_path / "study", names, datasets=DATASETS, gaps=True)
    pictures = draw.draw(comparison)
    stems = {"comparison-bce-synthetic", "gains-bce-synthetic"}
    stems |= {f"{kind}-bce-synthetic-sasrec" for kind in KINDS}
    assert {picture.name for picture in pictures} == stems
    for picture in pictures:
        assert min(len(picture.png), len(picture.svg)) > 10_000
        assert "SYNTHETIC" in printed[picture.name].get_suptitle()
        image = plt.imread(io.BytesIO(picture.png))
        assert image.shape[1] < 2000
        assert image.std() > 0.02


def test_two_panels_side_by_side_are_legible(tmp_path, drawn):
    names = ["uniform", "dns", "mdcns"]
    draw.draw(study_of(tmp_path / "study", names, datasets=DATASETS[:2]))
    assert "costs-bce-synthetic-sasrec" in drawn


def test_a_dataset_may_have_a_long_name(tmp_path, recwarn):
    comparison = study_of(tmp_path / "study", ["uniform", "dns"], datasets=DATASETS[:1])
    long = "ecommerce_events_2024_march (content=2a118363, split=4bdbd3bf)"
    with plt.rc_context(style.STYLE):
        figure = gains.figure_of(replace(comparison, cells=comparison.cells.assign(dataset=long)))
        composed(figure)
        check_legible(figure)
    assert not [each for each in recwarn if "constrained_layout" in str(each.message)]


def test_long_names_are_wrapped_and_still_legible(tmp_path, drawn):
    comparison = study_of(tmp_path / "study", ["uniform", "dns+", "mdcns"], seeds=2)
    long = "mdcns (adasir.N=100, gamma=1.5, peer=mamba4rec, tau=0.1)"
    cells = comparison.cells.replace({"sampler": {"mdcns": long}})
    title = comparison.title + ", and much else that a title may have to say of a protocol" * 2
    draw.draw(replace(comparison, cells=cells, title=title))
    assert len(drawn) == 7


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    comparison = study_of(tmp_path / "study", ["uniform", "dns"])
    assert draw.draw(comparison) == draw.draw(comparison)


def test_a_sampler_looks_the_same_everywhere(tmp_path, drawn):
    comparison = study_of(tmp_path / "study", ["uniform", "dns", "mdcns"], ("sasrec", "gru4rec"))
    looks = draw.looks_of(["mdcns", "dns", "uniform", "mixed"])
    draw.draw(comparison, looks)
    for kind, backbone in itertools.product(KINDS, ("sasrec", "gru4rec")):
        figure = drawn[f"{kind}-bce-synthetic-{backbone}"]
        in_panels = {line.get_color() for axes in figure.axes for line in axes.lines}
        names = ("uniform", "dns", "mdcns")
        if kind == "costs":  # every point is named where it is
            assert {looks[name].colour for name in names} <= in_panels
            shown = [text for axes in figure.axes for text in axes.texts]
            assert sorted(text.get_text() for text in shown) == sorted(names)
            continue
        legend = figure.legends[0]
        known = dict(zip([t.get_text() for t in legend.texts], legend.legend_handles, strict=True))
        for name in names:
            assert to_rgba(known[name].get_color()) == to_rgba(looks[name].colour)
            assert known[name].get_marker() == looks[name].marker
            assert looks[name].colour in in_panels


def test_looks_are_told_apart_and_do_not_depend_on_the_order():
    names = [f"sampler-{i:02}" for i in range(30)] + ["uniform"]
    looks = draw.looks_of(names)
    assert looks == draw.looks_of(reversed(names))
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(names)
    assert len({look.colour for look in draw.looks_of(names[-7:]).values()}) == 7
    assert len(set(MARKERS)) == len(MARKERS)


def test_a_known_sampler_looks_the_same_in_every_study_and_like_its_family():
    names = [*KNOWN, "uniform"]
    looks = draw.looks_of([*names, "dns+ (M=5)", "dns+ (M=10)", "a-stranger"])
    assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)
    for name in names:
        assert draw.looks_of([name, "dns+ (M=5)", "b-stranger"])[name] == looks[name]
    hues = {name: colorsys.rgb_to_hsv(*to_rgb(look.colour))[0] for name, look in looks.items()}
    for family in FAMILIES:
        of_family = [hues[name] for name in family.samplers]
        assert max(of_family) - min(of_family) < 0.2
    assert abs(hues["dns+ (M=5)"] - hues["dns"]) < 0.2
    registered = samplers.registry.names() + samplers.registry.variants()
    assert set(registered) - set(names) == set()


def test_colours_are_seen_on_white_and_neighbours_are_told_apart_in_grey():
    def luminance(colour):  # WCAG 2
        parts = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for colour in (*OTHERS, *(each for family in FAMILIES for each in family.colours)):
        assert 1.05 / (luminance(colour) + 0.05) >= 3
    for family in FAMILIES:
        for one, other in itertools.pairwise(family.colours):
            low, high = sorted([luminance(one), luminance(other)])
            assert (high + 0.05) / (low + 0.05) > 1.2


def test_lines_that_one_cannot_follow_are_grey():
    names = ["mixed", "gbce", "mdcns", "dns+ (M=5)", "dns", "popularity", "ahns", "a-stranger"]
    looks = draw.looks_of([*names, "uniform"])
    assert looks_module.highlighted(names[:6], looks) == looks  # as many as are told apart
    shown = looks_module.highlighted([*names, "uniform"], looks)
    named = [name for name, look in shown.items() if look != looks_module.OTHER]
    # The best of each family, a stranger being one, and the baseline, which is last here.
    assert named == ["mixed", "mdcns", "dns+ (M=5)", "popularity", "a-stranger", "uniform"]
    assert all(shown[name] == looks[name] for name in named)


def test_figures_of_lines_say_how_many_are_grey(tmp_path, drawn):
    draw.draw(study_of(tmp_path / "study", samplers.registry.names()))
    for kind in ("validation", "diagnostics"):
        figure = drawn[f"{kind}-bce-synthetic-sasrec"]
        assert len(figure.legends[0].texts) == 7
        others = f"{len(samplers.registry.names()) - 6} others"
        assert figure.legends[0].texts[-1].get_text() == others


def test_buckets_of_few_predictions_are_not_drawn(tmp_path):
    store = Store(tmp_path)
    result = result_of(cell_of("uniform"), 0.1)
    for label, users in (("head", 100), ("torso", 99), ("tail", 5)):
        result.buckets[f"popularity:{label}"] = {"users": users, "ndcg@10": 0.1}
    store.save(result)
    (comparison,) = comparisons(store)
    ((_, figure),) = buckets.figures(comparison, draw.looks_of(["uniform"]))
    (labels,) = ([tick.get_text() for tick in axis.get_xticklabels()] for axis in figure.axes)
    assert labels == ["head\n(100)"]


@pytest.mark.parametrize("name", ["uniform", "gbce"])
def test_a_single_cell_is_drawn_without_gains(tmp_path, drawn, name):
    draw.draw(study_of(tmp_path / "study", [name]))
    assert not any(path.startswith("gains") for path in drawn)
    assert len(drawn) == 1 + len(KINDS)


@pytest.mark.parametrize("datasets", [DATASETS[:1], DATASETS])
@pytest.mark.parametrize("names", [("sasrec",), tuple(backbones.registry.names())])
def test_gains_of_a_single_sampler_are_legible(tmp_path, drawn, datasets, names):
    comparison = study_of(tmp_path / "study", ["uniform", "dns"], names, datasets=datasets)
    cells = comparison.cells.replace({"sampler": {"dns": "mdcns-peer-mamba4rec"}})
    comparison = replace(comparison, cells=cells)
    with style.presented(None):
        figure = gains.figure_of(comparison)
        style.rendered(figure)
    assert [axis.get_title() for axis in figure.axes[: len(names)]] == sorted(names)


def test_a_backbone_without_uniform_has_no_gains(tmp_path):
    comparison = study_of(tmp_path / "study", ["uniform", "dns"], ("sasrec", "gru4rec"))
    cells = comparison.cells.query("backbone == 'sasrec' or sampler != 'uniform'")
    figure = gains.figure_of(replace(comparison, cells=cells))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles.count("sasrec") == 1
    assert "gru4rec" not in titles


def test_what_was_not_measured_is_not_drawn(tmp_path, drawn):
    store = Store(tmp_path / "study")
    for name, value in (("uniform", 0.0), ("dns", 0.5)):
        store.save(replace(result_of(cell_of(name), value), timings={"train_s": 1.0}))
    draw.draw(comparisons(store)[0])
    assert {name.split("-")[0] for name in drawn} == {"comparison", "loss"}


def test_intervals_are_over_users_of_the_mean_over_seeds(tmp_path):
    """One meaning in tables and plots, whatever the number of seeds; over two seeds none."""
    store, rng = Store(tmp_path), np.random.default_rng(0)
    gains = []
    for seed in (0, 1):
        ranks = rng.choice([1.0, 3.0, 7.0, 30.0], size=50)
        gains.append(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0))
        result = result_of(cell_of("dns", seed=seed), gains[-1].mean())
        store.save(replace(result, arrays={"rank": ranks, "user": np.arange(50)}))
    (comparison,) = comparisons(store)
    found = comparison.intervals().loc["made-up", "sasrec", "dns"]
    users = np.mean(gains, axis=0)
    half = t.ppf(0.975, 49) * users.std(ddof=1) / np.sqrt(50)
    expected = {"mean": users.mean(), "low": users.mean() - half, "high": users.mean() + half}
    assert found.to_dict() == pytest.approx(expected)
    assert comparison.margins("sasrec").loc[("made-up", "NG@10"), "dns"] == pytest.approx(half)
    assert comparison.spread().empty
    third = result_of(cell_of("dns", seed=2), 0.3)
    store.save(replace(third, arrays={"rank": np.full(50, 7.0), "user": np.arange(50)}))
    values = [*(each.mean() for each in gains), 0.3]
    (spread,) = comparisons(store)[0].spread().to_numpy().tolist()
    assert spread == pytest.approx([3, np.mean(values), np.std(values, ddof=1)])


@pytest.mark.parametrize(
    ("devices", "label", "shown"),
    [
        (["cpu", "cpu"], "CPU seconds", 2),
        (["cpu", "cuda"], "CPU seconds", 1),
        (["cuda", "cuda"], "seconds", 2),
    ],
)
def test_seconds_of_cpus_and_of_gpus_are_never_compared(tmp_path, devices, label, shown):
    store = Store(tmp_path)
    for device, sampler in zip(devices, ["uniform", "dns"], strict=True):
        result = result_of(cell_of(sampler), 0.1)
        result.environment["device"] = device
        store.save(result)
    (comparison,) = comparisons(store)
    ((_, figure),) = costs.figures(comparison, draw.looks_of(["uniform", "dns"]))
    assert figure.axes[0].get_xlabel() == label
    points = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", "")]
    assert len(points) == shown
    expected = 1.5 if label.startswith("CPU") else 2.0
    assert all(list(point.get_xdata()) == [expected] for point in points)
    costs_of = comparison.costs().droplevel([0, 1])
    assert costs_of["peak_mb"].isna().to_dict() == {
        name: device == "cuda" and "cpu" in devices
        for name, device in zip(["uniform", "dns"], devices, strict=True)
    }


def test_the_front_is_what_nothing_beats():
    points = pd.DataFrame(
        {costs.SECONDS: [1, 2, 3, 3, 9], "ndcg@10": [0.1, 0.05, 0.3, 0.2, 0.3]},
        index=["fast", "worse", "good", "beaten", "slow"],
    )
    assert costs.pareto_front(points) == ["fast", "good"]


@pytest.mark.parametrize(("low", "high"), [(0.5, 1.6), (2.2, 4.95), (7.5, 17), (1, 1e4), (1, 1e9)])
def test_ticks_are_a_few_round_numbers(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 4
    assert all(low <= tick <= high for tick in ticks)


def test_gains_are_relative_to_uniform_and_gaps_stay_gaps():
    cells = pd.DataFrame(
        [
            ("d", "sasrec", "uniform", 0.1), ("d", "sasrec", "uniform", 0.3),
            ("d", "sasrec", "dns", 0.3), ("e", "sasrec", "dns", 0.3),
            ("f", "sasrec", "uniform", 0.0), ("f", "sasrec", "dns", 0.3),
        ],
        columns=["dataset", "backbone", "sampler", "ndcg@10"],
    )  # fmt: skip
    found = gains.improvements(cells)["dns"]
    assert found["sasrec", "d"] == pytest.approx(50)
    assert found.isna().sum() == 2
    assert gains.improvements(cells[cells["sampler"] == "dns"]).empty
    assert gains.improvements(cells[cells["sampler"] == "uniform"]).empty


def test_a_mean_over_seeds_ends_where_the_first_of_them_does(tmp_path):
    comparison = study_of(tmp_path / "study", ["dns"], seeds=2)
    lengths = [len(comparison.store.epochs(key)) for key in comparison.cells["key"]]
    history = curves.histories(comparison)
    assert sorted(lengths) == [1, 21]
    assert len(history) == 1


def test_running_means_are_of_the_epochs_around_and_of_one_line():
    lines = [("d", name, epoch) for name in ("dns", "uniform") for epoch in (1, 2, 3, 4)]
    index = pd.MultiIndex.from_tuples(lines, names=["dataset", "sampler", "epoch"])
    epochs = pd.DataFrame({"hardness": [0.0, 3.0, 6.0, 0.0, 9.0, 9.0, 9.0, 9.0]}, index=index)
    means = curves.running_means(epochs, 3)["hardness"]
    assert means.tolist() == [1.5, 3.0, 3.0, 3.0, 9.0, 9.0, 9.0, 9.0]
    assert curves.running_means(epochs, 1).equals(epochs)


def test_file_names_hold_no_blanks_or_brackets():
    assert file_stem("loss", "bce", "mamba4rec (layers=1)") == "loss-bce-mamba4rec-layers=1"


def titled(*titles):
    figure, _ = style.panels(titles, 1.0)
    return figure


def test_names_that_the_usual_font_lacks_are_drawn_with_one_that_has_them(recwarn, capsys):
    """STIX, which comes with matplotlib, has circled letters."""
    figure, usual = titled("Ⓐ Ⓑ", "plain"), titled("plain", "plain")
    for each in (figure, usual):
        style.rendered(each)
    with_circles, plain = figure.axes
    assert with_circles.title.get_fontfamily()[0] == plain.title.get_fontfamily()[0]
    assert len(with_circles.title.get_fontfamily()) == 2
    assert plain.title.get_fontfamily() == usual.axes[0].title.get_fontfamily()
    assert not recwarn and not capsys.readouterr().err


def test_what_no_font_has_is_said_once(recwarn, capsys):
    fonts._say_missing.cache_clear()
    for name in ("\U000e0fff", "\U000e0ffe a"):
        style.rendered(titled(name, "plain"))
    assert capsys.readouterr().err.count("warning:") == 1
    assert not recwarn

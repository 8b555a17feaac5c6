"""Studies with all that plots can show, and whether what is drawn can be read."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.text import Text

from bench.analysis.comparison import comparisons
from bench.reports.plots import style
from bench.studies.store import Store
from support import cell_of
from support.results import result_of

DATASETS = tuple(f"{name}-twin" for name in ("beauty", "toys", "sports", "health", "lastfm"))


def history_of(n, level, rng, peer):
    """Rows of ``epochs.csv``."""
    epochs = np.arange(1, n + 1)
    frame = pd.DataFrame({"epoch": epochs, "loss": np.exp(-epochs / 40) + level})
    frame["valid_ndcg@10"] = level * (1 - np.exp(-epochs / 8)) + 0.002 * rng.normal(size=n)
    frame["false_negatives"] = 0.01 + 0.1 * level * epochs
    frame["true_false_negatives"] = frame["false_negatives"] / 5
    for name in ("entropy", "hardness", "negative_gradient", *["agreement"] * peer):
        frame[name] = rng.random() + 0.01 * epochs
    return frame.to_dict("records")


def study_of(root, names, backbones=("sasrec",), datasets=("made-up",), seeds=1, gaps=False):
    """The comparison of made-up cells, with all that plots can show."""
    store, rng = Store(root), np.random.default_rng(0)
    everything = itertools.product(range(len(datasets)), backbones, enumerate(names), range(seeds))
    for number, (d, backbone, (s, name), seed) in enumerate(everything):
        if gaps and number % 7 == 3:
            continue
        level = 0.03 + 0.02 * d + 0.002 * s + 0.003 * rng.random()
        cell = replace(
            cell_of(name, backbone, seed=seed), dataset=datasets[d], fingerprint=f"{d}" * 64
        )
        result = result_of(cell, level)
        seconds = (1 + s % 7) * (1 + d) * np.exp(0.3 * rng.normal())
        result.timings.update(train_s_to_best=seconds, train_s=2 * seconds, cpu_s=seconds)
        result.environment["device"] = "cpu"  # of the two labels of costs the longer one
        result.data["references"] = {"popularity": {"ndcg@10": 0.02}, "oracle": {"ndcg@10": 0.2}}
        for kind, labels in (("popularity", "head torso tail"), ("length", "1-5 6-10 11-20 >50")):
            for i, label in enumerate(labels.split()):
                bucket = {"users": 1000 * (i + 1), "ndcg@10": level / (i + 1)}
                result.buckets[f"{kind}:{label}"] = bucket
        epochs = history_of(1 + 20 * (d + seed), level, rng, name == "mdcns")
        store.save(replace(result, epochs=epochs))
    return comparisons(store)[0]


def texts_of(figure):
    """What is written, and the boxes it takes in pixels; ticks outside of the axes are not."""
    ticks, shown = set(), []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                ticks |= {tick.label1, tick.label2}
                if tick.get_visible() and low <= tick.get_loc() <= high:
                    shown += [tick.label1, tick.label2]
    shown += [text for text in figure.findobj(Text) if text not in ticks]
    shown = [text for text in shown if text.get_visible() and text.get_text().strip()]
    assert shown
    return [(text.get_text(), Text.get_window_extent(text)) for text in shown]


def composed(figure):
    """In place of `style.rendered`: everything gets its place, what a legend holds included, and no
    file is made."""
    style.lay_out(figure)
    figure.draw_without_rendering()
    return {}


def check_legible(figure):
    """Nothing that is written leaves the figure or covers another; legends cover no panel."""
    found = texts_of(figure)
    for text, box in found:
        inside = figure.bbox.padded(1)
        assert inside.contains(box.x0, box.y0), f"{text!r} leaves the figure"
        assert inside.contains(box.x1, box.y1), f"{text!r} leaves the figure"
    boxes = np.array([box.padded(-1).extents for _, box in found])
    low, high = boxes[:, :2], boxes[:, 2:]
    overlapping = ((low[:, None] < high) & (low < high[:, None])).all(axis=2)
    pairs = [(found[i][0], found[j][0]) for i, j in np.argwhere(overlapping) if i < j]
    assert not pairs
    for legend, axes in itertools.product(figure.legends, figure.axes):
        assert not legend.get_window_extent().overlaps(axes.get_window_extent())

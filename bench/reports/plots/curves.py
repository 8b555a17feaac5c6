"""What happens over the epochs: validation accuracy, training loss, and what samplers draw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.analysis.verdict import by_rank
from bench.metrics import HEADLINE
from bench.reports.plots import style
from bench.reports.plots.looks import OTHER, Looks, highlighted

DIAGNOSTICS = {
    "false_negatives": "false negatives\n(taken later)",
    "true_false_negatives": "false negatives\n(true probability)",
    "entropy": "entropy of\nthe draws",
    "hardness": "hardness",
    "agreement": "agreement of\nself and peer",
    "negative_gradient": "gradient of\nthe negatives",
}
"""Column of ``epochs.csv`` to its name in the plot."""

NARROW = 0.9
"""Inches of a panel that has no room for more than three ticks."""

MARKS = 6
"""Marks a line, so that lines are told apart and not hidden."""

SMOOTHED = 20
"""Windows of a running mean that the longest line of a figure has."""

SEEDS = " Means over seeds, as far as all of them trained."


def histories(comparison: Comparison) -> pd.DataFrame:
    """Means over seeds of what ``epochs.csv`` holds, by dataset, backbone, sampler and epoch.

    Seeds stop at different epochs.  A mean over those still training would jump where one stops,
    so it ends there.
    """
    names = ["dataset", "backbone", "sampler"]
    each = [comparison.store.epochs(key) for key in comparison.trained["key"]]
    cell = np.repeat(np.arange(len(each)), [len(epochs) for epochs in each])
    labels = comparison.trained[names].iloc[cell].reset_index(drop=True)
    epochs = pd.concat(each, ignore_index=True).join(labels).groupby([*names, "epoch"])
    runs = comparison.trained.groupby(names).size().to_dict()
    means = epochs.mean(numeric_only=True)
    reached = epochs.size()
    return means[reached.to_numpy() == [runs[key[:-1]] for key in reached.index]]


def validation(
    comparison: Comparison, history: pd.DataFrame, looks: Looks
) -> Iterator[tuple[str, Figure]]:
    """Validation accuracy against the epoch: a figure a backbone, a panel a dataset."""
    column = f"valid_{HEADLINE}"
    yield from _curves(comparison, history, looks, column, f"valid {style.metric()}", "Validation")


def loss(
    comparison: Comparison, history: pd.DataFrame, looks: Looks
) -> Iterator[tuple[str, Figure]]:
    """Training loss against the epoch, on a logarithmic axis: a figure a backbone, a panel a
    dataset.

    Losses of several kinds are no more comparable than metres and seconds, so samplers with a
    loss of their own are left out, unless there are no others.
    """
    registered = history.index.get_level_values("sampler").str.partition(" (").get_level_values(0)
    own = registered.isin(list(comparison.own_loss))
    left_out = bool(own.any() and not own.all())
    note = " Without samplers that have their own loss." if left_out else ""
    shown = history[~own] if left_out else history
    yield from _curves(
        comparison, shown, looks, "loss", "training loss", "Training loss", note, log=True
    )


def diagnostics(
    comparison: Comparison, history: pd.DataFrame, looks: Looks
) -> Iterator[tuple[str, Figure]]:
    """What samplers draw (see `bench.training.loop.diagnostics`): a figure a backbone.

    A row a diagnostic, a column a dataset.  Where the true probabilities are known, false
    negatives are told by them.  Lines are running means: an epoch's value is of a few hundred
    targets.
    """
    looks = _told_apart(comparison, looks)
    known = [name for name in DIAGNOSTICS if name in history and history[name].notna().any()]
    if "true_false_negatives" in known:
        known = [name for name in known if name != "false_negatives"]
    for backbone, epochs in _by_backbone(history):
        rows = [name for name in known if epochs[name].notna().any()]
        datasets = list(epochs.index.unique("dataset"))
        if not rows:
            continue
        window = max(1, int(epochs.index.get_level_values("epoch").max()) // SMOOTHED)
        smooth = running_means(epochs[rows], window)
        needed = style.COLUMN if len(datasets) <= 2 else max(style.WIDE, 0.6 + 1.05 * len(datasets))
        width = style.given_width() or needed
        figure = Figure(figsize=(width, 0.8 + 0.95 * len(rows)), layout="constrained")
        axes = figure.subplots(len(rows), len(datasets), squeeze=False, sharex="col", sharey="row")
        drawn: set[str] = set()
        for j, dataset in enumerate(datasets):
            for i, name in enumerate(rows):
                drawn |= _lines(axes[i, j], smooth.loc[dataset], name, looks)
            room = (width - 0.7) / len(datasets) - 0.1
            axes[0, j].set_title(style.wrapped(style.printed(dataset), room))
            axes[-1, j].set_xlabel("epoch")
            if style.given_width() is not None and room < NARROW:
                axes[-1, j].locator_params(axis="x", nbins=2)
        for axis, name in zip(axes[:, 0], rows, strict=True):
            axis.set_ylabel(DIAGNOSTICS[name])
        figure.align_ylabels(axes[:, 0])
        means = f" Running means over {window} epochs." if window > 1 else ""
        _finish(figure, comparison, drawn, looks, f"What samplers draw, {backbone}.{means}")
        yield backbone, figure


def running_means(epochs: pd.DataFrame, window: int) -> pd.DataFrame:
    """Means over the ``window`` epochs around each, fewer at the ends, by dataset and sampler.

    Args:
        epochs: indexed by dataset, sampler and epoch, in order.
        window: in epochs.
    """
    lines = epochs.groupby(level=["dataset", "sampler"], sort=False)
    return lines.transform(lambda line: line.rolling(window, min_periods=1, center=True).mean())


def _curves(
    comparison: Comparison,
    history: pd.DataFrame,
    looks: Looks,
    column: str,
    label: str,
    heading: str,
    note: str = "",
    *,
    log: bool = False,
) -> Iterator[tuple[str, Figure]]:
    if column not in history:
        return
    looks = _told_apart(comparison, looks)
    for backbone, epochs in _by_backbone(history[history[column].notna()]):
        datasets = list(epochs.index.unique("dataset"))
        figure, axes = style.panels(datasets, 1.75)
        drawn: set[str] = set()
        for axis, dataset in zip(axes, datasets, strict=True):
            drawn |= _lines(axis, epochs.loc[dataset], column, looks)
            axis.set(xlabel="epoch", ylabel=label)
            values = epochs.loc[dataset, column]
            if log and (values > 0).all():
                style.log_axis(axis, "y", values.min() / 1.05, values.max() * 1.05)
        _finish(figure, comparison, drawn, looks, f"{heading}, {backbone}.{note}")
        yield backbone, figure


def _told_apart(comparison: Comparison, looks: Looks) -> Looks:
    """The looks of lines, of which one can follow a few: `highlighted`, the best (`by_rank`)."""
    return highlighted(by_rank(comparison.cells.pivot_table(HEADLINE, "dataset", "sampler")), looks)


def _by_backbone(history: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each backbone with its epochs, by dataset, sampler and epoch."""
    for backbone, epochs in history.groupby(level="backbone"):
        yield str(backbone), epochs.droplevel("backbone")


def _lines(axis: Axes, epochs: pd.DataFrame, column: str, looks: Looks) -> set[str]:
    """Draw a line a sampler; returns the samplers."""
    axis.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=1))
    axis.yaxis.set_major_locator(MaxNLocator(nbins=4))
    drawn: set[str] = set()
    for sampler, values in epochs[column].dropna().groupby(level="sampler"):
        every, look = max(1, len(values) // MARKS), looks[str(sampler)]
        axis.plot(
            values.index.get_level_values("epoch"),
            values,
            **look.line,
            markersize=2.5,
            markevery=(len(drawn) % every, every),
            linewidth=0.5 if look == OTHER else 0.9,
            zorder=1.9 if look == OTHER else 2,
        )
        drawn.add(str(sampler))
    return drawn


def _finish(
    figure: Figure, comparison: Comparison, drawn: set[str], looks: Looks, heading: str
) -> None:
    order = [name for name in sampler_order(comparison.cells) if name in drawn]
    named = [name for name in order if looks[name] != OTHER]
    handles = style.sampler_handles(looks, named, lines=True)
    if len(named) < len(order):
        others = f"{len(order) - len(named)} others"
        handles.append(Line2D([], [], label=others, **OTHER.line))
    style.add_legend(figure, handles)
    seeds = SEEDS if comparison.cells["seed"].nunique() > 1 else ""
    style.set_title(figure, heading + seeds, comparison.title)

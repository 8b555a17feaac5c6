"""python -m bench.report STUDY: tables and a plot from stored results; trains nothing.

Cells are compared only within one protocol, and synthetic twins never share a table or a plot
with real data.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only: no display is needed, or looked for
import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from bench import tuning, tuning_report
from bench.errors import UserError
from bench.store import Store

METRICS = {
    "recall@5": "RC@5",
    "recall@10": "RC@10",
    "recall@20": "RC@20",
    "ndcg@5": "NG@5",
    "ndcg@10": "NG@10",
    "ndcg@20": "NG@20",
}
"""Stored metric to its name in the paper's Table 3."""

REFERENCE = "uniform"
HEADLINE = "ndcg@10"


@dataclass(frozen=True)
class Comparison:
    """Cells that may be compared: one protocol, one objective, all real or all synthetic.

    Attributes:
        name: of its files.
        title: for tables and plots; says so when the data are synthetic.
        cells: a row a cell: dataset, backbone, sampler, seed and the test metrics.
        notes: dataset to its footnotes.
    """

    name: str
    title: str
    cells: pd.DataFrame
    notes: dict[str, list[str]]

    def backbones(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each backbone with its table."""
        for backbone, cells in self.cells.groupby("backbone", sort=True):
            yield str(backbone), _table(cells)


def comparisons(store: Store) -> list[Comparison]:
    """The study's cells, sorted into what may stand in one table.

    Raises:
        UserError: the study has no finished cell.
    """
    records = tuning.as_reported(store)
    if not records:
        raise UserError(f"{store.root}: no finished cell; run python -m bench.grid first")
    groups: dict[tuple[bool, str, str], list[dict[str, Any]]] = {}
    for record in records:
        config = record["config"]
        kind = (record["data"]["synthetic"], _text(config["objective"]), _text(config["protocol"]))
        groups.setdefault(kind, []).append(record)

    result: list[Comparison] = []
    names: set[str] = set()
    for (synthetic, _, _), members in sorted(groups.items()):
        config = members[0]["config"]
        name = f"comparison-{config['objective']['name']}{'-synthetic' * synthetic}"
        while name in names:
            name += "-other-protocol"
        names.add(name)
        protocol = config["protocol"]
        title = (
            f"{'SYNTHETIC data' if synthetic else 'Real data'}, "
            f"{config['objective']['name']} loss, "
            f"split {protocol['split']}, d={protocol['dim']}, window {protocol['window']}, "
            f"at most {protocol['epochs']} epochs"
        )
        notes = {r["config"]["dataset"]: r["data"]["notes"] for r in members}
        result.append(Comparison(name, title, _cells(members), notes))
    return result


def write(study: Path, folder: Path) -> list[Path]:
    """Write tables (Markdown, CSV, LaTeX) and a plot of a study, and how it was tuned, if it was.

    Args:
        study: ``results/<study>``.
        folder: where to write.

    Returns:
        The files.

    Raises:
        UserError: no finished cell, or the folder cannot be written.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for comparison in comparisons(Store(study)):
            picture = folder / f"{comparison.name}.png"
            _plot(comparison, picture)
            texts = {"md": _markdown(comparison, picture.name), "tex": _latex(comparison)}
            written.append(picture)
            for suffix, text in texts.items():
                path = folder / f"{comparison.name}.{suffix}"
                path.write_text(text)
                written.append(path)
            path = folder / f"{comparison.name}.csv"
            comparison.cells.to_csv(path, index=False)
            written.append(path)
        written += tuning_report.write(study, folder)
    except OSError as error:
        raise UserError(f"--reports: {folder} cannot be written ({error.strerror})") from error
    return written


def _cells(records: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a cell; namesakes run with several settings are told apart by what differs."""
    configs = [record["config"] for record in records]
    columns: dict[str, list[Any]] = {
        "dataset": _labels(
            [
                _component(c["dataset"], content=c["fingerprint"][:8], split=c["split_digest"][:8])
                for c in configs
            ]
        ),
        "backbone": _labels([c["backbone"] for c in configs]),
        "sampler": _labels([_with_peer(c["sampler"], c["peer"]) for c in configs]),
        "seed": [c["seed"] for c in configs],
    }
    rows = [
        {"synthetic": record["data"]["synthetic"], "test_users": record["data"]["test_users"]}
        | record["metrics"]["test"]
        | {f"valid_{name}": value for name, value in record["metrics"]["valid"].items()}
        | record["timings"]
        for record in records
    ]
    frame = pd.concat([pd.DataFrame(columns), pd.DataFrame(rows)], axis=1)
    others = frame["sampler"] != REFERENCE
    return (
        frame.assign(_others=others)
        .sort_values(["dataset", "backbone", "_others", "sampler", "seed"])
        .drop(columns="_others")
        .reset_index(drop=True)
    )


def _component(name: str, **hyper: Any) -> dict[str, Any]:
    return {"name": name, "hyper": hyper}


def _with_peer(sampler: dict[str, Any], peer: dict[str, Any] | None) -> dict[str, Any]:
    """The sampler, its peer's hyper-parameters counted among its own."""
    theirs = {f"{peer['name']}.{k}": v for k, v in peer["hyper"].items()} if peer else {}
    return _component(sampler["name"], **sampler["hyper"], **theirs)


def _labels(components: list[dict[str, Any]]) -> list[str]:
    """Each component's name, with the hyper-parameters that tell it from its namesakes."""
    variants: dict[str, list[dict[str, Any]]] = {}
    for component in components:
        variants.setdefault(component["name"], []).append(component["hyper"])
    differing = {
        name: [
            option
            for option in sorted({option for hyper in hypers for option in hyper})
            if len({_text(hyper.get(option)) for hyper in hypers}) > 1
        ]
        for name, hypers in variants.items()
    }
    labels = []
    for component in components:
        name, hyper = component["name"], component["hyper"]
        shown = ", ".join(f"{o}={hyper[o]}" for o in differing[name] if o in hyper)
        labels.append(f"{name} ({shown})" if shown else name)
    return labels


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _table(cells: pd.DataFrame) -> pd.DataFrame:
    """The layout of the paper's Table 3: dataset and metric down, samplers across; seed means."""
    samplers = list(dict.fromkeys(cells["sampler"]))
    means = cells.groupby(["dataset", "sampler"])[list(METRICS)].mean()
    datasets = list(dict.fromkeys(cells["dataset"]))
    values = [
        [means.at[(d, s), metric] if (d, s) in means.index else None for s in samplers]
        for d in datasets
        for metric in METRICS
    ]
    index = pd.MultiIndex.from_product([datasets, METRICS.values()], names=["dataset", "metric"])
    return pd.DataFrame(values, index=index, columns=samplers, dtype=float)


def _rows(table: pd.DataFrame) -> Iterator[tuple[str, str, list[float]]]:
    """Dataset, metric and values, row by row."""
    for (dataset, metric), values in zip(table.index, table.to_numpy().tolist(), strict=True):
        yield dataset, metric, values


def _marked(values: list[float], best: str, second: str, missing: str) -> list[str]:
    """Values as text, the best and the second put into the patterns given."""
    distinct = sorted({round(v, 4) for v in values if not math.isnan(v)}, reverse=True)
    cells = []
    for value in values:
        text = missing if math.isnan(value) else f"{value:.4f}"
        if len(distinct) > 1 and round(value, 4) == distinct[0]:
            text = best.format(text)
        elif len(distinct) > 2 and round(value, 4) == distinct[1]:
            text = second.format(text)
        cells.append(text)
    return cells


def _seeds(cells: pd.DataFrame) -> str:
    counts = sorted(cells.groupby(["dataset", "backbone", "sampler"])["seed"].nunique().unique())
    if counts == [1]:
        return "One seed: differences of the size of seed noise mean nothing."
    return f"Means over {' to '.join(str(c) for c in counts)} seeds."


def _markdown(comparison: Comparison, picture: str) -> str:
    lines = [f"# {comparison.title}", ""]
    lines += [
        "Best in bold, second underlined; RC is recall, NG is NDCG, on the test users, "
        f"ranking the whole catalogue. {_seeds(comparison.cells)}",
        "",
        f"![]({picture})",
        "",
    ]
    for backbone, table in comparison.backbones():
        lines += [f"## {backbone}", ""]
        lines.append("| dataset | metric | " + " | ".join(table.columns) + " |")
        lines.append("|---|---|" + "--:|" * len(table.columns))
        for dataset, metric, values in _rows(table):
            shown = _marked(values, "**{}**", "<u>{}</u>", "")
            lines.append(f"| {dataset} | {metric} | " + " | ".join(shown) + " |")
        lines.append("")
    lines += ["## Notes on the data", ""]
    tested = comparison.cells.groupby("dataset")["test_users"].max()
    lines += [f"- {dataset}: {count} test users" for dataset, count in tested.items()]
    for dataset, notes in sorted(comparison.notes.items()):
        lines += [f"- {dataset}: {note}" for note in notes]
    return "\n".join(lines) + "\n"


def _latex(comparison: Comparison) -> str:
    """Tables for a document that loads booktabs."""
    lines = ["% needs \\usepackage{booktabs}"]
    for backbone, table in comparison.backbones():
        lines += ["\\begin{table}", "\\centering", "\\small"]
        lines.append(f"\\caption{{{_escape(f'{backbone}. {comparison.title}')}}}")
        lines.append(f"\\begin{{tabular}}{{ll{'r' * len(table.columns)}}}")
        lines.append("\\toprule")
        lines.append(" & ".join(["Dataset", "Metric", *map(_escape, table.columns)]) + " \\\\")
        previous = None
        for dataset, metric, values in _rows(table):
            if dataset != previous:
                lines.append("\\midrule")
            name = _escape(dataset) if dataset != previous else ""
            shown = _marked(values, "\\textbf{{{}}}", "\\underline{{{}}}", "--")
            lines.append(" & ".join([name, _escape(metric), *shown]) + " \\\\")
            previous = dataset
        lines += ["\\bottomrule", "\\end{tabular}", "\\end{table}", ""]
    return "\n".join(lines)


def _escape(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text


def _plot(comparison: Comparison, path: Path) -> None:
    """Test NDCG@10 of every sampler, a panel a dataset, a group of points a backbone."""
    cells = comparison.cells
    datasets = list(dict.fromkeys(cells["dataset"]))
    samplers = list(dict.fromkeys(cells["sampler"]))
    backbones = list(dict.fromkeys(cells["backbone"]))
    columns = min(3, len(datasets))
    rows = -(-len(datasets) // columns)
    sns.set_theme(style="whitegrid", context="paper")
    palette = dict(zip(samplers, sns.color_palette("colorblind", len(samplers)), strict=True))
    panel = max(2.6, 0.75 * len(backbones))
    figure, axes = plt.subplots(
        rows, columns, figsize=(panel * columns + 1.6, 2.4 * rows + 0.8), squeeze=False
    )
    for axis, dataset in zip(axes.flat, datasets, strict=False):
        sns.pointplot(
            data=cells[cells["dataset"] == dataset],
            x="backbone",
            y=HEADLINE,
            hue="sampler",
            order=backbones,
            hue_order=samplers,
            palette=palette,
            dodge=0.6 if len(samplers) > 1 else False,
            linestyle="none",
            markersize=4,
            errorbar=("sd", 1),
            err_kws={"linewidth": 1},
            legend=dataset == datasets[0],
            ax=axis,
        )
        axis.set(title=dataset, xlabel="", ylabel="test NDCG@10", ylim=(0, None))
        axis.tick_params(axis="x", rotation=30)
    for axis in axes.flat[len(datasets) :]:
        axis.remove()
    legend = axes.flat[0].get_legend()
    figure.legend(
        handles=legend.legend_handles,
        labels=samplers,
        loc="center right",
        frameon=False,
        title="sampler",
    )
    legend.remove()
    figure.suptitle(comparison.title, fontsize="medium")
    figure.tight_layout(rect=(0, 0, 1 - 1.3 / figure.get_figwidth(), 1))
    figure.savefig(path, dpi=160)
    plt.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("study", nargs="?", default="quick", help="default: quick")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        for path in write(options.results / options.study, options.reports / options.study):
            print(path)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

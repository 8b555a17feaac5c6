"""What is said about a comparison: accuracy, peers, choices, masks, costs, and its data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from bench.analysis.choices import CHOICE, CHOICES, choices_of
from bench.analysis.comparison import SYSTEM, Comparison
from bench.analysis.fidelity import fidelity
from bench.analysis.over_users import LEVEL
from bench.analysis.verdict import by_rank, verdicts
from bench.metrics import HEADLINE, METRICS, SELECT_ON
from bench.reports.cost_report import costs, external
from bench.reports.document import (
    Bullets,
    Document,
    Heading,
    Mark,
    Number,
    Paragraph,
    Part,
    Picture,
    Print,
    Table,
    Value,
    Warned,
)
from bench.reports.summary import stopped_early
from bench.reports.tables import ONE_SEED, of_systems, placed, places, seeds_line

OWN_USERS = (
    " Each seed has drawn its own users to train and to test on, the same for all systems. Means "
    "are over these draws; intervals are over the test users of all of them, for the models as "
    "they were trained, and do not say how far other users to train on would move a mean."
)

PRINTED = (
    "Best in bold, second underlined. ± is half the 95 % interval over the test users, of the mean "
    "over seeds; †: significantly below the best by paired t-tests over the test users, with "
    f"Holm's correction over all pairs of the samplers shown (p < {LEVEL})."
)
"""Below a table of accuracy that stands by itself."""


def document(
    comparison: Comparison, picture: Picture, metrics: Sequence[str] = tuple(METRICS)
) -> Document:
    """The report on a comparison.

    Args:
        comparison: what it is about; its cells are the report's data.
        picture: of all its accuracies.
        metrics: rows of the tables of accuracy.
    """
    return Document(
        name=comparison.name,
        title=comparison.title,
        parts=[
            *_opening(comparison),
            *_fidelity(comparison),
            picture,
            *_accuracy(comparison, metrics),
            *_spread(comparison),
            *_peers(comparison),
            *choices(choices_of(comparison.cells)),
            *_new_targets(comparison),
            *_masks(comparison),
            *costs(comparison),
            *external(comparison),
            *_data(comparison),
        ],
        synthetic=comparison.synthetic,
        data=comparison.cells,
        computed=False,
        verdict=[each for verdict in verdicts(comparison) for each in verdict.sentences()],
    )


def _opening(comparison: Comparison) -> Iterator[Part]:
    """How to read the tables of accuracy."""
    seeds = seeds_line(comparison.cells.groupby([*SYSTEM])["seed"].nunique())
    yield Paragraph(
        "Best in bold, second underlined, † significantly below the best (paired t-tests over the "
        "test users, Holm-corrected); RC is recall, NG is NDCG, on the test users, "
        "ranking the whole catalogue."
        + ("" if seeds == ONE_SEED else f" {seeds}")
        + " ± is half the 95 % interval over the test users, of the mean over seeds (Student's t)."
        + (OWN_USERS if comparison.draws else "")
    )
    if seeds == ONE_SEED:
        yield Warned(seeds)
    if comparison.own_loss:
        by_loss: dict[str, list[str]] = {}
        for sampler, loss in sorted(comparison.own_loss.items()):
            by_loss.setdefault(loss, []).append(sampler)
        each = "; ".join(f"{', '.join(names)}: {loss}" for loss, names in sorted(by_loss.items()))
        yield Paragraph(f"Trained with a loss of their own, whatever the title says: {each}.")
    if comparison.mixed:
        yield Warned(
            "Seeds trained by different versions of the code: "
            f"{', '.join(comparison.mixed)}; --force-stale trains the older ones again."
        )
    if comparison.uncommitted:
        named = ", ".join(f"{name} {count}" for name, count in comparison.uncommitted.items())
        count = sum(comparison.uncommitted.values())
        yield Warned(
            f"{count} of {len(comparison.trained)} cells are "
            f"of code that is in no commit, so that nobody can look it up: {named}."
        )
    if stopped := stopped_early(comparison):
        yield Warned(stopped)
    if unreadable := comparison.store.unreadable():
        yield Warned(
            f"{len(unreadable)} of the study's cells cannot be read, and are left out: "
            "they are damaged, or of a newer version."
        )
    if comparison.references:
        named = ", ".join(comparison.references)
        yield Paragraph(f"For reference, not trained and not marked: {named}.")


def _fidelity(comparison: Comparison) -> Iterator[Part]:
    """What a miniature can tell, and how far its order of samplers is that on real data."""
    if not comparison.synthetic:
        return
    yield Heading("How far to trust this miniature")
    yield Paragraph(
        "Small generated datasets and short training: it shows that all runs, what each system "
        "costs beside the others, and about in which order they come; not how accurate they are, "
        "and not which of two near ones is better.  Tested by expectation under the generator, "
        "which is known, so that intervals are of the users' differing alone."
    )
    found = fidelity(comparison)
    if not found:
        return
    yield Paragraph(
        "Kendall's tau between the order of samplers here and that on the real dataset, as stored, "
        "of the samplers that both have, with the 95 % interval of what other test users might "
        "have given; as noise comes in twice, it lies low, and hardly reaches 1 where orders are "
        "the same.  Then of the pairs "
        "that differ significantly on the real data (z tests, Holm-corrected) those that differ in "
        "the same direction here."
    )
    rows: list[list[Value]] = [
        [one.dataset, one.backbone, one.study, Number(one.samplers, "{:.0f}"),
         Number(one.tau, "{:.2f}"), Number(one.low, "{:.2f}"), Number(one.high, "{:.2f}"),
         Number(one.significant, "{:.0f}"), Number(one.agreeing, "{:.0f}")]
        for one in found
    ]  # fmt: skip
    header = ["dataset", "backbone", "study", "samplers", "tau", "from", "to", "pairs", "agree"]
    yield Table("Fidelity", header, rows, n_text=3, kept=(0,))


def _accuracy(comparison: Comparison, metrics: Sequence[str]) -> Iterator[Part]:
    """A section a backbone: the headline metric, then all in the layout of the paper's Table 3."""
    shown = [METRICS[name] for name in METRICS if name in metrics]
    of_all = HEADLINE if HEADLINE in metrics else metrics[0]
    for backbone, values in comparison.backbones():
        yield Heading(backbone)
        yield _headline(comparison, backbone, values, of_all)
        yield Table(
            caption=f"Backbone {backbone}",
            header=["dataset", "metric", *values.columns],
            rows=[row for row in _rows(comparison, backbone, values) if row[1] in shown],
            n_text=2,
            kept=(0, 1),
            printed=Print(f"{backbone}. {comparison.title}", ("Dataset", "Metric"), (PRINTED,)),
            across="sampler",
        )


def _headline(comparison: Comparison, backbone: str, table: pd.DataFrame, name: str) -> Table:
    """A metric: samplers down, the best first (`by_rank`), datasets across."""
    metric = METRICS[name]
    values = pd.DataFrame(table.xs(metric, level="metric"))
    halves = pd.DataFrame(comparison.margins(backbone).xs(metric, level="metric"))
    samplers = by_rank(values.drop(columns=list(comparison.references)))
    columns = []
    for dataset in map(str, values.index):
        below = comparison.below_best[name].get((dataset, backbone), set())
        numbers = placed(values.loc[[dataset], samplers].to_numpy()[0])
        columns.append(
            [
                replace(number, margin=half, worse=sampler in below)
                for sampler, number, half in zip(
                    samplers, numbers, halves.loc[dataset, samplers], strict=True
                )
            ]
        )
    rows: list[list[Value]] = [
        [sampler, *row] for sampler, row in zip(samplers, zip(*columns, strict=True), strict=True)
    ]
    rows += [
        [known, *(Number(value, mark="reference") for value in values[known])]
        for known in comparison.references
    ]
    caption = f"{metric}, {backbone}, the best on top"
    header = ["sampler", *map(str, values.index)]
    return Table(caption, header, rows, n_text=1, kept=(0,), across="dataset")


def _rows(comparison: Comparison, backbone: str, table: pd.DataFrame) -> Iterator[list[Value]]:
    """Dataset, metric and values; those significantly below the best are marked."""
    n_samplers = len(table.columns) - len(comparison.references)
    stored = {shown: name for name, shown in METRICS.items()}
    margins = comparison.margins(backbone).to_numpy().tolist()
    of_references: list[Mark] = ["reference"] * len(comparison.references)
    for (dataset, metric), values, halves in zip(
        table.index, table.to_numpy().tolist(), margins, strict=True
    ):
        numbers = [Number(value) for value in values]
        texts = [None if number.missing else number.text for number in numbers]
        marks = [*places(texts[:n_samplers]), *of_references]
        below = comparison.below_best[stored[metric]].get((dataset, backbone), set())
        yield [
            dataset,
            metric,
            *(
                replace(number, mark=mark)
                if mark == "reference"
                else replace(number, mark=mark, margin=half, worse=name in below)
                for name, number, mark, half in zip(
                    table.columns, numbers, marks, halves, strict=True
                )
            ),
        ]


def _spread(comparison: Comparison) -> Iterator[Part]:
    """How far seeds differ, where there are enough of them."""
    found = comparison.spread()
    if found.empty:
        return
    yield Heading("Seeds")
    yield Paragraph(
        f"{METRICS[HEADLINE]} and its standard deviation over seeds, of systems with three or more."
    )
    patterns = {"seeds": "{:.0f}", METRICS[HEADLINE]: "{:.4f}", "sd": "{:.4f}"}
    yield of_systems("Seeds", found, patterns)


def _peers(comparison: Comparison) -> Iterator[Part]:
    """On the systems that train two models: which of them one would use."""
    means = comparison.peers()
    if means.empty:
        return
    yield Heading("Self, peer and ensemble")
    yield Paragraph(
        f"{METRICS[HEADLINE]} of the model under test, of the one trained beside it, and of the "
        "two together."
    )
    header = ["self", "peer", "ensemble"]
    yield of_systems("Self, peer and ensemble", means, dict.fromkeys(header, "{:.4f}"))


def choices(found: pd.DataFrame) -> Iterator[Part]:
    """On what validation would choose, where there is a choice.

    Args:
        found: see `bench.analysis.choices.choices_of`.
    """
    if found.empty:
        return
    yield Heading("Settings: chosen by validation, and best on test")
    yield Paragraph(
        "Of methods that were run with several settings: which of them has the best "
        f"{SELECT_ON.upper()} on validation, and which the best {METRICS[HEADLINE]} on test, as a "
        "report of the best of many runs would show; both on test, with the median and the "
        "standard deviation over the settings. Means over the seeds that all settings of a method "
        "have."
    )
    patterns = ["{:.0f}"] * 2 + ["{:.4f}"] * 4
    rows: list[list[Value]] = [
        [*map(str, (*key, *row[:2])), *map(Number, row[2:], patterns)]
        for key, row in zip(found.index, found.itertuples(index=False), strict=True)
    ]
    yield Table("Several settings", [*CHOICE, *CHOICES], rows, n_text=5, kept=(2,))


def _new_targets(comparison: Comparison) -> Iterator[Part]:
    """On targets that users have had before, which cannot be hit."""
    means = comparison.new_targets()
    if means.empty:
        return
    yield Heading("New targets")
    yield Paragraph(
        f"{METRICS[HEADLINE]} on all test targets, of which those that the user has had before "
        "count as misses, and on the others alone."
    )
    patterns = dict.fromkeys(["all targets", "new targets"], "{:.4f}")
    yield of_systems("New targets", means, patterns)


def _masks(comparison: Comparison) -> Iterator[Part]:
    """On what another way to mask would have shown."""
    means = comparison.masks()
    if means.empty:
        return
    yield Heading("Seen items at zero")
    yield Paragraph(
        f"{METRICS[HEADLINE]} as everywhere here, with the score of what a user has had set to "
        "-∞, and with it set to 0 and the padding row ranked too, as the released code of the "
        "MDCNS paper's baselines does it.  The models are the same, those of the seeds that were "
        "ranked in both ways."
    )
    ours, theirs = (means[column] for column in means.columns)
    means = means.assign(difference=100 * (theirs / ours.where(ours != 0) - 1))
    patterns = {"-∞": "{:.4f}", "0": "{:.4f}", "difference": "{:+.1f} %"}
    yield of_systems("Seen items at zero", means, patterns)


def _data(comparison: Comparison) -> Iterator[Part]:
    """What a reader must know of the data."""
    tested = comparison.cells.groupby("dataset")["test_users"].max()
    counts = [f"{dataset}: {count} test users" for dataset, count in tested.items()]
    notes = itertools.chain.from_iterable(
        (f"{dataset}: {note}" for note in notes)
        for dataset, notes in sorted(comparison.notes.items())
    )
    yield Heading("Notes on the data")
    yield Bullets([*counts, *notes])

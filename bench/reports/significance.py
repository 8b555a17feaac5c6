"""Which differences between samplers are more than chance: statements, tables, diagram."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from bench.analysis import PostHoc
from bench.analysis.comparison import Comparison
from bench.analysis.over_blocks import OverBlocks, fewest_blocks, smallest_p
from bench.analysis.over_users import LEVEL, RESAMPLES, Pair
from bench.analysis.significance import Block, Findings, find
from bench.analysis.verdict import verdicts
from bench.metrics import BASELINE, SELECT_ON
from bench.reports.document import (
    Bullets,
    Code,
    Document,
    Emphasis,
    Heading,
    Paragraph,
    Part,
    Picture,
    Table,
)
from bench.reports.plots.ranks import critical_difference
from bench.reports.presentation import Presentation
from bench.reports.statements import FIGURES, METRIC, counted, figures, p_is, p_value, statement

FEW_BLOCKS = 10
"""Blocks up to which the chi-square of Friedman's test is rough, as scipy's documentation warns."""


def document(
    comparison: Comparison,
    post_hoc: PostHoc = "wilcoxon",
    presentation: Presentation | None = None,
) -> Document | None:
    """The report on a comparison's differences; its data are all pairs.

    Args:
        comparison: see `find`.
        post_hoc: how pairs are tested over the blocks.
        presentation: how the diagram is drawn; None as in a study's own report.

    Returns:
        None where no block has two samplers to compare.
    """
    findings = find(comparison, post_hoc)
    if not any(findings.pairs.values()):
        return None
    name = f"significance-{comparison.name.removeprefix('comparison-')}"
    parts: list[Part] = [_opening(f"{name}.csv"), _summary(findings)]
    for block, pairs in findings.pairs.items():
        parts.append(Heading(", ".join(block)))
        parts += [Paragraph(text) for text in _left_out(comparison, findings, block)]
        parts += _over_users(block, pairs) if pairs else []
    parts += [Heading("Over datasets and backbones"), *_blocks_used(findings.means)]
    ranks = findings.over_blocks
    if ranks is not None and _too_few(ranks, post_hoc):
        parts += _wins(findings, ranks)
    elif ranks is not None:
        title = f"{comparison.title}\nmean rank over {ranks.blocks} blocks, 1 is best"
        diagram = critical_difference(ranks.ranks, ranks.cliques, name, title, presentation)
        parts += _over_blocks(ranks, findings.means, diagram, post_hoc)
    return Document(
        name=name,
        title=f"Significance: {comparison.title}",
        parts=parts,
        synthetic=comparison.synthetic,
        data=findings.table(),
    )


def of_all(comparison: Comparison, post_hoc: PostHoc = "wilcoxon") -> Document | None:
    """The tests of all samplers of a study, whatever their losses, with what they come to.

    Args:
        comparison: what `as_chosen` gives.
        post_hoc: how pairs are tested over the blocks.
    """
    tests = document(comparison, post_hoc)
    if tests is None:
        return None
    columns = ["dataset", "backbone", "sampler", "objective", "seed"]
    cells = comparison.cells[columns].groupby(columns[:-1], sort=False).size().reset_index()
    opening = Paragraph(
        "A sampler stands here once, with the loss and the settings that have the most seeds, and "
        f"of these the best mean {SELECT_ON.upper()} on validation; the best of all is compared "
        "with each, and corrected for all pairs."
    )
    header = [*columns[:3], "loss", "seeds"]
    rows = [list(map(str, row)) for row in cells.itertuples(index=False)]
    table = Table("What is compared", header, rows, n_text=4)
    verdict = [text for each in verdicts(comparison) for text in each.sentences()]
    return replace(tests, parts=[opening, *tests.parts, table], verdict=verdict)


def _opening(data: str) -> Paragraph:
    """How to read the report.

    Args:
        data: the file of all pairs.
    """
    return Paragraph(
        (
            f"Test {METRIC}. Intervals are percentile bootstraps over the test users "
            f"({RESAMPLES:,} resamples), each 95 % by itself; a difference is called significant "
            f"if the paired t test's p, after Holm's correction, is below {LEVEL}. Comparisons "
            f"with {BASELINE} are corrected for their number; those with the best sampler, which "
            "these same numbers chose, for all pairs of samplers; so are the other pairs, which "
            "are in ",
            Code(data),
            " alone. Where users have several predictions, differences are linearised, the t test "
            "has the degrees of freedom of as many users with equally many as would weigh the "
            "same, and Wilcoxon's test goes by the users' sums. All of it is about other users, "
            "with the models as trained: how far another seed would move a difference is the "
            "column ",
            Emphasis("seeds' std"),
            f". Differences are in % of the second's mean, or plain {METRIC} where that is zero "
            "for some draw of the users.",
        )
    )


def _summary(findings: Findings) -> Table:
    """What is significant, a row a block."""
    rows = []
    for block, pairs in findings.pairs.items():
        if not pairs:
            continue
        of_best = [pair for pair in pairs if pair.family == "best"]
        against = [pair for pair in pairs if pair.family == "baseline"]
        found = [pair for pair in against if pair.significant]
        unknown = [] if against else [f"no {BASELINE}"]
        row = [
            [of_best[0].first],
            [pair.second for pair in of_best if not pair.significant],
            [pair.first for pair in found if pair.difference > 0] + unknown,
            [pair.first for pair in found if pair.difference < 0] + unknown,
        ]
        rows.append([*block, *map(", ".join, row)])
    header = [
        "dataset", "backbone", "best", "not significantly worse", f"better than {BASELINE}",
        f"worse than {BASELINE}",
    ]  # fmt: skip
    return Table("What is significant", header, rows, n_text=len(header), wrapped=(3, 4, 5))


def _left_out(comparison: Comparison, findings: Findings, block: Block) -> Iterator[str]:
    """What is missing in a block, a paragraph each."""
    absent = findings.means.loc[[block]].isna().to_numpy()[0]
    missing = findings.means.columns[absent]
    if len(missing):
        yield f"Left out, as no finished cell is here: {', '.join(missing)}."
    cells = comparison.cells
    here = cells[(cells["dataset"] == block[0]) & (cells["backbone"] == block[1])]
    tested, common = int(here["test_users"].max()), findings.users[block]
    if (~absent).sum() < 2:
        yield "One sampler: nothing to compare."
    elif common < tested:
        yield f"All samplers were tested on {common:,} of {tested:,} test users."


def _over_users(block: Block, pairs: Sequence[Pair]) -> Iterator[Part]:
    """Statements, then figures; the best against the baseline is stated among the baseline's."""
    against = [pair for pair in pairs if pair.family == "baseline"]
    of_best = [pair for pair in pairs if pair.family == "best"]
    best, others = of_best[0].first, of_best
    if against:
        yield Paragraph(f"Against {BASELINE}:")
        yield Bullets([statement(pair, *block) for pair in against])
        others = [] if best == BASELINE else [p for p in others if p.second != BASELINE]
    if others:
        yield Paragraph(f"The best, {best}, against the others:")
        yield Bullets([statement(pair, *block) for pair in others])
    rows = [figures(pair) for pair in against + of_best]
    yield Table(", ".join(block), FIGURES, rows, n_text=3)


def _blocks_used(means: pd.DataFrame) -> Iterator[Part]:
    """Which blocks and samplers the ranks are over, and which samplers not; what is too little."""
    lacking = means.columns[means.isna().any()]
    left_out = []
    for name in lacking:
        without = ", ".join(" ".join(block) for block in means.index[means[name].isna()])
        left_out.append(f"{name} is left out: no finished cell on {without}.")
    if left_out:
        yield Bullets(left_out)
    n_samplers = len(means.columns) - len(lacking)
    if len(means) < 2 or n_samplers < 3:
        yield Paragraph(
            f"{counted(len(means), 'block')} and {counted(n_samplers, 'sampler')} common to all "
            "blocks: ranks over blocks take at least two and three."
        )


def _too_few(found: OverBlocks, post_hoc: PostHoc) -> bool:
    """Whether no pair could be significant over so few blocks."""
    return post_hoc == "wilcoxon" and found.blocks < fewest_blocks(len(found.ranks))


def _wins(findings: Findings, ranks: OverBlocks) -> Iterator[Part]:
    """How often each sampler is significantly better, level and worse: what few blocks can tell."""
    k, blocks = len(ranks.ranks), ranks.blocks
    yield Paragraph(
        f"No diagram of ranks: with {counted(blocks, 'block')} the smallest two-sided p of "
        f"Wilcoxon's exact test is 2/2^{blocks} = {smallest_p(blocks):.2g}, and Holm's correction "
        f"takes {k * (k - 1) // 2} times that; {k} samplers need {fewest_blocks(k)} blocks. In "
        "its place, of the tests over users above: on how many blocks the sampler of the row is "
        "significantly better than, level with, and significantly worse than that of the column, "
        "in the order of their mean ranks."
    )
    counts: dict[tuple[str, str], list[int]] = {}
    for pairs in findings.pairs.values():
        once = {frozenset((pair.first, pair.second)): pair for pair in reversed(pairs)}
        for pair in once.values():
            better = int(pair.difference > 0) if pair.significant else None
            for both, place in (
                ((pair.first, pair.second), 1 if better is None else 2 - 2 * better),
                ((pair.second, pair.first), 1 if better is None else 2 * better),
            ):
                counts.setdefault(both, [0, 0, 0])[place] += 1
    names = [str(name) for name in ranks.ranks.index]
    rows = [
        [row, f"{rank:.2f}"]
        + ["" if row == column else "/".join(map(str, counts[row, column])) for column in names]
        for row, rank in zip(names, ranks.ranks, strict=True)
    ]
    yield Table("Better/level/worse", ["sampler", "mean rank", *names], rows, n_text=1, kept=(0,))


def _over_blocks(
    found: OverBlocks, means: pd.DataFrame, diagram: Picture, post_hoc: PostHoc
) -> Iterator[Part]:
    k = len(found.ranks)
    alike = "do not all rank alike" if found.friedman_p < LEVEL else "may all rank alike"
    yield Paragraph(
        f"{found.blocks} blocks, each a dataset with a backbone; {k} samplers. Friedman's "
        f"chi-square is {found.friedman_chi2:.2f}, {p_is(found.friedman_p)}: the samplers {alike}."
    )
    yield from map(Paragraph, _caveats(found.blocks, means))
    yield diagram
    how = {"wilcoxon": "Wilcoxon's test, Holm over all pairs", "nemenyi": "Nemenyi's test"}
    yield Paragraph(f"Pairs by {how[post_hoc]}.")
    best = str(found.ranks.index[0])
    rows = [
        [str(name), f"{rank:.2f}", "" if name == best else p_value(p)]
        for (name, rank), p in zip(found.ranks.items(), found.p[best], strict=True)
    ]
    yield Table("Mean ranks", ["sampler", "mean rank", f"p against {best}"], rows, n_text=1)
    if found.cliques:
        yield Paragraph("Neighbours in rank that do not differ significantly from one another:")
        yield Bullets([", ".join(clique) for clique in found.cliques])
    else:
        yield Paragraph("No two neighbours in rank are alike: all differ significantly.")


def _caveats(blocks: int, means: pd.DataFrame) -> Iterator[str]:
    """What the number and the kind of the blocks do not allow to be concluded."""
    if blocks <= FEW_BLOCKS:
        yield f"With {blocks} blocks the p of Friedman's test is approximate."
    datasets = means.index.get_level_values("dataset").nunique()
    if datasets < blocks:
        yield (
            f"The {blocks} blocks are of {counted(datasets, 'dataset')}: blocks of one dataset "
            "are not independent, so that these p are too small."
        )

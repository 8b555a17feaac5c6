"""Which differences between samplers are more than chance: statements, tables, marks, diagram.

Per dataset and backbone the test users are the sample (`bench.analysis.over_users`); over all of a
comparison its blocks, each a dataset with a backbone, are (`bench.analysis.over_blocks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.analysis.over_blocks import OverBlocks, PostHoc, analyse, fewest_blocks, smallest_p
from bench.analysis.over_users import LEVEL, RESAMPLES, Pair, compare
from bench.metrics import BASELINE, HEADLINE
from bench.reports.plots.ranks import critical_difference
from bench.reports.tables import DIGITS, as_markdown, markdown_table

METRIC = HEADLINE.upper()
FEW_USERS = 300
"""Test users below which a statement warns of their number."""

FEW_BLOCKS = 10
"""Blocks up to which the chi-square of Friedman's test is rough, as scipy's documentation warns."""

Block = tuple[str, str]
"""Dataset and backbone."""


@dataclass(frozen=True)
class Findings:
    """Of one comparison.

    Attributes:
        pairs: block to its comparisons over users; blocks with fewer than two samplers, or without
            a test user that all of them were tested on, have none.
        users: block to how many test users all its samplers were tested on.
        means: ``[blocks x samplers]`` test NDCG@10, means over seeds; NaN without a finished cell.
        over_blocks: over the samplers that all blocks have; None for fewer than two blocks or
            three such samplers.
    """

    pairs: dict[Block, list[Pair]]
    users: dict[Block, int]
    means: pd.DataFrame
    over_blocks: OverBlocks | None

    def table(self) -> pd.DataFrame:
        """A row a comparison, all figures of `Pair`."""
        return pd.DataFrame(
            {"dataset": dataset, "backbone": backbone, **asdict(pair)}
            | {"significant": pair.significant}
            for (dataset, backbone), pairs in self.pairs.items()
            for pair in pairs
        )


def find(comparison: Comparison, post_hoc: PostHoc = "wilcoxon") -> Findings:
    """Run all tests of a comparison.

    Args:
        comparison: its cells' per-user ranks are read from the store.
        post_hoc: how pairs are tested over the blocks.
    """
    cells = comparison.cells
    gains = comparison.user_gains()
    pairs = {}
    for (dataset, backbone), frame in gains.items():
        here = cells[(cells["dataset"] == dataset) & (cells["backbone"] == backbone)]
        by_seed = here.pivot_table(index="seed", columns="sampler", values=HEADLINE)
        enough = len(frame) > 0 and len(frame.columns) > 1
        effective = comparison.effective_users[dataset, backbone]
        pairs[dataset, backbone] = compare(frame, by_seed, effective) if enough else []
    means = cells.pivot_table(index=["dataset", "backbone"], columns="sampler", values=HEADLINE)
    means = means[sampler_order(cells)]
    everywhere = means.dropna(axis=1)
    enough = len(everywhere) >= 2 and len(everywhere.columns) >= 3
    over_blocks = analyse(everywhere, post_hoc) if enough else None
    return Findings(pairs, {block: len(f) for block, f in gains.items()}, means, over_blocks)


def statement(pair: Pair, dataset: str, backbone: str) -> str:
    """A comparison over users in a sentence, with a warning where the sample is small."""
    where = f"on {dataset} ({backbone})"
    if not pair.significant:
        size, low, high = _sizes(pair)
        words = f"no significant difference between {pair.first} and {pair.second} {where}: {size}"
    else:
        verb = "beats" if pair.difference > 0 else "is behind"
        size, low, high = _sizes(pair, absolute=True)
        words = f"{pair.first} {verb} {pair.second} {where} by {size}"
    words += f" {METRIC} (95 % interval {low} to {high}), Holm {_p(pair.holm_t)}, "
    words += f"d_z {abs(pair.d_z) if pair.significant else pair.d_z:.2f}, "
    words += f"{_counted(pair.users, 'user')}, {_seeds(pair)}."
    if pair.significant != (pair.holm_wilcoxon < LEVEL):
        words += f" Wilcoxon's test disagrees: Holm {_p(pair.holm_wilcoxon)}."
    warnings = []
    if pair.users < FEW_USERS:
        warnings.append("the test users are few")
    if min(pair.seeds_first, pair.seeds_second) == 1:
        warnings.append("with one seed, how far another would move it is unknown")
    return words + (f" Warning: {'; '.join(warnings)}." if warnings else "")


def report(comparison: Comparison, post_hoc: PostHoc = "wilcoxon") -> str:
    """Statements, tables of numbers and the part over blocks, in Markdown.

    Args:
        comparison: see `find`.
        post_hoc: see `find`.
    """
    return _markdown(comparison, find(comparison, post_hoc), post_hoc)


def write(comparison: Comparison, folder: Path, post_hoc: PostHoc = "wilcoxon") -> list[Path]:
    """Write the report, its table of pairs and, where there is one, the diagram.

    Args:
        comparison: see `find`.
        folder: exists.
        post_hoc: see `find`.

    Returns:
        The files; none where no block has two samplers to compare.
    """
    findings = find(comparison, post_hoc)
    if not any(findings.pairs.values()):
        return []
    base = folder / _file_name(comparison)
    text, table = base.with_name(f"{base.name}.md"), base.with_name(f"{base.name}.csv")
    text.write_text(_markdown(comparison, findings, post_hoc))
    findings.table().to_csv(table, index=False, float_format=DIGITS)
    written = [text, table]
    if findings.over_blocks is not None:
        ranks = findings.over_blocks
        title = f"{comparison.title}\nmean rank over {ranks.blocks} blocks, 1 is best"
        written += critical_difference(ranks.ranks, ranks.cliques, base, title)
    return written


def _file_name(comparison: Comparison) -> str:
    return f"significance-{comparison.name.removeprefix('comparison-')}"


def _markdown(comparison: Comparison, findings: Findings, post_hoc: PostHoc) -> str:
    lines = [
        f"# Significance: {comparison.title}",
        "",
        f"Test {METRIC}. Intervals are percentile bootstraps over the test users "
        f"({RESAMPLES:,} resamples), each 95 % by itself; a difference is called significant if "
        f"the paired t test's p, after Holm's correction, is below {LEVEL}. Comparisons with "
        f"{BASELINE} are corrected for their number; those with the best sampler, which these "
        "same numbers chose, for all pairs of samplers; so are the other pairs, which are in "
        f"`{_file_name(comparison)}.csv` alone. Where users have several predictions, "
        "differences are linearised, and the t test has the degrees of freedom of as many users "
        "with equally many as would weigh the same. All of it is about other users, with the "
        "models as trained: how far another seed would move a difference is the column "
        f"*seeds' std*. Differences are in % of the second's mean, or plain {METRIC} where that "
        "is zero for some draw of the users.",
        "",
        *_summary(findings),
        "",
    ]
    for block, pairs in findings.pairs.items():
        lines += [f"## {block[0]}, {block[1]}", "", *_left_out(comparison, findings, block)]
        lines += [*_over_users(block, pairs), ""] if pairs else []
    lines += ["## Over datasets and backbones", "", *_blocks_used(findings.means)]
    if findings.over_blocks is not None:
        picture = f"{_file_name(comparison)}.png"
        lines += _over_blocks(findings.over_blocks, findings.means, picture, post_hoc)
    return as_markdown(lines)


def _summary(findings: Findings) -> Iterator[str]:
    """A table of what is significant, a row a block."""
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
    yield from markdown_table(header, rows, n_text=len(header))


def _left_out(comparison: Comparison, findings: Findings, block: Block) -> Iterator[str]:
    """What is missing in a block, a paragraph each."""
    absent = findings.means.loc[[block]].isna().to_numpy()[0]
    missing = findings.means.columns[absent]
    if len(missing):
        yield from (f"Left out, as no finished cell is here: {', '.join(missing)}.", "")
    cells = comparison.cells
    here = cells[(cells["dataset"] == block[0]) & (cells["backbone"] == block[1])]
    tested, common = int(here["test_users"].max()), findings.users[block]
    if (~absent).sum() < 2:
        yield from ("One sampler: nothing to compare.", "")
    elif common < tested:
        yield from (f"All samplers were tested on {common:,} of {tested:,} test users.", "")


def _over_users(block: Block, pairs: Sequence[Pair]) -> Iterator[str]:
    """Statements, then figures; the best against the baseline is stated among the baseline's."""
    against = [pair for pair in pairs if pair.family == "baseline"]
    of_best = [pair for pair in pairs if pair.family == "best"]
    best, others = of_best[0].first, of_best
    if against:
        yield from (f"Against {BASELINE}:", "")
        yield from (f"- {statement(pair, *block)}" for pair in against)
        yield ""
        others = [] if best == BASELINE else [p for p in others if p.second != BASELINE]
    if others:
        yield from (f"The best, {best}, against the others:", "")
        yield from (f"- {statement(pair, *block)}" for pair in others)
        yield ""
    header = [
        "first", "second", "family", "mean", "mean", "difference", "95 % interval", "in %",
        "95 % interval", "t: p", "Holm", "Wilcoxon: p", "Holm", "d_z", "rank-biserial", "seeds",
        "agreeing", "seeds' std",
    ]  # fmt: skip
    yield from markdown_table(header, map(_row, against + of_best), n_text=3)


def _row(pair: Pair) -> list[str]:
    return [
        pair.first,
        pair.second,
        pair.family,
        f"{pair.mean_first:.4f}",
        f"{pair.mean_second:.4f}",
        f"{pair.difference:+.4f}",
        f"{pair.low:+.4f} to {pair.high:+.4f}",
        _or_nothing(pair.relative, "+.1f"),
        f"{pair.relative_low:+.1f} to {pair.relative_high:+.1f}"
        if math.isfinite(pair.relative_low)
        else "",
        *map(_p_value, (pair.p_t, pair.holm_t, pair.p_wilcoxon, pair.holm_wilcoxon)),
        f"{pair.d_z:+.2f}",
        f"{pair.rank_biserial:+.2f}",
        str(pair.seeds_common),
        str(pair.seeds_agreeing),
        _or_nothing(pair.seeds_std, ".4f"),
    ]


def _blocks_used(means: pd.DataFrame) -> Iterator[str]:
    """Which blocks and samplers the ranks are over, and which samplers not; what is too little."""
    lacking = means.columns[means.isna().any()]
    for name in lacking:
        without = ", ".join(" ".join(block) for block in means.index[means[name].isna()])
        yield f"- {name} is left out: no finished cell on {without}."
    if len(lacking):
        yield ""
    n_samplers = len(means.columns) - len(lacking)
    if len(means) < 2 or n_samplers < 3:
        yield (
            f"{_counted(len(means), 'block')} and {_counted(n_samplers, 'sampler')} common to all "
            "blocks: ranks over blocks take at least two and three."
        )


def _over_blocks(
    found: OverBlocks, means: pd.DataFrame, picture: str, post_hoc: PostHoc
) -> Iterator[str]:
    k = len(found.ranks)
    alike = "do not all rank alike" if found.friedman_p < LEVEL else "may all rank alike"
    yield (
        f"{found.blocks} blocks, each a dataset with a backbone; {k} samplers. Friedman's "
        f"chi-square is {found.friedman_chi2:.2f}, {_p(found.friedman_p)}: the samplers {alike}."
    )
    yield from ("", *_caveats(found.blocks, k, means, post_hoc))
    yield from (f"![mean ranks; bars join samplers not shown to differ]({picture})", "")
    how = {"wilcoxon": "Wilcoxon's test, Holm over all pairs", "nemenyi": "Nemenyi's test"}
    best = str(found.ranks.index[0])
    rows = (
        [str(name), f"{rank:.2f}", "" if name == best else _p_value(p)]
        for (name, rank), p in zip(found.ranks.items(), found.p[best], strict=True)
    )
    yield from (f"Pairs by {how[post_hoc]}.", "")
    yield from markdown_table(["sampler", "mean rank", f"p against {best}"], rows, n_text=1)
    yield ""
    if found.cliques:
        yield from ("Neighbours in rank that do not differ significantly from one another:", "")
        yield from (f"- {', '.join(clique)}" for clique in found.cliques)
    else:
        yield "No two neighbours in rank are alike: all differ significantly."


def _caveats(blocks: int, k: int, means: pd.DataFrame, post_hoc: PostHoc) -> Iterator[str]:
    """What the number and the kind of the blocks do not allow to be concluded."""
    if post_hoc == "wilcoxon" and blocks < fewest_blocks(k):
        yield (
            f"Too few blocks for any pair to be significant: with {blocks} the smallest two-sided "
            f"p of Wilcoxon's exact test is 2/2^{blocks} = {smallest_p(blocks):.2g}, and Holm's "
            f"correction takes {k * (k - 1) // 2} times that; {k} samplers need "
            f"{fewest_blocks(k)} blocks."
        )
        yield ""
    if blocks <= FEW_BLOCKS:
        yield from (f"With {blocks} blocks the p of Friedman's test is approximate.", "")
    datasets = means.index.get_level_values("dataset").nunique()
    if datasets < blocks:
        yield (
            f"The {blocks} blocks are of {_counted(datasets, 'dataset')}: blocks of one dataset "
            "are not independent, so that these p are too small."
        )
        yield ""


def _sizes(pair: Pair, absolute: bool = False) -> tuple[str, str, str]:
    """The difference and its interval's ends: in %, or as they are where % are not defined."""
    values = (pair.relative, pair.relative_low, pair.relative_high)
    in_percent = all(map(math.isfinite, values))
    if not in_percent:
        values = (pair.difference, pair.low, pair.high)
    if absolute and pair.difference < 0:
        values = (-values[0], -values[2], -values[1])
    if not in_percent:
        size, low, high = (f"{value:.4f}" for value in values)
        return size, low, high
    decimals = 0 if abs(values[0]) >= 10 else 1
    size, low, high = (f"{value:.{decimals}f}" for value in values)
    return f"{size} %", low, f"{high} %"


def _seeds(pair: Pair) -> str:
    """How many seeds, and in how many of the common ones the sign is another."""
    if pair.seeds_first == pair.seeds_second:
        words = _counted(pair.seeds_first, "seed")
    else:
        words = f"{pair.seeds_first} and {pair.seeds_second} seeds"
    if pair.significant and pair.seeds_agreeing < pair.seeds_common:
        words += f" ({pair.seeds_agreeing} of {pair.seeds_common} in common agree)"
    return words


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'s' * (count != 1)}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {_p_value(p)}"


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _or_nothing(value: float, spec: str) -> str:
    return format(value, spec) if math.isfinite(value) else ""

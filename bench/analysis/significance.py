"""Which differences between the samplers of a comparison are more than chance: all tests at once.

Per dataset and backbone the test users are the sample (`over_users`); over all of a comparison its
blocks, each a dataset with a backbone, are (`over_blocks`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pandas as pd

from bench.analysis import PostHoc
from bench.analysis.cells import sampler_order
from bench.analysis.comparison import Comparison
from bench.analysis.over_blocks import OverBlocks, analyse
from bench.analysis.over_users import Pair, compare
from bench.metrics import HEADLINE

Block = tuple[str, str]
"""Dataset and backbone."""


@dataclass(frozen=True)
class Findings:
    """Of one comparison.

    Attributes:
        pairs: block to its comparisons over users; blocks with fewer than two samplers, or without
            a test user that all of them were tested on, have none.
        users: block to how many test users all its samplers were tested on.
        means: ``[blocks x samplers]`` the headline metric on test, means over
            seeds; NaN without a finished cell.
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
        predictions = comparison.user_predictions[dataset, backbone]
        pairs[dataset, backbone] = compare(frame, by_seed, predictions) if enough else []
    means = cells.pivot_table(index=["dataset", "backbone"], columns="sampler", values=HEADLINE)
    means = means[sampler_order(cells)]
    everywhere = means.dropna(axis=1)
    enough = len(everywhere) >= 2 and len(everywhere.columns) >= 3
    over_blocks = analyse(everywhere, post_hoc) if enough else None
    return Findings(pairs, {block: len(f) for block, f in gains.items()}, means, over_blocks)

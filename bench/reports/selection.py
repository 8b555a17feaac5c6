"""Of a study's comparisons what a camera-ready report shows: fewer samplers, datasets, backbones.

What is tested is what is shown.  All tests of a comparison follow from its cells, so that Holm's
correction is for the comparisons among the systems that are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pandas as pd

from bench.analysis.comparison import SYSTEM, Comparison
from bench.errors import UserError
from bench.reports.presentation import Presentation


def chosen(found: Sequence[Comparison], presentation: Presentation) -> list[Comparison]:
    """The comparisons with what is chosen, less those of which nothing is.

    Raises:
        UserError: the study has no such name, or no cell that has all that is chosen.
    """
    known = {
        "samplers": {name for each in found for name in each.cells["sampler"]},
        "datasets": {name for each in found for name in each.cells["dataset"]},
        "backbones": {name for each in found for name in each.cells["backbone"]},
        "objectives": {each.loss for each in found},
    }
    methods = {method for each in found for method in each.cells["method"]}
    for kind, names in known.items():
        also = methods if kind == "samplers" else set()
        _check(kind, getattr(presentation, kind), names, also)
    left = [
        _part(each, cells)
        for each in found
        if not presentation.objectives or each.loss in presentation.objectives
        if len(cells := _cells(each.cells, presentation))
    ]
    if not left:
        raise UserError(
            "--samplers, --datasets, --backbones, --objectives: the study has no cell that has "
            "all that is chosen"
        )
    return left


def on_chosen(comparison: Comparison, shown: Comparison) -> str:
    """What has to be said of tests where samplers were left out; empty where none was.

    Args:
        comparison: with all its samplers.
        shown: of it, what was chosen.
    """
    blocks = set(shown.cells[["dataset", "backbone"]].itertuples(index=False, name=None))
    here = comparison.cells[["dataset", "backbone"]].apply(tuple, axis=1).isin(blocks)
    left_out = set(comparison.cells[here]["sampler"]) - set(shown.cells["sampler"])
    if not left_out:
        return ""
    kept = shown.cells["sampler"].nunique()
    return (
        f"{kept} of {kept + len(left_out)} samplers that the study compares here are shown. Marks, "
        "tests and verdicts are of these alone: Holm's correction is for the comparisons among "
        "them, and not for those with samplers that are left out. That is right where the choice "
        "was made before results were seen; where it was made by results, it corrects too little."
    )


def _check(kind: str, given: Iterable[str], names: set[str], also: set[str]) -> None:
    if strange := [name for name in given if name not in names | also]:
        raise UserError(
            f"--{kind}: the study has no {', '.join(map(repr, strange))}; it has "
            f"{', '.join(sorted(names))}"
        )


def _cells(cells: pd.DataFrame, presentation: Presentation) -> pd.DataFrame:
    """The cells of what is chosen."""
    keep = cells["key"].notna()
    if presentation.samplers:
        keep &= cells[["sampler", "method"]].isin(list(presentation.samplers)).any(axis=1)
    for column, names in (("dataset", presentation.datasets), ("backbone", presentation.backbones)):
        if names:
            keep &= cells[column].isin(list(names))
    return cells[keep].reset_index(drop=True)


def _part(comparison: Comparison, cells: pd.DataFrame) -> Comparison:
    """A comparison with some of its cells, and what is known of those alone."""
    datasets, own = set(cells["dataset"]), set(comparison.own_loss)
    own &= set(cells["method"]) | set(cells["sampler"].str.partition(" (")[0])
    systems = {" on ".join(reversed(each)) for each in cells[[*SYSTEM]].to_numpy().tolist()}
    references = {
        name: {dataset: its for dataset, its in known.items() if dataset in datasets}
        for name, known in comparison.references.items()
    }
    return replace(
        comparison,
        cells=cells,
        notes={name: its for name, its in comparison.notes.items() if name in datasets},
        references={name: known for name, known in references.items() if known},
        own_loss={name: loss for name, loss in comparison.own_loss.items() if name in own},
        mixed=[system for system in comparison.mixed if system in systems],
        uncommitted=_uncommitted(comparison, cells),
    )


def _uncommitted(comparison: Comparison, cells: pd.DataFrame) -> dict[str, int]:
    """Of these cells, the samplers that have some of code that is in no commit, to how many."""
    asked = cells[cells["sampler"].isin(list(comparison.uncommitted))]
    of_none = [comparison.store.load(key).uncommitted for key in asked["key"]]
    return {
        str(name): int(count)
        for name, count in asked["sampler"][of_none].value_counts(sort=False).items()
    }

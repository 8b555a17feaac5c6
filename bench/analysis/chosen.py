"""Each sampler once, with the loss and the settings that validation chooses.

A comparison is of one loss, so that the tests of samplers that are best with different ones stand
in different reports, each corrected for its own number of pairs.  What a reader chooses among is
all of them: here they are side by side, and tested as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from bench.analysis.cells import contents_of
from bench.analysis.comparison import Comparison, comparison_of, free_name, kinds_of
from bench.json_shape import as_text
from bench.metrics import SELECT_ON
from bench.studies import tuning
from bench.studies.records import Record
from bench.studies.store import Store

AS_CHOSEN = "chosen"
"""In place of a loss, in the names of files."""


def as_chosen(store: Store) -> list[Comparison]:
    """One for each protocol and kind of data of a study that was trained with several losses.

    Of a sampler's losses and settings on a dataset with a backbone those count that have the most
    seeds, and of these the one with the best mean NDCG@20 on validation.  Samplers stand under
    their plain names.

    Raises:
        UserError: the study has no finished cell.
    """
    found: list[Comparison] = []
    names: set[str] = set()
    for synthetic, records, losses in kinds_of(tuning.as_compared(store)):
        if losses > 1:
            members = [record.without_settings() for record in chosen(records)]
            name = free_name(AS_CHOSEN, synthetic, names)
            told = "loss and settings as validation chooses"
            found.append(comparison_of(store, name, AS_CHOSEN, told, members))
    return found


def chosen(records: Sequence[Record]) -> list[Record]:
    """Of records of one protocol and kind of data those that `as_chosen` compares."""
    options: dict[str, dict[str, list[Record]]] = {}
    contents = contents_of([record.cell for record in records])
    for record, content in zip(records, contents, strict=True):
        parts = {kind: part and [part.name, part.hyper] for kind, part in record.cell.parts.items()}
        system = as_text([content, record.cell.backbone.name, record.sampler])
        options.setdefault(system, {}).setdefault(as_text(parts), []).append(record)
    return [record for its in options.values() for record in max(its.values(), key=preference)]


def preference(records: Sequence[Record]) -> tuple[int, float]:
    """What one of several choices for a sampler has to be the greatest in, from its cells, one a
    seed: how many, and their mean NDCG@20 on validation."""
    return len(records), mean(record.valid.get(SELECT_ON, 0.0) for record in records)

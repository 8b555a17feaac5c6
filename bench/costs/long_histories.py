"""A made log of long histories, of the size of MovieLens-1M, to measure costs on.

The real datasets have tens of items a user; what a candidate pool or an evaluation takes where
users have hundreds shows here, without a log to fetch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.datasets.base import Dataset
from bench.datasets.splits import make_split
from bench.studies.planning import Plan

NAME = "long-histories"
USERS, ITEMS = 6000, 3400
SHORTEST, LONGEST = 20, 2300
"""Items that a user has."""
SPREAD, MIDDLE = 1.15, 76
"""What a user has beyond the shortest is log-normal: of its logarithm the standard deviation, and
its median.  165 items a user on average."""
POPULARITY = 0.9
"""The k-th most popular item is drawn by ``(k + 9) ** -POPULARITY``."""


def made_log() -> Dataset:
    """Items drawn by their popularity, without repeats; the same whenever it is made."""
    rng = np.random.default_rng(0)
    lengths = SHORTEST + rng.lognormal(np.log(MIDDLE), SPREAD, USERS).astype(np.int64)
    lengths = np.minimum(lengths, LONGEST)
    logits = -POPULARITY * np.log(np.arange(10, ITEMS + 10))
    # The n largest of logits with Gumbel noise are n draws without repeats.
    items = [
        1 + np.argsort(-(logits + rng.gumbel(size=ITEMS)))[:length].astype(np.int32)
        for length in lengths
    ]
    return Dataset(
        name=NAME,
        items=np.concatenate(items),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        n_items=ITEMS,
        user_labels=np.arange(1, USERS + 1).astype(str),
        synthetic=True,
    )


def on_made_log(plan: Plan) -> Plan:
    """The cells of a plan, on this log in place of theirs."""
    dataset = made_log()
    protocol = plan.cells[0].protocol
    split = make_split(dataset, protocol.split, protocol.split_seed, seen=protocol.seen)
    cells = [
        replace(cell, dataset=NAME, fingerprint=dataset.fingerprint, split_digest=split.digest)
        for cell in plan.cells
    ]
    return Plan(cells, {dataset.fingerprint: dataset}, {cells[0].data_key: split}, {}, [])

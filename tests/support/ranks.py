"""Ranks of held-out items from made-up users, and studies of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd

from bench.metrics import gains as gains_of_ranks
from bench.studies.store import Store
from support import cell_of
from support.results import result_of


def ranks(generator, users, effects):
    """``[users x samplers]`` ranks of held-out items; an effect of 0.5 halves them, on average.

    Users differ in how easy they are; a model that is trained again ranks each of them a little
    differently.
    """
    easy = generator.lognormal(2.5, 1.5, size=(users, 1))
    again = generator.lognormal(0.0, 1.0, size=(users, len(effects)))
    found = np.ceil(easy * again * np.array(list(effects.values())))
    return pd.DataFrame(found, columns=list(effects))


def simulated(generator, users, effects):
    """``[users x samplers]`` NDCG@10."""
    return ranks(generator, users, effects).apply(
        lambda column: gains_of_ranks(column.to_numpy())["ndcg@10"]
    )


EFFECTS = {"uniform": 1.0, "dns": 0.95, "mdcns": 0.3}


def save(store, sampler, backbone, rank, dataset="made-up", seed=0, synthetic=True):
    ndcg = gains_of_ranks(rank)["ndcg@10"].mean()
    base = cell_of(sampler, backbone, seed=seed)
    cell = replace(base, dataset=dataset, fingerprint=dataset.ljust(64, "0"))
    result = result_of(cell, ndcg, synthetic=synthetic)
    result.data["test_users"] = len(rank)
    result.arrays.update(rank=rank, user=np.arange(len(rank)))
    store.save(result)


def study_of(root, blocks, effects=EFFECTS, users=150, n_seeds=2, synthetic=True):
    store, generator = Store(root / "study"), np.random.default_rng(11)
    for dataset, backbone in blocks:
        for seed in range(n_seeds):
            found = ranks(generator, users, effects)
            for sampler in effects:
                rank = found[sampler].to_numpy()
                save(store, sampler, backbone, rank, dataset, seed, synthetic)
    return store


BLOCKS = list(itertools.product(["red", "blue"], ["sasrec", "gru4rec"]))

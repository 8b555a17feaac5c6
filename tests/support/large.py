"""A made-up study of a thousand cells, to see what a report of it takes.

``PYTHONPATH=.:tests python -m support.large FOLDER`` leaves ``FOLDER/results/large``; then
``python -m bench.report large --results FOLDER/results --reports FOLDER/reports``.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.metrics import gains
from bench.studies.store import Store
from support import cell_of
from support.results import costed

NAME = "large"
SAMPLERS = ("uniform", "popularity", "dns", "dns+", "srns", "mixgcf", "mixed", "in-batch",
            "sampled-softmax", "mdcns")  # fmt: skip
BACKBONES = ("sasrec", "gru4rec", "fmlp4rec", "linrec")
DATASETS, SEEDS, USERS, EPOCHS = 5, 5, 2_000, 60
DIAGNOSTICS = ("false_negatives", "entropy", "hardness", "negative_gradient")


def made(
    results: Path, datasets: int = DATASETS, seeds: int = SEEDS, users: int = USERS,
    epochs: int = EPOCHS,
) -> Store:  # fmt: skip
    """The study: every sampler with every backbone, on so many datasets with so many seeds.

    Args:
        results: directory of all studies.
        datasets: a thousand cells take five, and as many seeds.
        seeds: of each system.
        users: that each cell was tested on.
        epochs: that each was trained for.
    """
    store, rng = Store(results / NAME), np.random.default_rng(0)
    for place, backbone in itertools.product(range(datasets), BACKBONES):
        easy = rng.lognormal(4.0, 1.5, users)
        for k, sampler in enumerate(SAMPLERS):
            for seed in range(seeds):
                rank = np.ceil(easy * rng.lognormal(-0.1 * k, 1.0, users))
                store.save(_result(sampler, backbone, place, seed, rank, epochs, rng))
    return store


def _result(sampler, backbone, place, seed, rank, epochs, rng):
    cell = replace(
        cell_of(sampler, backbone, seed=seed), dataset=f"shop{place}", fingerprint=f"{place:064d}"
    )
    metrics = {name: float(values.mean()) for name, values in gains(rank).items()}
    result = costed(cell, 0.0, synthetic=False)
    result.metrics["test"] |= metrics
    result.data["test_users"] = len(rank)
    result.timings.update(epochs=epochs, cpu_s=float(rng.lognormal(6.0, 0.5)))
    result.environment["device"] = "cpu"
    curve = 1 - np.exp(-np.arange(1, epochs + 1) / 15)
    rows = [
        {"epoch": i + 1, "loss": 1 - share / 2, "valid_ndcg@10": metrics["ndcg@10"] * share}
        | dict(zip(DIAGNOSTICS, rng.random(len(DIAGNOSTICS)).tolist(), strict=True))
        for i, share in enumerate(curve.tolist())
    ]
    arrays = {"rank": rank, "user": np.arange(len(rank))}
    return replace(result, epochs=rows, arrays=arrays, best_epoch=epochs // 2)


if __name__ == "__main__":
    made(Path(sys.argv[1]) / "results")

"""Results that nobody trained."""

from __future__ import annotations

import numpy as np

from bench.studies.records import CellResult


def result_of(cell, ndcg=0.5, synthetic=True, **metrics):
    return CellResult(
        cell=cell,
        code="c" * 16,
        data={"users": 9, "items": 8, "test_users": 2, "synthetic": synthetic, "notes": ["a note"]},
        metrics={
            "valid": {"ndcg@10": 0.4},
            "test": {f"{m}@{k}": ndcg for m in ("recall", "ndcg") for k in (5, 10, 20)} | metrics,
        },
        buckets={},
        best_epoch=1,
        timings={
            "epochs": 1,
            "train_s": 1.0,
            "train_s_to_best": 1.0,
            "targets_per_s": 5.0,
            "wall_s": 2.0,
            "cpu_s": 1.5,
            "peak_mb": 300.0,
        },
        environment={},
        epochs=[{"epoch": 1, "loss": 0.7}],
        arrays={"rank": np.array([1.0, 2.5]), "user": np.array([0, 1])},
    )


COSTS = {"train_s_to_best": 30.0, "targets_per_s": 12345.6, "peak_mb": 512.0, "wall_s": 70.0,
         "cpu_s": 66.0}  # fmt: skip


def costed(cell, ndcg, synthetic=True):
    result = result_of(cell, ndcg, synthetic)
    result.timings.update(train_s=60.0, **COSTS)
    result.environment.update(cpu="a processor", threads=1, packages={"torch": "2.9"})
    return result

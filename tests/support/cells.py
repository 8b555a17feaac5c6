"""Tiny cells to run anywhere, and a sampler that kills the process it runs in."""

from __future__ import annotations

import contextlib
from pathlib import Path

import samplers
from bench.cell import Cell, Component, Protocol
from bench.datasets.splits import make_split
from bench.registry import load_plugin
from bench.studies.code import code_digest
from bench.studies.run_cell import Material, Task
from support import dataset_of, random_sequences

DATASET = dataset_of(random_sequences(n_users=60), n_items=60)
SPLIT = make_split(DATASET, "user", 0)
MATERIAL = Material.of(DATASET, SPLIT, test=True)
PROTOCOL = Protocol(dim=8, window=8, batch_targets=128, N=10, epochs=3, patience=3)


def cell_of(sampler="uniform", seed=0, **hyper):
    return Cell(
        "made-up", DATASET.fingerprint, SPLIT.digest, Component("gru4rec", {"layers": 1}),
        Component(sampler, hyper), None, Component("bce"), PROTOCOL, seed,
    )  # fmt: skip


def work_of(cells, plugins=()):
    return [(Task(cell, code_digest(cell), 1, plugins), MATERIAL) for cell in cells]


def numbers(outcomes):
    """By cell: what must not depend on where it ran."""
    outcomes = list(outcomes)
    for outcome in outcomes:
        assert outcome.result is not None, outcome.traceback
    return {
        outcome.cell.key: (
            outcome.result.metrics,
            [row["loss"] for row in outcome.result.epochs],
            outcome.result.arrays["rank"].tolist(),
        )
        for outcome in outcomes
    }


ROOT = Path(__file__).resolve().parent.parent.parent
CELLS = [cell_of(seed=seed) for seed in range(6)]


KILLER = """
import os, signal
from pathlib import Path
import samplers

@samplers.register("killer")
class Killer(samplers.Sampler):
    '''Kills its process, so many times in all.'''

    def __init__(self, *, folder: str = "", times: int = 0) -> None:
        self.folder, self.times = Path(folder), times

    def sample(self, views):
        killed = len(list(self.folder.iterdir()))
        if killed < self.times:
            (self.folder / str(killed)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return [samplers.Negatives(ids=view.pool(1)) for view in views]
"""


@contextlib.contextmanager
def killer_plugin(folder):
    """Its path, while it is registered."""
    path = folder / "killer_sampler.py"
    path.write_text(KILLER)
    classes = samplers.registry._classes
    other = classes.pop("killer", None)
    load_plugin(str(path))
    try:
        yield str(path)
    finally:
        del classes["killer"]
        if other is not None:
            classes["killer"] = other

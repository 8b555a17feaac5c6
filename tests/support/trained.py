"""Trains a cell with each kind of optimiser, for tests of what that loads."""

from __future__ import annotations

from bench import scoring
from bench.studies import executors
from support.cells import cell_of, numbers, work_of


def main(_):
    for large in (scoring.LARGE, 1):
        scoring.LARGE = large
        assert numbers(executors.run(work_of([cell_of("mdcns", N=10)]), executors.Here("cpu")))

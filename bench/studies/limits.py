"""Numbers that options and their help name, in a module that loads nothing else."""

from __future__ import annotations

TABLES = (3, 4, 5, 6, 7)
"""Of the MDCNS paper, of those that hold results; see `studies.paper_grids`."""

SETTINGS = 40
"""Of a sampler in a grid: as many as the MDCNS paper's authors gave their method."""

LARGE_HOURS, LARGE_DISK = 12, 20e9
"""From so many hours or bytes on, a run is asked about before it starts."""

BACKBONE, SEEDS = "sasrec", 5
"""Of a study with a budget, unless others are chosen: its backbone, and at most so many seeds."""

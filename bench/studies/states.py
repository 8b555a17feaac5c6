"""States of training that is to go on: the same cell with a higher limit of epochs.

Nothing in training depends on the limit but where it ends, so that a cell that goes on from the
state that it had with a lower one has the numbers of a cell that was trained in one go.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bench.cell import Cell


class States:
    """A folder with the states that cells ended with, ``<course>-<epochs>.pt``."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: made when a state is first kept.
        """
        self.folder = folder

    def start(self, cell: Cell) -> Path | None:
        """The latest state that the cell can go on from; None where there is none."""
        found = [epochs for epochs in self._kept(cell) if epochs <= cell.protocol.epochs]
        return self._path(cell, max(found)) if found else None

    def end(self, cell: Cell) -> Path:
        """Where the cell's own is kept."""
        return self._path(cell, cell.protocol.epochs)

    def keep_only(self, cells: Collection[Cell]) -> None:
        """Remove what none of these cells ended with."""
        wanted = {self.end(cell) for cell in cells}
        for path in self.folder.glob("*"):  # those half-written by a run that was killed, too
            if path not in wanted:
                path.unlink(missing_ok=True)

    def _path(self, cell: Cell, epochs: int) -> Path:
        return self.folder / f"{course(cell)}-{epochs}.pt"

    def _kept(self, cell: Cell) -> list[int]:
        names = (path.stem for path in self.folder.glob(f"{course(cell)}-*.pt"))
        found = (re.fullmatch(r"[0-9a-f]+-([0-9]+)", name) for name in names)
        return [int(match[1]) for match in found if match]


def course(cell: Cell) -> str:
    """The same for cells that differ in their limit of epochs alone."""
    return replace(cell, protocol=replace(cell.protocol, epochs=1)).key

"""The trained weights of a study's cells, beside them: each whole or absent, as a cell is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.errors import UserError
from bench.files import replace
from bench.studies import cell_files, model_files
from bench.studies.records import Arrays, CellResult

AGAIN = "the grid with --keep-models trains the cell again for them"


class Models:
    """``results/<study>/models``: a folder a cell (`studies.model_files`), ignored by git, as it is
    large and can be made again.

    Weights belong to one training: they count only where the stored ranks are those they gave.

    Attributes:
        root: the directory; made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, key: str) -> Path:
        """Where a cell's models lie, if they are kept."""
        return self.root / key

    def save(self, result: CellResult, arrays: Arrays, labels: Sequence[str] | None) -> None:
        """Keep a cell's models, in place of older ones.

        Args:
            result: of the training; with weights.
            arrays: what the cell stores, or is about to.
            labels: ``[n_items]`` of the items; None where they are the numbers.

        Raises:
            OSError: they cannot be written; nothing of them is left.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        if not (ignored := self.root / ".gitignore").exists():
            replace(ignored, "*\n")
        cell_files.put(
            self.root,
            result.cell.key,
            lambda folder: model_files.write(folder, result, arrays, labels),
        )

    def forget(self, key: str) -> None:
        """Remove a cell's models, if there are any."""
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def about(self, key: str, arrays: Arrays) -> model_files.About:
        """What is kept of a cell's models.

        Args:
            key: of the cell.
            arrays: that it has stored.

        Raises:
            UserError: nothing, or it is damaged, or of another training.
        """
        folder = self.folder(key)
        if not folder.is_dir():
            raise UserError(f"{folder}: no models are kept of this cell; {AGAIN}")
        try:
            about = model_files.check(folder, key)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{folder}: damaged ({str(error)[:200]}); {AGAIN}") from error
        if about.result != model_files.digest(arrays):
            raise UserError(f"{folder}: of another training than the stored cell; {AGAIN}")
        return about

    def has(self, key: str, arrays: Arrays) -> bool:
        """Whether a cell's models are kept, whole; arguments as for `about`."""
        try:
            self.about(key, arrays)
        except UserError:
            return False
        return True

    def check_items(self, key: str, labels: Sequence[str] | None, n_items: int) -> None:
        """That kept models call the items as the data does that they would be kept of.

        Args:
            key: of a cell whose models are kept.
            labels: ``[n_items]`` of the items; None where they are the numbers.
            n_items: of them.

        Raises:
            UserError: they have other labels; recommendations would be of those.
        """
        known = model_files.read_labels(self.folder(key), n_items)
        own = map(str, range(1, n_items + 1) if labels is None else labels)
        for ours, theirs in zip(own, known, strict=True):
            if ours != theirs:
                raise UserError(
                    f"{self.folder(key)}: its models call an item {theirs!r} that is {ours!r} "
                    "here, in a log that is otherwise the same; give another --study"
                )

"""Which files of a folder a report wrote: only those are ever replaced or removed by another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench import json_shape
from bench.errors import UserError
from bench.files import read_json, replace, why

NAME = "manifest.json"
PAGE = "index.html"
VERSION = 1
MAX_FILE = 2**22
"""Bytes of the manifest."""


def plain_name(value: object) -> bool:
    """A name of a file in the folder itself: no way leads out of it."""
    return json_shape.name(value) and Path(str(value)).name == value and value != ".."


SHAPE = {"version": json_shape.one_of(VERSION), "files": [plain_name]}


def put(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, and remove those that an earlier report wrote and this one not.

    At any time the manifest names all that reports have written there, so that a later one finds
    what one that was stopped has left.

    Args:
        folder: made if need be.
        files: plain name to content.

    Returns:
        The files, the manifest last.

    Raises:
        UserError: the folder cannot be written, or has a page or a manifest that is no report's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = read(folder)
        if earlier is None:
            _check_foreign(folder, files)
        _name(folder, {*(earlier or ()), *files})
        for name, content in files.items():
            replace(folder / name, content)
        for name in set(earlier or ()).difference(files):
            path = folder / name
            if path.is_file() and not path.is_symlink():
                path.unlink()
        _name(folder, files)
    except OSError as error:
        raise UserError(f"--reports: {folder} cannot be written ({why(error)})") from error
    return [*(folder / name for name in files), folder / NAME]


def read(folder: Path) -> list[str] | None:
    """The files that reports have written; None where no manifest says so.

    Raises:
        UserError: what is called like a manifest is none.
        OSError: it cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        stored = read_json(path, SHAPE, MAX_FILE)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"--reports: {path} is not what a report writes ({error}); give another folder, or "
            "delete the file: then nothing is removed there"
        ) from error
    return list(stored["files"])


def _check_foreign(folder: Path, files: Mapping[str, bytes]) -> None:
    """Refuse to write over a page beside which no other file of a report lies.

    Reports of earlier versions have no manifest, but they have more files than that.
    """
    taken = {name for name in files if (folder / name).exists()}
    if taken == {PAGE}:
        raise UserError(
            f"--reports: {folder / PAGE} is not a report's page; move it away, or give another "
            "folder"
        )


def _name(folder: Path, names: Iterable[str]) -> None:
    content = json.dumps({"version": VERSION, "files": sorted(names)}, indent=1) + "\n"
    replace(folder / NAME, content)

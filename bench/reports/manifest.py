"""Which files of a folder a report wrote: only those are ever replaced or removed by another.

A study's own report and a camera-ready one never take each other's place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

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


Kind = Literal["study", "camera-ready"]
"""Of a report; a manifest that names none is of a study's own."""

OPTION: dict[Kind, str] = {"study": "--reports", "camera-ready": "--out"}
"""By which its folder is given."""

SHAPE = {
    "version": json_shape.one_of(VERSION),
    "kind": (..., json_shape.one_of(*get_args(Kind))),
    "files": [plain_name],
}


def put(folder: Path, files: Mapping[str, bytes], kind: Kind = "study") -> list[Path]:
    """Write files into a folder, and remove those that an earlier report wrote and this one not.

    At any time the manifest names all that reports have written there, so that a later one finds
    what one that was stopped has left.

    Args:
        folder: made if need be.
        files: plain name to content.
        kind: of the report; one of another kind is not written over.

    Returns:
        The files, the manifest last.

    Raises:
        UserError: the folder cannot be written, has a report of another kind, or a page or a
            manifest that is no report's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = read(folder, kind)
        if earlier is None:
            _check_foreign(folder, files, kind)
        _name(folder, {*(earlier or ()), *files}, kind)
        for name, content in files.items():
            replace(folder / name, content)
        for name in set(earlier or ()).difference(files):
            path = folder / name
            if path.is_file() and not path.is_symlink():
                path.unlink()
        _name(folder, files, kind)
    except OSError as error:
        raise UserError(f"{OPTION[kind]}: {folder} cannot be written ({why(error)})") from error
    return [*(folder / name for name in files), folder / NAME]


def read(folder: Path, kind: Kind = "study") -> list[str] | None:
    """The files that reports of a kind have written; None where no manifest says so.

    Raises:
        UserError: what is called like a manifest is none, or of another kind of report.
        OSError: it cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        stored = read_json(path, SHAPE, MAX_FILE)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{OPTION[kind]}: {path} is not what a report writes ({error}); give another folder, "
            "or delete the file: then nothing is removed there"
        ) from error
    if stored.get("kind", "study") != kind:
        there = "a camera-ready report" if kind == "study" else "a study's own report"
        raise UserError(
            f"{OPTION[kind]}: {folder} has {there}, which is not written over; give another folder"
        )
    return list(stored["files"])


def _check_foreign(folder: Path, files: Mapping[str, bytes], kind: Kind) -> None:
    """Refuse to write over a page beside which no other file of a report lies.

    Reports of earlier versions have no manifest, but they have more files than that; a
    camera-ready one always has a manifest, and writes over nothing without.
    """
    taken = {name for name in files if (folder / name).exists()}
    if kind == "camera-ready" and taken:
        raise UserError(
            f"--out: {folder / min(taken)} is there already, and no camera-ready report wrote it; "
            "give another folder"
        )
    if taken == {PAGE}:
        raise UserError(
            f"--reports: {folder / PAGE} is not a report's page; move it away, or give another "
            "folder"
        )


def _name(folder: Path, names: Iterable[str], kind: Kind) -> None:
    told = {} if kind == "study" else {"kind": kind}
    content = json.dumps({"version": VERSION, **told, "files": sorted(names)}, indent=1) + "\n"
    replace(folder / NAME, content)

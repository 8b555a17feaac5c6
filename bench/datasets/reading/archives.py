"""Tables inside zip and tar.gz archives, read in place: nothing is ever unpacked to disk."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import pandas as pd

from bench.datasets.reading import files
from bench.datasets.reading.tables import TextTable
from bench.errors import UserError

MAX_MEMBERS = 10_000


def read_member(archive: Path, name: str, columns: list[str], separator: str) -> pd.DataFrame:
    """Some numeric columns of a table in an archive.

    Args:
        archive: ``.zip`` or ``.tar.gz``.
        name: the member's file name, in whatever folder of the archive.
        columns: those to read.
        separator: of the fields.

    Raises:
        UserError: no such member or column, a damaged archive, or one that passes a limit of
            `bench.datasets.reading.files` or ``MAX_MEMBERS``.
    """
    label = f"{archive}, {name}"
    try:
        with _open_member(archive, name) as member:
            file = io.BufferedReader(files.Text(label, member), files.CHUNK)
            table = TextTable(label, file, separator)
            places = _wanted(label, table.names, columns)
            blocks = [np.array(block.columns, np.int64) for block in table.blocks(places)]
            return pd.DataFrame(np.concatenate(blocks, axis=1).T, columns=columns)
    except (*files.DAMAGED, tarfile.TarError) as error:
        raise UserError(
            f"{archive}: cannot be read ({files.last_line(error)}); delete it and fetch again"
        ) from error
    except ValueError as error:
        raise UserError(f"{label}: {files.last_line(error)}") from error


def _wanted(label: str, names: Sequence[str], columns: list[str]) -> list[int]:
    missing = [column for column in columns if column not in names]
    if missing:
        raise UserError(f"{label}: no column {missing[0]!r}; delete it and fetch again")
    return [names.index(column) for column in columns]


@contextlib.contextmanager
def _open_member(archive: Path, name: str) -> Iterator[IO[bytes] | files.Limited]:
    """The first regular file of that name."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            members = zipped.infolist()
            _check_members(archive, len(members))
            found = next((info for info in members if _named(info.filename, name)), None)
            if found is not None:
                # What the headers say of sizes is not relied on, only held against each other.
                packed = min(found.compress_size, archive.stat().st_size)
                with zipped.open(found) as member:
                    yield files.Limited(f"{archive}, {name}", member, lambda: packed)
                return
    else:
        with archive.open("rb") as raw, gzip.GzipFile(fileobj=raw) as unzipped:
            limited: Any = files.Limited(str(archive), unzipped, raw.tell)
            with tarfile.open(fileobj=limited, mode="r|") as stream:
                for count, entry in enumerate(stream, 1):
                    _check_members(archive, count)
                    if entry.isfile() and _named(entry.name, name):
                        content = stream.extractfile(entry)
                        assert content is not None  # it is a regular file
                        yield files.Limited(f"{archive}, {name}", content, None)
                        return
    raise UserError(f"{archive}: holds no {name}; delete it and fetch again")


def _named(path: str, name: str) -> bool:
    return PurePosixPath(path).name == name


def _check_members(archive: Path, count: int) -> None:
    if count > MAX_MEMBERS:
        raise UserError(f"{archive}: more than {MAX_MEMBERS} files; delete it and fetch again")

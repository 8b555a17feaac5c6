"""Tables inside zip and tar.gz archives, read in place: nothing is ever unpacked to disk."""

from __future__ import annotations

import contextlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import pandas as pd

from bench.datasets.readers import MAX_BYTES
from bench.errors import UserError


def read_member(archive: Path, name: str, columns: list[str], separator: str) -> pd.DataFrame:
    """Some numeric columns of a table in an archive.

    Args:
        archive: ``.zip`` or ``.tar.gz``.
        name: the member's file name, in whatever folder of the archive.
        columns: those to read.
        separator: of the fields.

    Raises:
        UserError: no such member or column, a damaged archive, or a member too long.
    """
    try:
        with _open_member(archive, name) as file:
            return pd.read_csv(file, sep=separator, usecols=columns, dtype="int64")
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{archive}: cannot be read ({error}); delete it and fetch again"
        ) from error
    except ValueError as error:  # pandas' own errors are of this kind
        raise UserError(f"{archive}, {name}: {str(error).strip().splitlines()[-1]}") from error


@contextlib.contextmanager
def _open_member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            sizes = {info.filename: info.file_size for info in zipped.infolist()}
            with zipped.open(_chosen(archive, name, sizes)) as file:
                yield file
        return
    with tarfile.open(archive, "r:gz") as packed:
        sizes = {info.name: info.size for info in packed if info.isfile()}
        member = packed.extractfile(_chosen(archive, name, sizes))
        assert member is not None  # it is a regular file
        with member:
            yield member


def _chosen(archive: Path, name: str, sizes: dict[str, int]) -> str:
    matching = [path for path in sizes if PurePosixPath(path).name == name]
    if not matching:
        raise UserError(f"{archive}: holds no {name}; delete it and fetch again")
    if sizes[matching[0]] > MAX_BYTES:
        raise UserError(f"{archive}, {name}: longer than {MAX_BYTES} bytes unpacked")
    return matching[0]

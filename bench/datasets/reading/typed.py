"""Tables whose values have types, JSON lines and Parquet, as blocks of text."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.datasets.reading import files
from bench.datasets.reading.tables import AT_ONCE, Block, sample_of
from bench.errors import UserError, lacking

PARQUET_ROWS = 2**10
"""Rows of Parquet that are unpacked at a time: few, for a small file may repeat a long text."""


class JsonTable:
    """An object a line; see `bench.datasets.reading.tables.Table`.

    Columns are the names that the first lines have; what a later line lacks, and null, is empty.
    """

    unit: ClassVar[str] = "line"
    unnamed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, file: Any) -> None:
        """
        Args:
            name: what errors call it.
            file: a buffered reader of UTF-8.

        Raises:
            UserError: its first lines are no objects, or the first one is too long.
        """
        self._name = name
        sample = [line for line in sample_of(file) if line.strip()]
        self._lines: Iterator[str] = io.TextIOWrapper(file, "utf-8-sig")
        # A line without an end may be cut.  An array is refused without the rest of it, which may
        # be a line too long for advice on arrays to be given.
        if len(sample) == 1 and sample[0][-1] not in "\r\n" and sample[0].lstrip()[0] == "{":
            sample = [next(self._lines)]
            self._lines = itertools.chain(sample, self._lines)
        objects = [self._parsed(line, number) for number, line in enumerate(sample, 1)]
        self.names = list(dict.fromkeys(itertools.chain.from_iterable(objects)))

    def blocks(self, places: Sequence[int]) -> Iterator[Block]:
        """See `bench.datasets.reading.tables.Table`."""
        chosen, first, gap = [self.names[place] for place in places], 1, 0
        while lines := list(itertools.islice(self._lines, AT_ONCE)):
            rows = []
            for number, line in enumerate(lines, first):
                if line.isspace():
                    gap = gap or number
                    continue
                if gap:
                    raise UserError(
                        f"{self._name}, line {gap}: no user, the line is empty; take it out"
                    )
                found = self._parsed(line, number)
                rows.append([self._text(found.get(name), name, number) for name in chosen])
            if rows:
                columns: list[Sequence[str]] = list(zip(*rows, strict=True))
                yield Block(columns, np.arange(first, first + len(rows)))
            first += len(lines)

    def _parsed(self, line: str, number: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
            if not isinstance(found, dict):
                raise ValueError(f"a {type(found).__name__}")
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{self._name}, line {number}: expected a JSON object a line "
                f"({files.last_line(error)[:80]}); of an array, jq -c '.[]' makes them"
            ) from error
        return found

    def _text(self, value: Any, name: str, number: int) -> str:
        if isinstance(value, str):
            if value.isascii() or value.encode(errors="replace").decode() == value:
                return value
            raise UserError(
                f"{self._name}, line {number}: {name[:40]!r} holds what is no character"
            )
        if value is None:
            return ""
        if isinstance(value, dict | list):
            raise UserError(
                f"{self._name}, line {number}: column {name[:40]!r} holds more than one value a row"
            )
        return json.dumps(value)


class ParquetTable:
    """See `bench.datasets.reading.tables.Table`; needs pyarrow."""

    unit: ClassVar[str] = "row"
    unnamed: ClassVar[tuple[str, ...]] = ()

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UserError: it is no Parquet, or pyarrow is not installed.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise lacking(f"{path}: reading Parquet", "parquet") from error
        self._path, self._pa, self._pq = path, pa, pq
        self._errors = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError)
        try:
            with pq.ParquetFile(path) as file:
                self._schema = file.schema_arrow
        except self._errors as error:
            raise self._refused(error) from error
        self.names = list(self._schema.names)

    def blocks(self, places: Sequence[int]) -> Iterator[Block]:
        """See `bench.datasets.reading.tables.Table`."""
        chosen, size, first = [self.names[place] for place in places], 0, 1
        for name in chosen:
            if self._pa.types.is_nested(self._schema.field(name).type):
                raise UserError(f"{self._path}: column {name!r} holds more than one value a row")
        try:
            with self._pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(PARQUET_ROWS, columns=list(dict.fromkeys(chosen))):
                    batch.validate(full=True)
                    size += batch.nbytes
                    if size > files.MAX_BYTES:
                        raise UserError(
                            f"{self._path}: longer than {files.MAX_BYTES} bytes unpacked; keep "
                            "fewer users"
                        )
                    if len(batch):
                        columns = [*map(self._texts, map(batch.column, chosen))]
                        yield Block(columns, np.arange(first, first + len(batch)))
                    first += len(batch)
        except self._errors as error:
            raise self._refused(error) from error
        if first == 1:
            raise UserError(f"{self._path}: empty; expected rows of user, item, time")

    def _texts(self, column: Any) -> Sequence[str]:
        if self._pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        texts: Sequence[str] = column.cast(self._pa.string()).fill_null("").to_pylist()
        return texts

    def _refused(self, error: Exception) -> UserError:
        return UserError(f"{self._path}: not a Parquet file ({files.last_line(error)})")

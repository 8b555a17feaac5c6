"""The trained weights of a cell, kept beside it: their files, how they are sealed and read.

    model.json          the cell's settings, and which stored result the weights belong to
    items.json          the items' own labels, that of item 1 first; null where they are the numbers
    self.safetensors    weights of the model under test at its best epoch
    peer.safetensors    those of the model trained beside it, where there is one
    SHA256SUMS          of these

Nothing in them is executed: JSON of a known shape, and safetensors, which holds arrays alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from bench import json_shape
from bench.cell import Cell
from bench.errors import lacking
from bench.files import read_json, read_limited
from bench.studies.cell_files import MAX_JSON, RECORD, SUMS, sync
from bench.studies.records import Arrays, CellResult

FILE, ITEMS, ROLES = "model.json", "items.json", ("self", "peer")

FORMAT = 1
"""Of these files; raise when they come to mean something else."""

MAX_ITEMS = 2**30
"""Bytes of ``items.json``."""

ABOUT = {
    "format": json_shape.one_of(FORMAT),
    "key": json_shape.name,
    "code": json_shape.name,
    "n_items": json_shape.positive,
    "models": [json_shape.one_of(*ROLES)],
    "result": json_shape.name,
    "config": RECORD["config"],
}
"""The shape of ``model.json``."""


@dataclass(frozen=True)
class About:
    """What ``model.json`` holds.

    Attributes:
        cell: what was trained, with every setting.
        code: digest of the code that trained it.
        n_items: size of the catalogue.
        models: roles of the models that are kept, ``self`` and perhaps ``peer``.
        result: `digest` of the ranks that the weights gave.
    """

    cell: Cell
    code: str
    n_items: int
    models: tuple[str, ...]
    result: str


def check_installed() -> None:
    """See that weights can be written and read.

    Raises:
        UserError: safetensors is not installed.
    """
    if importlib.util.find_spec("safetensors") is None:
        raise lacking("keeping trained models, as safetensors,", "models")


def packed(model: nn.Module) -> bytes:
    """A model's weights as a safetensors file.

    Raises:
        UserError: safetensors is not installed.
    """
    check_installed()
    from safetensors.torch import save

    # Copies, for tensors of one storage are refused.
    return save({name: w.detach().cpu().clone() for name, w in model.state_dict().items()})


def digest(arrays: Arrays) -> str:
    """SHA-256 (hex) of what a cell's ``ranks.npz`` holds, however it was packed."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(f"{name}:{array.dtype.str}:{len(array)}:".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def write(folder: Path, result: CellResult, arrays: Arrays, labels: Sequence[str] | None) -> None:
    """Write the files of a cell's models into a new folder, and seal them.

    Args:
        folder: to be made.
        result: of the training; with weights.
        arrays: the cell's stored ones.
        labels: ``[n_items]`` of the items; None where they are the numbers.

    Raises:
        OSError: they cannot be written; what was is left there.
    """
    folder.mkdir(parents=True)
    roles = ROLES[: len(result.weights)]
    about = {
        "format": FORMAT,
        "key": result.cell.key,
        "code": result.code,
        "n_items": result.data["items"],
        "models": roles,
        "result": digest(arrays),
        "config": result.cell.config(),
    }
    (folder / FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    listed = None if labels is None else list(map(str, labels))
    (folder / ITEMS).write_text(json.dumps(listed, ensure_ascii=False) + "\n", encoding="utf-8")
    for role, weights in zip(roles, result.weights, strict=True):
        (folder / f"{role}.safetensors").write_bytes(weights)
    (folder / SUMS).write_text(_sums(folder, roles), encoding="utf-8")
    for path in [*folder.iterdir(), folder]:
        sync(path)


def _sums(folder: Path, roles: Sequence[str]) -> str:
    lines = []
    for name in (FILE, ITEMS, *(f"{role}.safetensors" for role in roles)):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return "".join(lines)


def check(folder: Path, key: str) -> About:
    """Read what the models of a cell are, and see that all files are as they were written.

    Raises:
        OSError: one is missing, or cannot be read.
        ValueError: one is damaged, or of another shape or cell.
        RecursionError: JSON is nested too deeply.
    """
    stored = read_json(folder / FILE, ABOUT, MAX_JSON)
    if stored["key"] != key:
        raise ValueError(f"{FILE} has another key")
    cell = Cell.from_config(stored["config"])
    roles = tuple(stored["models"])
    if roles != ROLES[: len(cell.models)]:
        raise ValueError(f"{FILE} names other models than the cell has")
    if read_limited(folder / SUMS, MAX_JSON) != _sums(folder, roles):
        raise ValueError("its files are not what was written")
    return About(cell, stored["code"], stored["n_items"], roles, stored["result"])


def read_labels(folder: Path, n_items: int) -> list[str]:
    """The items' labels, that of item 1 first.

    Raises:
        OSError: they cannot be read.
        ValueError: they are not what `write` writes.
    """
    labels: list[str] | None = read_json(folder / ITEMS, (None, [_label]), MAX_ITEMS)
    if labels is None:
        return [str(number) for number in range(1, n_items + 1)]
    if len(labels) != n_items or len(set(labels)) != n_items:
        raise ValueError(f"{ITEMS} has not one label for each of {n_items} items")
    return labels


def _label(value: Any) -> bool:
    return isinstance(value, str)


def read_weights(folder: Path, role: str) -> dict[str, Tensor]:
    """A model's weights by name.

    Raises:
        UserError: safetensors is not installed.
        OSError: they cannot be read.
        ValueError: they are none.
    """
    check_installed()
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / f"{role}.safetensors")
    except SafetensorError as error:
        raise ValueError(f"{role}.safetensors: {error}") from error

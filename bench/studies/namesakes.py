"""What people call cells and systems: by their names, and by what tells them from namesakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.cell import Cell
from bench.json_shape import as_text


def labels_of(cells: Sequence[Cell]) -> dict[str, str]:
    """By key: a cell's label and, where others have the same, what tells it from them."""
    settings = [
        cell.protocol.config()
        | {f"{cell.backbone.name}.{k}": v for k, v in cell.backbone.hyper.items()}
        | settings_of(cell)
        for cell in cells
    ]
    labels = told_apart([cell.label for cell in cells], settings)
    return {cell.key: label for cell, label in zip(cells, labels, strict=True)}


def settings_of(cell: Cell) -> dict[str, Any]:
    """The sampler's hyper-parameters, and those of its peer and its objective."""
    parts = [part for part in (cell.peer, cell.objective) if part is not None]
    others = {f"{part.name}.{k}": v for part in parts for k, v in part.hyper.items()}
    return {**cell.sampler.hyper, **others}


def told_apart(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each name, with the settings that tell it from its namesakes: ``dns+ (M=2)``."""
    return [
        f"{name} ({shown})" if shown else name
        for name, shown in zip(names, what_differs(names, settings), strict=True)
    ]


def what_differs(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each name the settings that tell it from its namesakes, ``M=2``; empty if none do.

    ``gru4rec.layers=2`` tells nothing from a namesake that has no gru4rec: another option names it.
    """
    namesakes: dict[str, list[Mapping[str, Any]]] = {}
    for name, setting in zip(names, settings, strict=True):
        namesakes.setdefault(name, []).append(setting)
    differing = {
        name: [
            option
            for option in sorted({option for setting in given for option in setting})
            if len({as_text(s.get(option)) for s in given if _has_component(s, option)}) > 1
        ]
        for name, given in namesakes.items()
    }
    return [
        ", ".join(f"{option}={setting[option]}" for option in differing[name] if option in setting)
        for name, setting in zip(names, settings, strict=True)
    ]


def _has_component(setting: Mapping[str, Any], option: str) -> bool:
    component, dot, _ = option.rpartition(".")
    return not dot or any(name.startswith(f"{component}.") for name in setting)

"""What a study is asked to cross with what."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import backbones
import samplers
from bench.cell import PRESETS, Preset, Protocol
from bench.datasets import Reading, data_directory, is_path
from bench.datasets import registry as sources
from bench.errors import UserError
from bench.json_shape import whole
from bench.registry import load_plugin, suggest
from bench.studies import sweeps
from bench.studies.paper_grids import TABLES, splits_of

MAX_SEEDS = 1000
"""More are a slip of the keyboard, and a plan of millions of cells."""

Names = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
"""One or several registered names, or paths of logs; None for those of the preset."""


@dataclass(frozen=True)
class Request:
    """What to cross with what.

    Attributes:
        datasets: registered names or paths.
        objectives: for samplers that go with any; others are trained with their own.
        seeds: how many; they are 0, 1, 2, ...
        draws: whether each seed draws its own users to train and to test on.
        settings: ``("mdcns.gamma", "1.5")`` and the like, in order of precedence; typed values
            do as well as text, and a list of several is crossed with all else.
        splits: a dataset's split, where it is not the protocol's.
        split_file: assignment of users, for split ``user``.
        pairs: the (backbone, sampler) pairs to keep of the product; None keeps all.
        grid: train every setting of each sampler's search space (see `bench.studies.setting_grid`).
        lenient: leave out what a dataset cannot serve, and say so, in place of an error.
        fixed: the names of settings that the user gave, which tuning does not vary.
        plugins: files or modules with components, for the processes that will train the cells.
        reading: how logs that are given by their paths are read.
    """

    datasets: Sequence[str]
    backbones: Sequence[str]
    samplers: Sequence[str]
    objectives: Sequence[str]
    seeds: int
    protocol: Protocol
    settings: Sequence[tuple[str, Any]]
    data_dir: Path | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    split_file: Path | None = None
    pairs: frozenset[tuple[str, str]] | None = None
    grid: bool = False
    lenient: bool = False
    fixed: frozenset[str] = frozenset()
    plugins: tuple[str, ...] = ()
    draws: bool = False
    reading: Reading = field(default_factory=Reading)


def parse_settings(given: Iterable[str]) -> list[tuple[str, Any]]:
    """``["mdcns.gamma=1.5"]`` as pairs; of ``mdcns.gamma=1,2`` the value is a list.

    Raises:
        UserError: no ``=`` in one of them, or an empty value among several.
    """
    pairs = list[tuple[str, Any]]()
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UserError(f"--set {text}: expected NAME.OPTION=VALUE, such as mdcns.gamma=1.5")
        pairs.append((name, sweeps.parsed(name, value)))
    return pairs


def preset_request(preset: Preset, **chosen: Any) -> Request:
    """The request for a whole preset, with what the user ``chosen`` in place of its parts.

    Every registered sampler and backbone takes part, unless the preset names some; the objective
    is bce unless chosen.
    """
    settings = [*preset.settings.items(), *chosen.pop("settings", [])]
    everything = {
        "datasets": preset.datasets,
        "backbones": preset.backbones or backbones.registry.names(),
        "samplers": preset.samplers or samplers.registry.names(),
        "objectives": ["bce"],
        "seeds": preset.seeds,
        "protocol": preset.protocol,
        "lenient": chosen.get("samplers") is None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    return Request(**{**everything, **given, "settings": settings})


def preset_name(preset: str | None, table: int | None, datasets: Names = None) -> str:
    """The preset, where it was given; ``paper`` for its tables, ``standard`` where a dataset is not
    a generated one, else ``quick``."""
    if preset is not None or table is not None:
        return preset or "paper"
    return "standard" if any(map(_is_real, _names("datasets", datasets) or [])) else "quick"


def _is_real(dataset: str) -> bool:
    """Whether it is a log of one's own, or a registered dataset that is not generated."""
    known = dataset in sources.names()
    return is_path(dataset) or (known and not sources.get(dataset).synthetic)


def request_of(
    *,
    preset: str | None = None,
    table: int | None = None,
    datasets: Names = None,
    backbones: Names = None,
    samplers: Names = None,
    objectives: Names = None,
    seeds: int | None = None,
    splits: int | None = None,
    settings: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
    split: str | None = None,
    split_file: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    grid: bool = False,
    plugins: Sequence[str] = (),
    reading: Reading | None = None,
) -> Request:
    """The request for a preset or a table of the paper, with what is given in place of its parts.

    Loads the plug-ins.  The arguments are those of `bench.plan`.

    Raises:
        UserError: impossible values, no such preset, table, file or directory.
    """
    for plugin in plugins:
        load_plugin(plugin)
    name = preset_name(preset, table, datasets)
    _check_preset(name, table)
    given = _one_or_several(settings)
    fixed = frozenset(setting for setting, _ in given)
    _check_counts(seeds, splits, fixed)
    if split is not None:
        given.append(("split", split))
    parts = {"datasets": datasets, "backbones": backbones, "samplers": samplers}
    chosen: dict[str, Any] = {
        part: _names(part, names) for part, names in {**parts, "objectives": objectives}.items()
    }
    _check_own(name, chosen["datasets"], reading)
    _check_file(split_file)
    found = data_directory(None if data_dir is None else os.fspath(data_dir))
    if table is not None:
        chosen = TABLES[table].grid(chosen)
        if split_file is None and "split" not in dict(given):
            chosen["splits"] = splits_of(found)
        given = chosen.pop("settings") + given  # in order of precedence: the user's last
    return preset_request(
        PRESETS[name],
        **chosen,
        seeds=splits or seeds,
        draws=splits is not None,
        settings=given,
        data_dir=found,
        grid=grid,
        split_file=None if split_file is None else Path(split_file),
        fixed=fixed,
        plugins=tuple(plugins),
        reading=reading,
    )


def _one_or_several(
    settings: Mapping[str, Any] | Sequence[tuple[str, Any]],
) -> list[tuple[str, Any]]:
    """Settings as pairs, those with several values checked.

    Raises:
        UserError: they are not pairs, or several values are none.
    """
    pairs = list(settings.items() if isinstance(settings, Mapping) else settings)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise UserError(f"settings={settings!r}: give a dictionary, such as {{'dns.N': 10}}")
    return [
        (name, sweeps.checked(name, value) if isinstance(value, list | tuple) else value)
        for name, value in pairs
    ]


def _check_counts(seeds: int | None, splits: int | None, fixed: frozenset[str]) -> None:
    for option, count in (("seeds", seeds), ("splits", splits)):
        if count is not None and not (whole(count) and 1 <= count <= MAX_SEEDS):
            raise UserError(f"{option}={count!r}: must be a whole number from 1 to {MAX_SEEDS}")
    if splits is not None and seeds is not None:
        raise UserError("--splits: each split is trained with a seed of its own; leave out --seeds")
    if splits is not None and "split_seed" in fixed:
        raise UserError("--splits draws users with split_seed 0, 1, 2, ...; leave that setting out")


def _check_preset(name: str, table: int | None) -> None:
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}{suggest(name, list(PRESETS))}")
    if table is not None and table not in TABLES:
        raise UserError(f"table {table}: the paper's are {', '.join(map(str, TABLES))}")


def _check_file(split_file: str | os.PathLike[str] | None) -> None:
    if split_file is not None and not Path(split_file).is_file():
        raise UserError(f"--split-file {split_file}: no such file")


def _check_own(preset: str, names: list[str] | None, reading: Reading | None) -> None:
    """Refuse what is for logs of one's own where there is none."""
    if names is None and not PRESETS[preset].datasets:
        raise UserError(f"--preset {preset} has no datasets: give --datasets PATH, or names")
    if reading is not None and reading.words() and not any(map(is_path, names or [])):
        raise UserError(
            f"{reading.words()[0]} is for logs of your own: none of --datasets is a path"
        )


def _names(part: str, given: Names) -> list[str] | None:
    """The names of some components or datasets; None where nothing was chosen.

    Raises:
        UserError: an empty list, or one of something else.
    """
    if given is None:
        return None
    names = [given] if isinstance(given, str | os.PathLike) else list(given)
    if not isinstance(given, str | os.PathLike | Sequence) or not all(
        isinstance(name, str | os.PathLike) for name in names
    ):
        raise UserError(f"{part}: a {type(given).__name__} is given; give names or paths")
    if not names:
        raise UserError(f"{part}: none is given; leave it out to have the preset's")
    return [os.fspath(name) for name in names]

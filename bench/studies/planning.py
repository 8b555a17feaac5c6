"""From what the user asked for to a checked list of cells."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

import backbones
import samplers
from bench import datasets, objectives
from bench.cell import PRESETS, Cell, Component, Preset, Protocol
from bench.datasets import data_directory
from bench.datasets.base import Dataset
from bench.datasets.splits import Split, make_split
from bench.errors import UserError
from bench.pools import History
from bench.registry import Registry, load_plugin, suggest
from bench.studies.paper_grids import TABLES, splits_of
from bench.studies.setting_grid import grid_of
from bench.studies.settings import Settings

Names = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
"""One or several registered names, or paths of logs; None for those of the preset."""


@dataclass(frozen=True)
class Request:
    """What to cross with what.

    Attributes:
        datasets: registered names or paths.
        objectives: for samplers that go with any; others are trained with their own.
        seeds: how many; they are 0, 1, 2, ...
        settings: ``("mdcns.gamma", "1.5")`` and the like, in order of precedence; typed values
            do as well as text.
        splits: a dataset's split, where it is not the protocol's.
        split_file: assignment of users, for split ``user``.
        pairs: the (backbone, sampler) pairs to keep of the product; None keeps all.
        grid: train every setting of each sampler's search space (see `bench.studies.setting_grid`).
        lenient: leave out what a dataset cannot serve, and say so, in place of an error.
        fixed: the names of settings that the user gave, which tuning does not vary.
        plugins: files or modules with components, for the processes that will train the cells.
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


@dataclass(frozen=True)
class Plan:
    """Cells to run and the data they need, by the dataset's fingerprint.

    Attributes:
        test_users: how many test predictions each split has, for those who must not look at them.
        skipped: what a lenient request left out, and why, a line each.
        request: what it was made from; tuning goes by it.
    """

    cells: list[Cell]
    datasets: dict[str, Dataset]
    splits: dict[str, Split]
    test_users: dict[str, int]
    skipped: list[str]
    request: Request | None = None

    @property
    def plugins(self) -> tuple[str, ...]:
        """What a process that trains its cells must load first."""
        return () if self.request is None else self.request.plugins

    @property
    def fixed(self) -> frozenset[str]:
        """The names of settings that tuning does not vary."""
        return frozenset() if self.request is None else self.request.fixed


def parse_settings(given: Iterable[str]) -> list[tuple[str, str]]:
    """``["mdcns.gamma=1.5"]`` as pairs.

    Raises:
        UserError: no ``=`` in one of them.
    """
    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UserError(f"--set {text}: expected NAME.OPTION=VALUE, such as mdcns.gamma=1.5")
        pairs.append((name, value))
    return pairs


def make_plan(request: Request) -> Plan:
    """Resolve, check and cross everything; reads the datasets, trains nothing.

    Raises:
        UserError: unknown names or hyper-parameters, impossible values, unreadable data, a
            catalogue too small for the candidate pool.
    """
    settings = Settings(request.settings)
    protocol = settings.protocol(request.protocol)
    self_components = settings.components(backbones.registry, request.backbones)
    sampler_components = settings.components(
        samplers.registry, request.samplers, defaults={"N": protocol.N}
    )
    skipped: list[str] = []
    if request.grid:
        sampler_components, skipped = grid_of(sampler_components, request.fixed)
    for component in self_components:
        backbones.registry.build(component.name, component.hyper, 1, protocol.dim, protocol.window)
    systems = [
        system
        for backbone, sampler in itertools.product(self_components, sampler_components)
        if request.pairs is None or (backbone.name, sampler.name) in request.pairs
        for system in _systems(settings, backbone, sampler, request.objectives)
    ]
    settings.check_all_used()

    cells: list[Cell] = []
    loaded: dict[str, Dataset] = {}
    splits: dict[str, Split] = {}
    for name in request.datasets:
        dataset = datasets.resolve_dataset(name, request.data_dir)
        its = replace(protocol, split=request.splits.get(name, protocol.split))
        split = make_split(dataset, its.split, its.split_seed, request.split_file, request.data_dir)
        _check_pool(dataset, split, sampler_components)
        left_out = {
            sampler
            for sampler in dict.fromkeys(request.samplers)
            if not _servable(dataset, sampler, request.lenient, skipped)
        }
        loaded[dataset.fingerprint], splits[dataset.fingerprint] = dataset, split
        cells += [
            Cell(
                dataset=dataset.name,
                fingerprint=dataset.fingerprint,
                split_digest=split.digest,
                protocol=its,
                seed=seed,
                **system,
            )
            for seed, system in itertools.product(range(request.seeds), systems)
            if system["sampler"].name not in left_out
        ]
    test_users = {fingerprint: len(split.test.targets) for fingerprint, split in splits.items()}
    return Plan(cells, loaded, splits, test_users, skipped, request)


def _systems(
    settings: Settings, backbone: Component, sampler: Component, chosen: Sequence[str]
) -> list[dict[str, Any]]:
    """The models, sampler and objective of each cell that the two make together."""
    built = samplers.registry.build(sampler.name, sampler.hyper)
    peer_name = backbone.name if built.peer == "same" else built.peer
    peer = None
    if peer_name is not None:
        (peer,) = settings.components(backbones.registry, [peer_name])
    names = chosen if built.objective is None else [built.objective]
    losses = settings.components(objectives.registry, names)
    for loss in losses:
        if built.objective is None and not objectives.registry.get(loss.name).needs_negatives:
            raise UserError(
                f"objective {loss.name!r} looks at no negatives, so sampler {sampler.name!r} would "
                "be without effect; choose the sampler full-softmax, which is trained with it"
            )
        objectives.registry.build(loss.name, loss.hyper)
    return [
        {"backbone": backbone, "sampler": sampler, "peer": peer, "objective": loss}
        for loss in losses
    ]


def _servable(dataset: Dataset, sampler: str, lenient: bool, skipped: list[str]) -> bool:
    """Whether the dataset has what the sampler needs; if not: an error, or a line in ``skipped``.

    Raises:
        UserError: it has not, and the request is not lenient.
    """
    if samplers.registry.get(sampler).needs_exposures and dataset.exposures is None:
        reason = (
            f"dataset {dataset.name!r} records no exposures (items shown and not taken), which "
            f"sampler {sampler!r} draws from"
        )
        if not lenient:
            raise UserError(
                f"{reason}; for kuairand put extra/kuairand_exposures.txt.gz into the data "
                "directory, or choose kuairand-twin"
            )
        skipped.append(reason)
        return False
    return True


def with_values(plan: Plan, cell: Cell, values: Mapping[str, Any]) -> Cell:
    """A cell of the plan as ``--set`` of these values, on top of its request's, would make it.

    Args:
        values: ``{"dns+.M": 5, "sasrec.dropout": 0.2}`` and the like.

    Raises:
        UserError: the values do not go together, or not with the dataset.
    """
    assert plan.request is not None
    settings = Settings([*plan.request.settings, *values.items()])
    protocol, fingerprint = cell.protocol, cell.fingerprint
    (backbone,) = settings.components(backbones.registry, [cell.backbone.name])
    backbones.registry.build(backbone.name, backbone.hyper, 1, protocol.dim, protocol.window)
    (sampler,) = settings.components(
        samplers.registry, [cell.sampler.name], defaults={"N": protocol.N}
    )
    _check_pool(plan.datasets[fingerprint], plan.splits[fingerprint], [sampler])
    (system,) = _systems(settings, backbone, sampler, [cell.objective.name])
    return replace(cell, **system)


def _check_pool(dataset: Dataset, split: Split, sampler_components: Sequence[Component]) -> None:
    size, name = max(
        (samplers.registry.build(each.name, each.hyper).pool_size, each.name)
        for each in sampler_components
    )
    if not size:
        return
    train = split.train
    items, offsets = torch.as_tensor(train.items), torch.as_tensor(train.offsets)
    longest = History(items, offsets, dataset.n_items).longest
    if size > dataset.n_items - longest:
        known = samplers.registry.hyper_parameters(name)
        option = next((option for option in ("N", "K", "C") if option in known), "N")
        raise UserError(
            f"dataset {dataset.name!r}: {dataset.n_items} items less the longest history "
            f"({longest} of them) are fewer than the {size} candidates of {name!r}; lower "
            f"it with --set '*.{option}=...', or leave out the users with the longest histories"
        )


def usual_hyper(
    registry: Registry[Any], name: str, pool: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """A component's hyper-parameters where nothing is set but a preset's ``settings``.

    Args:
        pool: the protocol's N.

    Raises:
        UserError: nobody registered it.
    """
    defaults = {"N": pool} if registry is samplers.registry else None
    (component,) = Settings(list(settings.items())).components(registry, [name], defaults)
    return component.hyper


def data_of(cell: Cell, data_dir: Path | None) -> tuple[Dataset, Split]:
    """The data and split that a stored cell was trained on.

    Raises:
        UserError: the data is missing, or is not what the cell was trained on.
    """
    dataset, protocol = datasets.resolve_dataset(cell.dataset, data_dir), cell.protocol
    split = make_split(dataset, protocol.split, protocol.split_seed, data_dir=data_dir)
    if (dataset.fingerprint, split.digest) != (cell.fingerprint, cell.split_digest):
        raise UserError(
            f"{cell.label} was trained on other data, or with another split, than "
            f"{cell.dataset!r} here; use the study's data"
        )
    return dataset, split


def preset_request(preset: Preset, **chosen: Any) -> Request:
    """The request for a whole preset, with what the user ``chosen`` in place of its parts.

    Every registered sampler and backbone takes part; the objective is bce unless chosen.
    """
    settings = [*preset.settings.items(), *chosen.pop("settings", [])]
    everything = {
        "datasets": preset.datasets,
        "backbones": backbones.registry.names(),
        "samplers": samplers.registry.names(),
        "objectives": ["bce"],
        "seeds": preset.seeds,
        "protocol": preset.protocol,
        "lenient": chosen.get("samplers") is None,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    return Request(**{**everything, **given, "settings": settings})


def preset_name(preset: str | None, table: int | None) -> str:
    """The preset, where it was given; ``paper`` for its tables, else ``quick``."""
    return preset or ("quick" if table is None else "paper")


def request_of(
    *,
    preset: str | None = None,
    table: int | None = None,
    datasets: Names = None,
    backbones: Names = None,
    samplers: Names = None,
    objectives: Names = None,
    seeds: int | None = None,
    settings: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
    split: str | None = None,
    split_file: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    grid: bool = False,
    plugins: Sequence[str] = (),
) -> Request:
    """The request for a preset or a table of the paper, with what is given in place of its parts.

    Loads the plug-ins.  The arguments are those of `bench.plan`.

    Raises:
        UserError: impossible values, no such preset, table, file or directory.
    """
    for plugin in plugins:
        load_plugin(plugin)
    name = preset_name(preset, table)
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}{suggest(name, list(PRESETS))}")
    if table is not None and table not in TABLES:
        raise UserError(f"table {table}: the paper's are {', '.join(map(str, TABLES))}")
    if seeds is not None and seeds < 1:
        raise UserError(f"seeds={seeds}: must be at least 1")
    if split_file is not None and not Path(split_file).is_file():
        raise UserError(f"--split-file {split_file}: no such file")
    given = [*(settings.items() if isinstance(settings, Mapping) else settings)]
    fixed = frozenset(setting for setting, _ in given)
    if split is not None:
        given.append(("split", split))
    parts = {"datasets": datasets, "backbones": backbones, "samplers": samplers}
    chosen: dict[str, Any] = {
        part: _names(part, names) for part, names in {**parts, "objectives": objectives}.items()
    }
    found = data_directory(None if data_dir is None else os.fspath(data_dir))
    if table is not None:
        chosen = TABLES[table].grid(chosen)
        if split_file is None and "split" not in dict(given):
            chosen["splits"] = splits_of(found)
        given = chosen.pop("settings") + given  # in order of precedence: the user's last
    return preset_request(
        PRESETS[name],
        **chosen,
        seeds=seeds,
        settings=given,
        data_dir=found,
        grid=grid,
        split_file=None if split_file is None else Path(split_file),
        fixed=fixed,
        plugins=tuple(plugins),
    )


def _names(part: str, given: Names) -> list[str] | None:
    """The names of some components or datasets; None where nothing was chosen.

    Raises:
        UserError: an empty list.
    """
    if given is None:
        return None
    names = [given] if isinstance(given, str | os.PathLike) else list(given)
    if not names:
        raise UserError(f"{part}: none is given; leave it out to have the preset's")
    return [os.fspath(name) for name in names]

"""From what the user asked for to a checked list of cells."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import backbones
import samplers
from bench import datasets, objectives
from bench.cell import Cell, Component, Protocol
from bench.datasets.base import Dataset
from bench.datasets.splits import SEEDED_SPLITS, Split, make_split
from bench.errors import UserError
from bench.json_shape import as_text
from bench.registry import Registry
from bench.studies.pool_check import check_pool, text_of, unfit_of
from bench.studies.request import Request
from bench.studies.setting_grid import grid_of
from bench.studies.settings import Settings
from bench.studies.sweeps import assignments


@dataclass(frozen=True)
class Plan:
    """Cells to run and the data they need.

    Attributes:
        datasets: by fingerprint.
        splits: by `Cell.data_key`.
        test_users: how many test predictions each split has, likewise, for those who must not
            look at them.
        skipped: what a lenient request left out, and why, a line each.
        request: what it was made from; tuning goes by it.
        plugins: what a process that trains its cells must load first.
        renamed: what is said of datasets that have another name than the user gave, a line each.
        repeats: what has to be said of targets that users have had already, by `Cell.data_key`.
    """

    cells: list[Cell]
    datasets: dict[str, Dataset]
    splits: dict[str, Split]
    test_users: dict[str, int]
    skipped: list[str]
    request: Request | None = None
    plugins: tuple[str, ...] = ()
    renamed: list[str] = field(default_factory=list)
    repeats: dict[str, list[str]] = field(default_factory=dict)

    @property
    def fixed(self) -> frozenset[str]:
        """The names of settings that tuning does not vary."""
        return frozenset() if self.request is None else self.request.fixed


def make_plan(request: Request) -> Plan:
    """Resolve, check and cross everything; reads the datasets, trains nothing.

    Raises:
        UserError: unknown names or hyper-parameters, impossible values, unreadable data, a
            catalogue too small for the candidate pool.
    """
    skipped: list[str] = []
    systems: dict[str, tuple[Settings, dict[str, Any]]] = {}  # each once, whatever it shares
    for pairs in assignments(request.settings):
        settings = Settings(pairs)
        protocol = settings.protocol(request.protocol)
        for system in _crossed(request, settings, protocol, skipped):
            own = settings.protocol_of(system["backbone"].name, protocol)
            systems.setdefault(_as_text(system, own), (settings, system))
    skipped = list(dict.fromkeys(skipped))
    sampler_components = [system["sampler"] for _, system in systems.values()]

    cells: list[Cell] = []
    loaded: dict[str, Dataset] = {}
    splits: dict[str, Split] = {}
    for name, dataset in _datasets(request, skipped):
        its = replace(protocol, split=request.splits.get(name, protocol.split))
        left_out = {
            sampler
            for sampler in dict.fromkeys(request.samplers)
            if not _servable(dataset, sampler, request.lenient, skipped)
        }
        loaded[dataset.fingerprint] = dataset
        draws = [*_drawn(dataset, its, request)]
        unfit = set[str]()
        if systems:
            its_splits = {split.digest: split for _, _, split in draws}.values()
            unfit = unfit_of(dataset, [*its_splits], sampler_components, request.grid, skipped)
        for seed, drawn, split in draws:
            on_users = [
                Cell(
                    dataset=dataset.name,
                    fingerprint=dataset.fingerprint,
                    split_digest=split.digest,
                    protocol=settings.protocol_of(system["backbone"].name, drawn),
                    seed=seed,
                    **system,
                )
                for settings, system in systems.values()
                if system["sampler"].name not in left_out
                and text_of(system["sampler"]) not in unfit
            ]
            cells += on_users
            splits |= {cell.data_key: split for cell in on_users}
    test_users = {key: len(split.test.targets) for key, split in splits.items()}
    repeats = {key: repeats_of(split) for key, split in splits.items()}
    return Plan(
        cells, loaded, splits, test_users, skipped, request, request.plugins, repeats=repeats
    )


def _crossed(
    request: Request, settings: Settings, protocol: Protocol, skipped: list[str]
) -> list[dict[str, Any]]:
    """Every system, with settings that have one value each."""
    self_components = settings.components(backbones.registry, request.backbones)
    sampler_components = settings.components(
        samplers.registry, request.samplers, defaults={"N": protocol.N}
    )
    if request.grid:
        sampler_components, left_out = grid_of(sampler_components, request.fixed)
        skipped += left_out
    for component in self_components:
        backbones.registry.build(component.name, component.hyper, 1, protocol.dim, protocol.window)
    systems = [
        system
        for backbone, sampler in itertools.product(self_components, sampler_components)
        if request.pairs is None or (backbone.name, sampler.name) in request.pairs
        for system in _systems(settings, backbone, sampler, request.objectives)
    ]
    for component in self_components:
        settings.protocol_of(component.name, protocol)
    settings.check_all_used(request.fixed)
    return systems


def _as_text(system: Mapping[str, Component | None], protocol: Protocol) -> str:
    parts = {part: one and asdict(one) for part, one in system.items()}
    return as_text([parts, protocol.config()])


def _datasets(request: Request, skipped: list[str]) -> Iterator[tuple[str, Dataset]]:
    """Each as it was asked for and as it is, once whatever it is called."""
    names: dict[str, str] = {}
    for name in request.datasets:
        dataset = datasets.resolve_dataset(name, request.data_dir, request.reading)
        if dataset.fingerprint not in names:
            names[dataset.fingerprint] = dataset.name
            yield name, dataset
        elif (known := names[dataset.fingerprint]) != dataset.name:
            skipped.append(f"{dataset.name}: its content is that of {known}")


def _drawn(
    dataset: Dataset, protocol: Protocol, request: Request
) -> Iterator[tuple[int, Protocol, Split]]:
    """Each seed with its protocol and its split, which is the same for all unless they draw."""
    if request.draws and (protocol.split not in SEEDED_SPLITS or request.split_file is not None):
        raise UserError(
            f"--splits: dataset {dataset.name!r} has one split {protocol.split!r}, whatever the "
            f"seed; use --seeds, or --split {' or '.join(SEEDED_SPLITS)} without --split-file"
        )
    split = None
    for seed in range(request.seeds):
        if request.draws:
            protocol, split = replace(protocol, split_seed=seed), None
        if split is None:
            split = make_split(
                dataset,
                protocol.split,
                protocol.split_seed,
                request.split_file,
                request.data_dir,
                protocol.seen,
            )
        yield seed, protocol, split


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
    protocol = cell.protocol
    (backbone,) = settings.components(backbones.registry, [cell.backbone.name])
    backbones.registry.build(backbone.name, backbone.hyper, 1, protocol.dim, protocol.window)
    (sampler,) = settings.components(
        samplers.registry, [cell.sampler.name], defaults={"N": protocol.N}
    )
    check_pool(plan.datasets[cell.fingerprint], plan.splits[cell.data_key], [sampler])
    (system,) = _systems(settings, backbone, sampler, [cell.objective.name])
    return replace(cell, **system)


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


def repeats_of(split: Split) -> list[str]:
    """What has to be said of held-out targets that their users have had already; nothing where
    there are none."""
    share = split.repeated
    if not split.test.masked:
        return [
            f"{100 * share:.3g} % of the held-out targets are items that the user has had already; "
            "these are ranked with all others (seen=ranked)"
        ]
    if not share:
        return []
    text = (
        f"{100 * share:.3g} % of the held-out targets are items that the user has had already: "
        "these are masked, and count as misses (--set seen=ranked ranks them)"
    )
    return [f"WARNING: {text}, so that metrics say little" if share > 0.5 else text]


def dataset_of(cell: Cell, data_dir: Path | None) -> Dataset:
    """The dataset that a stored cell was trained on, by its name.

    Raises:
        UserError: it is missing, or is not what the cell was trained on.
    """
    dataset = datasets.resolve_dataset(cell.dataset, data_dir)
    if dataset.fingerprint != cell.fingerprint:
        raise UserError(
            f"{cell.label} was trained on other data than {cell.dataset!r} here; use the study's "
            "data"
        )
    return dataset


def data_of(
    cell: Cell,
    data_dir: Path | None,
    dataset: Dataset | None = None,
    split_file: Path | None = None,
) -> tuple[Dataset, Split]:
    """The data and split that a stored cell was trained on.

    Args:
        data_dir: where real datasets lie.
        dataset: in place of the one of the cell's name.
        split_file: that assigned its users, if one did.

    Raises:
        UserError: the data is missing, or is not what the cell was trained on.
    """
    if dataset is None:
        dataset = datasets.resolve_dataset(cell.dataset, data_dir)
    protocol = cell.protocol
    split = make_split(
        dataset, protocol.split, protocol.split_seed, split_file, data_dir, protocol.seen
    )
    if (dataset.fingerprint, split.digest) != (cell.fingerprint, cell.split_digest):
        raise UserError(
            f"{cell.label} was trained on other data, or with another split, than "
            f"{cell.dataset!r} here; use the study's data, and the --split-file that assigned its "
            "users, if one did"
        )
    return dataset, split

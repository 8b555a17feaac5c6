"""The command lines that train a study again, from what its cells say of themselves."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import samplers
from bench import datasets
from bench.analysis.cells import comparable, draw_users
from bench.cell import OWN_OF_BACKBONES, PRESETS, Cell, Component, Preset, Protocol
from bench.errors import UserError
from bench.json_shape import as_text
from bench.registry import Registry
from bench.studies import tuning
from bench.studies.budget import FILE
from bench.studies.components import components
from bench.studies.own_loss import has_own_loss
from bench.studies.paper_grids import FINGERPRINTS
from bench.studies.planning import usual_hyper
from bench.studies.records import Record
from bench.studies.setting_grid import grid_of
from bench.studies.settings import Settings
from bench.studies.store import Store
from bench.studies.sweeps import written

SEEDED = {
    FINGERPRINTS["beauty"]: "0866959c704c832d",
    FINGERPRINTS["toys"]: "90b7b901bf17d1fc",
    FINGERPRINTS["sports"]: "2f34b7e52859e924",
    FINGERPRINTS["health"]: "35d0eacf24f904e8",
    FINGERPRINTS["lastfm"]: "1a1fd6caddd1bf78",
    FINGERPRINTS["kuairand"]: "ee92a28f50421f89",
}
"""The real datasets to the digest of their split ``user`` of seed 0: a report is written without
the data."""

UNNAMED = "trained on users assigned by a file that this study does not name"


@dataclass(frozen=True)
class Command:
    """A command line, and what has to be known of it, a sentence each."""

    line: str
    notes: list[str]


@dataclass
class _Group:
    """Cells that one command line can train: none wants another value of a setting.

    Attributes:
        kind: what must be the same in all of them.
        budget: trials that each system was given; None where it was not tuned.
        grid: whether their samplers were trained with every setting that ``--grid`` has.
        settings: hyper-parameters of theirs that were neither tuned nor varied.
        records: of them.
    """

    kind: str
    budget: int | None
    grid: bool
    settings: dict[str, Any] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)


def commands(store: Store) -> list[Command]:
    """``python -m bench.grid`` lines that train at least the cells of a study.

    Cells of several protocols, or with several values of one setting, need several lines; so do
    datasets that other samplers were trained on.
    """
    tuned = {key: one for one in tuning.read(store.root) or [] for key in one.cells}
    reported = [_today(record) for record in tuning.reported(store)]
    groups, gridded = list[_Group](), _gridded(reported)
    protocols = comparable([record.cell for record in reported])
    for record, protocol in zip(reported, protocols, strict=True):
        system = tuned.get(record.key)
        chosen = {} if system is None or system.chosen is None else system.chosen
        varied = gridded.get(_trained_as(record), {})
        settings = {
            f"{part.name}.{option}": value
            for _, part in components(record.cell)
            for option, value in part.hyper.items()
            if f"{part.name}.{option}" not in {**chosen, **varied}
        }
        budget = None if system is None else system.budget
        kind = as_text([protocol, budget, _assigned(record), bool(varied), record.reading.words()])
        _put(groups, _Group(kind, budget, bool(varied)), settings, record)
    return [
        _command(store, records, group)
        for group in groups
        for records in _same_samplers(group.records)
    ]


def _assigned(record: Record) -> list[str] | None:
    """What tells its users from others where a file assigned them, the file's name last, which is
    empty where it is not known; None where none did, as far as is known.

    One file assigns the users of one dataset.
    """
    cell = record.cell
    seeded = SEEDED.get(cell.fingerprint) if cell.protocol.split_seed == 0 else None
    by_file = record.split_file or (
        cell.protocol.split == "user" and seeded not in (None, cell.split_digest)
    )
    return [cell.fingerprint, cell.split_digest, record.split_file] if by_file else None


def report_line(store: Store) -> str:
    """The command line that writes the study's report again."""
    return shlex.join(["python", "-m", "bench.report", store.root.name])


def _today(record: Record) -> Record:
    """The same with its sampler by the name that these settings have today, if one has it."""
    sampler = record.cell.sampler
    registered = samplers.registry.names() + samplers.registry.variants()
    name = record.sampler if record.sampler in registered else sampler.name
    return replace(record, cell=replace(record.cell, sampler=Component(name, sampler.hyper)))


def _trained_as(record: Record) -> tuple[str, ...]:
    """A sampler on a dataset, under a protocol."""
    cell = record.cell
    return cell.sampler.name, cell.dataset, cell.split_digest, as_text(asdict(cell.protocol))


def _gridded(records: Iterable[Record]) -> dict[tuple[str, ...], dict[str, list[Any]]]:
    """What was trained with all the settings of its grid, but for pools that are too large for the
    catalogue, and no other, to what they vary."""
    settings: dict[tuple[str, ...], dict[str, Component]] = {}
    for record in records:
        sampler = record.cell.sampler
        settings.setdefault(_trained_as(record), {})[as_text(sampler.hyper)] = sampler
    found = {}
    for where, its in settings.items():
        name = where[0]
        try:
            grid, _ = grid_of([next(iter(its.values()))])
        except UserError:  # nobody registered it, or with other options
            continue
        pools = {as_text(one.hyper): samplers.registry.build(name, one.hyper) for one in grid}
        sizes = {setting: sampler.pool_size for setting, sampler in pools.items()}
        largest = max((sizes.get(setting, 0) for setting in its), default=0)
        if len(its) > 1 and its.keys() == {s for s in sizes if s in its or sizes[s] <= largest}:
            space = samplers.registry.search_space(name)
            found[where] = {f"{name}.{option}": values for option, values in space.items()}
    return found


def _put(groups: list[_Group], new: _Group, settings: dict[str, Any], record: Record) -> None:
    """Into the first group that it does not contradict, or a new one."""
    for group in groups:
        known = group.settings
        if group.kind == new.kind and all(known.get(k, v) == v for k, v in settings.items()):
            break
    else:
        group = new
        groups.append(group)
    group.settings.update(settings)
    group.records.append(record)


def _same_samplers(records: Iterable[Record]) -> list[list[Record]]:
    """Records sorted into datasets on which the same samplers were trained."""
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        by_dataset.setdefault(record.cell.dataset, []).append(record)
    by_samplers: dict[tuple[str, ...], list[Record]] = {}
    for _, members in sorted(by_dataset.items()):
        by_samplers.setdefault(tuple(_names(members, "sampler")), []).extend(members)
    return list(by_samplers.values())


def _command(store: Store, records: Sequence[Record], group: _Group) -> Command:
    cells = [record.cell for record in records]
    protocol = cells[0].protocol
    name = min(PRESETS, key=lambda name: len(_changed(protocol, PRESETS[name].protocol)))
    changed = _changed(protocol, PRESETS[name].protocol)
    for option in OWN_OF_BACKBONES:
        changed.pop(option, None)
    split = changed.pop("split", None)
    drawn = any(draw_users(cells))
    if drawn:
        changed.pop("split_seed", None)
    different, unknown = _different(cells, group.settings, PRESETS[name])
    names = {kind: _names(records, kind) for kind in ("backbone", "sampler")}
    free = [r for r in records if not has_own_loss(r.cell.sampler.name)]
    losses = _names(free, "objective")
    known = sorted({record.log or record.cell.dataset for record in records})
    seeds = 1 + max(cell.seed for cell in cells)

    # Cells that were found within a budget are trained again as a grid, in a study of its kind.
    study = store.root.name + "-again" * (store.root / FILE).exists()
    words = ["python", "-m", "bench.grid", "--study", study, "--preset", name]
    words += ["--datasets", *known, "--backbones", *names["backbone"]]
    words += ["--samplers", *names["sampler"]]
    words += ["--objectives", *losses] if losses and losses != ["bce"] else []
    words += ["--splits" if drawn else "--seeds", str(seeds)]
    words += records[0].reading.words()
    words += ["--split", split] if split else []
    assigned = _assigned(records[0])
    words += ["--split-file", assigned[-1] or "FILE"] if assigned else []
    words += ["--tune", str(group.budget)] if group.budget else []
    words += ["--grid"] if group.grid else []
    changed |= _own_of_backbones(cells, PRESETS[name])
    pairs = [written(option, _value(value)) for option, value in {**changed, **different}.items()]
    words += ["--set", *pairs] if pairs else []
    if not all(record.synthetic or record.log for record in records):
        words += ["--data-dir", "data"]
    ran_on = [record.environment for record in records]
    words += _option("--threads", {env.get("threads") for env in ran_on}, usual=1)
    words += _option("--device", {env.get("device") for env in ran_on}, usual="cpu")

    per_seed = 0
    for sampler in names["sampler"]:
        its = [cell for cell in cells if cell.sampler.name == sampler]
        n_settings = len({as_text(cell.sampler.hyper) for cell in its}) if group.grid else 1
        per_seed += n_settings * (1 if has_own_loss(sampler) else len(losses))
    more = per_seed * len(names["backbone"]) * len(known) * seeds - len(records)
    return Command(shlex.join(words), [*_on_users(assigned), *_notes(unknown, known, more)])


def _on_users(assigned: Sequence[str] | None) -> list[str]:
    """What has to be known of a file that assigned users."""
    if assigned is None:
        return []
    _, digest, file = assigned
    if not file:
        return [f"It was {UNNAMED}; with theirs in place of FILE the split's digest is {digest}."]
    return [f"In place of {file} give the path of that file, which assigned the users."]


def _notes(unknown: Sequence[str], known: Sequence[str], more: int) -> list[str]:
    notes = []
    if unknown:
        notes.append(f"Add --plugin with the file that registers {', '.join(unknown)}.")
    own = [name for name in known if name not in datasets.registry.names()]
    if own:
        notes.append(f"In place of {', '.join(own)} give the path of the log.")
    if more > 0:
        notes.append(f"It also trains what the study does not have: {more} more cells.")
    return notes


def _names(records: Iterable[Record], kind: str) -> list[str]:
    parts = [record.cell.parts[kind] for record in records]
    return sorted({part.name for part in parts if part is not None})


def _changed(protocol: Protocol, preset: Protocol) -> dict[str, Any]:
    """The settings of a protocol that a preset has otherwise."""
    usual = asdict(preset)
    return {name: value for name, value in asdict(protocol).items() if usual.get(name) != value}


def _own_of_backbones(cells: Sequence[Cell], preset: Preset) -> dict[str, Any]:
    """Settings of the protocol that a backbone may have its own of, where a preset would give
    others: one for all backbones that agree, else one for each that differs."""
    given = Settings(list(preset.settings.items()))
    found: dict[str, Any] = {}
    for option in OWN_OF_BACKBONES:
        its = {cell.backbone.name: getattr(cell.protocol, option) for cell in cells}
        other = {
            f"{backbone}.{option}": value
            for backbone, value in sorted(its.items())
            if getattr(given.protocol_of(backbone, preset.protocol), option) != value
        }
        agreed = len(set(its.values())) == 1
        found |= {option: next(iter(its.values()))} if other and agreed else other
    return found


def _different(
    cells: Sequence[Cell], settings: Mapping[str, Any], preset: Preset
) -> tuple[dict[str, Any], list[str]]:
    """Hyper-parameters that a preset would not give, and the components that nobody registered."""
    different: dict[str, Any] = {}
    unknown = set()

    @functools.cache  # cells are many, components few
    def usual_of(registry: Registry[Any], name: str, pool: int) -> dict[str, Any]:
        try:
            return usual_hyper(registry, name, pool, preset.settings)
        except UserError:
            unknown.add(name)
            return {}

    for cell in cells:
        for registry, part in components(cell):
            usual = usual_of(registry, part.name, cell.protocol.N)
            for option in part.hyper:
                key = f"{part.name}.{option}"
                if key not in settings:  # it was tuned
                    continue
                if option not in usual or usual[option] != settings[key]:
                    different[key] = settings[key]
    return dict(sorted(different.items())), sorted(unknown)


def _option(name: str, found: set[Any], usual: Any) -> list[str]:
    """An option, if all cells agree on another value than the usual one."""
    found = found - {None}
    return [name, str(*found)] if len(found) == 1 and found != {usual} else []


def _value(value: Any) -> str:
    """As ``--set`` reads it."""
    return "none" if value is None else str(value)

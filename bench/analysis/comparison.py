"""What may stand in one table: a study's cells sorted into comparisons."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property

import pandas as pd

from bench.analysis.beside import external_gains, references_of, with_external
from bench.analysis.cells import (
    cells_of,
    comparable,
    draw_users,
    sampler_order,
)
from bench.analysis.contributions import (
    PREDICTIONS,
    contributions,
    gains_by_user,
    half_widths,
)
from bench.analysis.costs import with_costs
from bench.analysis.names import file_stem
from bench.analysis.over_users import differ_from_best
from bench.cell import Protocol
from bench.json_shape import as_text
from bench.metrics import HEADLINE, METRICS
from bench.studies import external, tuning
from bench.studies.external import External
from bench.studies.own_loss import has_own_loss
from bench.studies.records import Record
from bench.studies.store import Store

OTHER_USERS = "left out: seeds {}, on whose users not all systems were tested"
NO_COMMON_USERS = "no seed was trained with all systems: means may be of different users"
"""Of cells whose seeds draw their users: footnotes on a dataset."""

FEWEST_SEEDS = 3
"""Of which a spread says something."""

SYSTEM = ("dataset", "backbone", "sampler")
COSTS = ("models", "targets_per_s", "best_epoch", "epochs", "cost_s", "peak_mb")
MEASURE = "sampled-softmax"
"""The sampler whose cost the others' are multiples of: the one that practice would start from."""


@dataclass(frozen=True)
class Comparison:
    """Cells that may be compared: one protocol, one objective, all real or all synthetic.

    Samplers that are one method with a loss of their own stand in every comparison of the same
    protocol and kind of data.

    Attributes:
        store: where its cells are.
        name: of its files.
        title: for tables and plots; says so when the data are synthetic.
        loss: the objective of samplers without a loss of their own; "own" where there are none.
        cells: a row a cell: key, dataset, backbone, sampler (with what tells it from others of
            its method), method (the sampler's name alone), objective, seed, best epoch, number of
            models trained, metrics and timings.
        notes: dataset to its footnotes.
        references: name in tables to dataset to its metrics.
        own_loss: the samplers trained with a loss of their own, to that loss.
        on_cpu: whether ``cost_s`` of the cells is CPU seconds; else it is those of the clock.
        in_turns: whether it is training alone, with the seconds of an epoch that were measured in
            one run of all systems (`Store.costs_in_turns`).
        mixed: systems whose seeds were trained by different code.
        uncommitted: samplers that have cells of code that is in no commit, to how many.
        draws: whether each seed has drawn its own users to train and to test on.
        external: systems of other libraries, by the key that they have in ``cells``.
    """

    store: Store
    name: str
    title: str
    loss: str
    cells: pd.DataFrame
    notes: dict[str, list[str]]
    references: dict[str, dict[str, dict[str, float]]]
    own_loss: dict[str, str]
    on_cpu: bool
    in_turns: bool
    draws: bool
    mixed: list[str]
    uncommitted: dict[str, int]
    external: dict[str, External] = field(default_factory=dict)

    @property
    def trained(self) -> pd.DataFrame:
        """The cells less what was trained elsewhere."""
        return self.cells[~self.cells["key"].isin(list(self.external))]

    def backbones(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each backbone with its table, the layout of the paper's Table 3.

        Dataset and metric down, samplers across (means over seeds), references last.
        """
        for backbone, cells in self.cells.groupby("backbone", sort=True):
            means = cells.groupby(["dataset", "sampler"])[list(METRICS)].mean()
            yield str(backbone), self._table(cells, means)

    def margins(self, backbone: str) -> pd.DataFrame:
        """A backbone's table again, with half the width of the mean's 95 % interval over users.

        NaN of references, and where there is one test user.
        """
        cells = self.cells[self.cells["backbone"] == backbone]
        halves = pd.DataFrame(self._half_widths.xs(backbone, level="backbone"))
        return self._table(cells, halves).assign(**dict.fromkeys(self.references, math.nan))

    def intervals(self) -> pd.DataFrame:
        """The headline metric, mean over seeds, with its 95 % interval over users: ``mean``,
        ``low`` and ``high`` by dataset, backbone and sampler."""
        mean = self.cells.groupby([*SYSTEM])[HEADLINE].mean()
        half = self._half_widths[HEADLINE].reindex(mean.index)
        return pd.DataFrame({"mean": mean, "low": mean - half, "high": mean + half})

    def spread(self) -> pd.DataFrame:
        """Of systems with three seeds or more: how many, the headline metric, and its standard
        deviation over them, by dataset, backbone and sampler."""
        found = self.cells.groupby([*SYSTEM], sort=False)[HEADLINE].agg(["count", "mean", "std"])
        return found[found["count"] >= FEWEST_SEEDS]

    def _table(self, cells: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
        names, datasets = sampler_order(cells), list(dict.fromkeys(cells["dataset"]))
        values = [
            [means.at[(d, s), metric] if (d, s) in means.index else None for s in names]
            + [known.get(d, {}).get(metric) for known in self.references.values()]
            for d in datasets
            for metric in METRICS
        ]
        index = pd.MultiIndex.from_product(
            [datasets, METRICS.values()], names=["dataset", "metric"]
        )
        columns = [*names, *self.references]
        return pd.DataFrame(values, index=index, columns=columns, dtype=float)

    def peers(self) -> pd.DataFrame:
        """Of systems that train two models the headline metric of self, peer and ensemble, means
        over seeds, by dataset, backbone and sampler; empty where none does."""
        return _beside_headline(self.cells, "peer", "ensemble")

    def masks(self) -> pd.DataFrame:
        """The headline metric with what users have had masked by -inf and by 0, means over seeds,
        by dataset, backbone and sampler; on real data, where cells know both."""
        return _beside_headline(self.cells[~self.cells["synthetic"].astype(bool)], "seen_as_zero")

    def new_targets(self) -> pd.DataFrame:
        """The headline metric, and that on the targets that their users have not had before, means
        over seeds, by dataset, backbone and sampler; where some have been had."""
        return _beside_headline(self.cells, "new")

    def costs(self) -> pd.DataFrame:
        """What systems cost and reach, means over seeds, by dataset, backbone and sampler.

        ``cost_s`` is what a user pays: the seconds of all epochs that were trained, which is up to
        the best one and the patience after it.  ``times`` is its multiple of what `MEASURE` costs
        on the same dataset with the same backbone; NaN where that was not trained.
        """
        cells = self.trained.reindex(columns=[*SYSTEM, *COSTS, HEADLINE])
        means = cells.groupby([*SYSTEM], sort=False)[[*COSTS, HEADLINE]].mean()
        measure = means[means.index.get_level_values("sampler") == MEASURE]["cost_s"]
        own = means["cost_s"].rename("own").reset_index("sampler")
        of_measure = own.join(measure.droplevel("sampler"))["cost_s"]
        return means.assign(times=means["cost_s"].to_numpy() / of_measure.to_numpy())

    @property
    def synthetic(self) -> bool:
        """Whether its data are generated; cells of both kinds are never compared."""
        return bool(self.cells["synthetic"].all())

    def user_gains(self, metric: str = HEADLINE) -> dict[tuple[str, str], pd.DataFrame]:
        """Per dataset and backbone what each test user contributes to a metric.

        Returns:
            ``(dataset, backbone)`` to a frame ``[users x samplers]``, means over the seeds that a
            sampler has, indexed by user; only users whom all the samplers were tested on.  A system
            whose lists are too short for the metric is left out.
        """
        return {
            block: metrics[metric].dropna(axis="columns", how="all").dropna()
            for block, metrics in self._gains.items()
        }

    @cached_property
    def user_predictions(self) -> dict[tuple[str, str], pd.Series[float]]:
        """How many predictions the users of `user_gains` have, as multiples of the mean, per
        dataset and backbone."""
        return {
            block: metrics[PREDICTIONS].dropna().iloc[:, 0]
            for block, metrics in self._gains.items()
        }

    @cached_property
    def below_best(self) -> dict[str, dict[tuple[str, str], set[str]]]:
        """By metric, per dataset and backbone: the samplers significantly worse than the best.

        By paired t-tests over the users, with Holm's correction over all pairs of samplers.
        """
        return {
            metric: {
                block: differ_from_best(frame, self.user_predictions[block])
                if len(frame)
                else set()
                for block, frame in self.user_gains(metric).items()
            }
            for metric in METRICS
        }

    @cached_property
    def _half_widths(self) -> pd.DataFrame:
        """Of each system's metrics, half the widths of their 95 % intervals over test users."""
        found = {
            (*block, sampler): half_widths(
                pd.DataFrame({metric: its[sampler].dropna() for metric, its in metrics.items()})
            )
            for block, metrics in self._gains.items()
            for sampler in metrics[HEADLINE]
        }
        return pd.DataFrame(found).T.rename_axis(index=[*SYSTEM])

    @cached_property
    def _gains(self) -> dict[tuple[str, str], dict[str, pd.DataFrame]]:
        """Per dataset and backbone, by metric: ``[users x samplers]``, means over seeds."""
        found = {}
        for (dataset, backbone), cells in self.cells.groupby(["dataset", "backbone"]):
            keys = {
                name: cells.loc[cells["sampler"] == name, "key"] for name in sampler_order(cells)
            }
            columns = {name: self._gains_of(list(each)) for name, each in keys.items()}
            whole = pd.concat(columns, axis=1).swaplevel(axis=1)
            names = list(columns)
            found[str(dataset), str(backbone)] = {
                str(metric): whole[metric][names]
                for metric in whole.columns.get_level_values(0).unique()
            }
        return found

    def _gains_of(self, keys: Sequence[str]) -> pd.DataFrame:
        """Of one system, trained here or elsewhere."""
        if elsewhere := [self.external[key] for key in keys if key in self.external]:
            return contributions(external_gains(self.store, elsewhere))
        return gains_by_user(self.store, keys)


def _beside_headline(cells: pd.DataFrame, *rankings: str) -> pd.DataFrame:
    """The headline metric, and that of other rankings of the same predictions, means over seeds by
    `SYSTEM`; of the cells that have the first of these rankings."""
    columns = [HEADLINE, *(f"{ranking}_{HEADLINE}" for ranking in rankings)]
    known = cells.reindex(columns=[*SYSTEM, *columns]).dropna(subset=[columns[1]])
    return known.groupby([*SYSTEM], sort=False)[columns].mean()


def comparisons(store: Store) -> list[Comparison]:
    """The study's cells, sorted into what may stand in one table.

    Raises:
        UserError: the study has no finished cell.
    """
    names = set[str]()
    return [
        comparison_of(store, free_name(loss, synthetic, names), loss, f"{loss} loss", members)
        for synthetic, loss, members in _groups(tuning.as_compared(store))
    ]


def free_name(what: str, synthetic: bool, taken: set[str]) -> str:
    """What the files of a comparison are called; it is added to those that are ``taken``."""
    name = file_stem(f"comparison-{what}{'-synthetic' * synthetic}")
    while name in taken:
        name += "-other-protocol"
    taken.add(name)
    return name


def comparison_of(
    store: Store, name: str, loss: str, told: str, members: Sequence[Record]
) -> Comparison:
    """Records of one protocol and kind of data as a comparison.

    Args:
        store: where they are.
        name: of its files.
        loss: see `Comparison`.
        told: what its title says of losses.
        members: the records.
    """
    later, elsewhere = store.references(), external.stored(store)
    protocol, synthetic = members[0].cell.protocol, members[0].synthetic
    members, of_draws = _of_common_draws(members)
    draws = any(draw_users([record.cell for record in members]))
    rates = {record.cell.protocol.lr for record in members}
    title = (
        f"{'SYNTHETIC data' if synthetic else 'Real data'}, {told}, "
        f"split {protocol.split}, d={protocol.dim}, window {protocol.window}, "
        f"{f'lr={protocol.lr:g}' if len(rates) == 1 else 'lr of each backbone'}, "
        f"at most {protocol.epochs} epochs"
        + (", each seed with users of its own" if draws else "")
        + (f", what users have had {protocol.seen}" if protocol.seen != Protocol.seen else "")
    )
    cells, cpu, in_turns = with_costs(cells_of(members), members, store.costs_in_turns())
    notes = {r.cell.dataset: r.notes for r in members}
    for dataset, note in of_draws.items():
        notes[dataset] = [*notes[dataset], note]
    own = {
        r.cell.sampler.name: r.cell.objective.name
        for r in members
        if has_own_loss(r.cell.sampler.name)
    }
    found = references_of(members, later)
    mixed = _trained_by_several(cells, {record.key: record.code for record in members})
    changed = [record.key for record in members if record.uncommitted]
    uncommitted = cells[cells["key"].isin(changed)]["sampler"].value_counts(sort=False)
    cells, beside = with_external(cells, members, elsewhere)
    return Comparison(
        store,
        name,
        title,
        loss,
        cells,
        notes,
        found,
        own,
        cpu,
        in_turns,
        draws,
        mixed,
        {str(name): int(count) for name, count in uncommitted.items()},
        beside,
    )


def _trained_by_several(cells: pd.DataFrame, codes: Mapping[str, str]) -> list[str]:
    """The systems whose cells have several digests of the code, as tables name them."""
    counts = cells.assign(code=cells["key"].map(codes)).groupby([*SYSTEM])["code"].nunique()
    return [" on ".join(reversed(system)) for system in counts.index[counts > 1]]


def _of_common_draws(records: Sequence[Record]) -> tuple[list[Record], dict[str, str]]:
    """Of cells whose seeds draw their users those whose seed all systems of the dataset have, as
    other users are not to be compared; all cells, where the users are the same or none in common.

    Returns:
        The cells to compare; dataset to what is to be said of that.
    """
    drawn = draw_users([record.cell for record in records])
    seeds: dict[str, dict[str, set[int]]] = {}
    for record, of_seed in zip(records, drawn, strict=True):
        if of_seed:
            cell = record.cell
            system = as_text([part and asdict(part) for part in cell.parts.values()])
            seeds.setdefault(cell.dataset, {}).setdefault(system, set()).add(cell.seed)
    kept, notes = list(records), dict[str, str]()
    for dataset, its in seeds.items():
        common = set.intersection(*its.values())
        if not common:
            notes[dataset] = NO_COMMON_USERS
        elif others := sorted(set.union(*its.values()) - common):
            notes[dataset] = OTHER_USERS.format(", ".join(map(str, others)))
            kept = [r for r in kept if r.cell.dataset != dataset or r.cell.seed in common]
    return kept, notes


def kinds_of(records: Sequence[Record]) -> Iterator[tuple[bool, list[Record], int]]:
    """Each protocol and kind of data: synthetic or not, its records, and with how many losses the
    samplers without one of their own were trained."""
    for synthetic, by_loss, with_own in _by_kind(records):
        yield synthetic, [*itertools.chain(*by_loss), *with_own], len(by_loss)


def _groups(records: Sequence[Record]) -> Iterator[tuple[bool, str, list[Record]]]:
    """Synthetic or not, the loss, and the cells that may stand together."""
    for synthetic, by_loss, with_own in _by_kind(records):
        for members in by_loss:
            yield synthetic, members[0].cell.objective.name, members + with_own
        if not by_loss:
            yield synthetic, "own", with_own


def _by_kind(
    records: Sequence[Record],
) -> Iterator[tuple[bool, list[list[Record]], list[Record]]]:
    """Each protocol and kind of data: synthetic or not, the records of each loss, and those of
    samplers with a loss of their own."""
    kinds: dict[tuple[bool, str], tuple[dict[str, list[Record]], list[Record]]] = {}
    protocols = comparable([record.cell for record in records])
    for record, protocol in zip(records, protocols, strict=True):
        kind = (record.synthetic, as_text(protocol))
        by_loss, with_own = kinds.setdefault(kind, ({}, []))
        if has_own_loss(record.cell.sampler.name):
            with_own.append(record)
        else:
            by_loss.setdefault(as_text(asdict(record.cell.objective)), []).append(record)
    for (synthetic, _), (by_loss, with_own) in sorted(kinds.items(), key=lambda item: item[0]):
        yield synthetic, [members for _, members in sorted(by_loss.items())], with_own

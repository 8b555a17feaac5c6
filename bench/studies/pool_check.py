"""Whether a catalogue holds the candidate pools of a plan's samplers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

import samplers
from bench.cell import Component
from bench.datasets.base import Dataset
from bench.datasets.splits import Split
from bench.errors import UserError
from bench.history import History
from bench.json_shape import as_text


def unfit_of(
    dataset: Dataset,
    splits: Sequence[Split],
    sampler_components: Sequence[Component],
    grid: bool,
    skipped: list[str],
) -> set[str]:
    """The settings of a grid whose pools the catalogue does not hold with each of the splits, by
    `text_of`; with a line in ``skipped`` for each sampler.

    Raises:
        UserError: there is no grid, or a sampler has no setting that can be.
    """
    if not grid:
        for split in splits:
            check_pool(dataset, split, sampler_components)
        return set()
    tightest = max(splits, key=lambda split: _longest(dataset, split))
    room = max(0, dataset.n_items - _longest(dataset, tightest))
    unfit = set[str]()
    for name in dict.fromkeys(each.name for each in sampler_components):
        its = {text_of(each): each for each in sampler_components if each.name == name}
        sizes = {key: samplers.registry.build(name, its[key].hyper).pool_size for key in its}
        too_large = {key for key, size in sizes.items() if size > room}
        if len(too_large) == len(its):
            check_pool(dataset, tightest, [its[min(sizes, key=sizes.__getitem__)]])
        if too_large:
            skipped.append(
                f"{len(too_large)} of the {len(its)} settings of sampler {name!r}: more candidates "
                f"than the {room} items that dataset {dataset.name!r} has beyond the longest "
                "history"
            )
        unfit |= too_large
    return unfit


def text_of(component: Component) -> str:
    """The same for equal components."""
    return as_text(asdict(component))


def _longest(dataset: Dataset, split: Split) -> int:
    """Different items of the training history that has the most."""
    items, offsets = torch.as_tensor(split.train.items), torch.as_tensor(split.train.offsets)
    return History(items, offsets, dataset.n_items).longest


def check_pool(dataset: Dataset, split: Split, sampler_components: Sequence[Component]) -> None:
    """That the catalogue holds the largest pool.

    Raises:
        UserError: it does not.
    """
    size, name = max(
        (samplers.registry.build(each.name, each.hyper).pool_size, each.name)
        for each in sampler_components
    )
    if not size:
        return
    train, longest = split.train, _longest(dataset, split)
    if dataset.n_items - longest < 1:
        counts = [len(np.unique(each)) for each in np.split(train.items, train.offsets[1:-1])]
        user = train.users[int(np.argmax(counts))]
        label = user if dataset.user_labels is None else dataset.user_labels[user]
        raise UserError(
            f"dataset {dataset.name!r}: user {label} has had all of its {dataset.n_items} items, "
            "so that no negative is left; leave such users out (--where, of a log of your own), or "
            "take a larger catalogue"
        )
    if size > dataset.n_items - longest:
        known = samplers.registry.hyper_parameters(name)
        option = next((option for option in ("N", "K", "C") if option in known), "N")
        left = dataset.n_items - longest
        remedy = f"'*.{option}={left}'"
        if option == "N" and "M" in known and known["M"].default is not None:
            remedy += f" '*.M={min(left, known['M'].default)}'"  # of the best M of N
        raise UserError(
            f"dataset {dataset.name!r}: {dataset.n_items} items less the longest history "
            f"({longest} of them) are fewer than the {size} candidates of {name!r}; lower "
            f"it with --set {remedy}, or leave out the users with the longest histories"
        )

"""Small made-up inputs that several test files share."""

from __future__ import annotations

import numpy as np
import torch

import backbones
import samplers
from bench import objectives
from bench.cell import Cell, Component, Protocol
from bench.datasets.base import Dataset, Exposures
from bench.history import History
from bench.pools import Targets
from samplers import Catalogue, View

CPU = torch.device("cpu")


def ignore(_):
    """Where `fit` wants to be told of epochs."""


def dataset_of(sequences, n_items=None, times=None, name="made-up"):
    """A dataset of these sequences of item ids."""
    offsets = np.cumsum([0, *map(len, sequences)])
    return Dataset(
        name=name,
        items=np.concatenate(sequences).astype(np.int32),
        offsets=offsets.astype(np.int64),
        n_items=n_items or int(max(map(max, sequences))),
        times=None if times is None else np.concatenate(times).astype(np.int64),
        user_labels=np.arange(1, len(sequences) + 1).astype(str),
        synthetic=True,
    )


def exposures_of(dataset, seed=0):
    """Two random items shown before each interaction."""
    rng = np.random.default_rng(seed)
    return Exposures(
        items=rng.integers(1, dataset.n_items + 1, 2 * dataset.n_interactions).astype(np.int32),
        offsets=2 * dataset.offsets,
        positions=np.concatenate([np.arange(n).repeat(2) for n in dataset.lengths]).astype(
            np.int32
        ),
    )


def random_sequences(n_users=40, n_items=60, shortest=3, longest=12, seed=0):
    """Sequences without repeats, as in the real sets."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, n_users)
    return [1 + rng.permutation(n_items)[:length] for length in lengths]


def targets_of(sequences, n_items, rows, positions, seed=0):
    """Next-item predictions: the item at ``positions`` of the sequences ``rows``."""
    items = torch.as_tensor(np.concatenate(sequences), dtype=torch.int64)
    offsets = torch.as_tensor(np.cumsum([0, *map(len, sequences)]))
    rows, positions = torch.as_tensor(rows), torch.as_tensor(positions)
    return Targets(
        positives=items[offsets[rows] + positions],
        users=rows,
        sequences=rows,
        positions=positions,
        history=History(items, offsets, n_items),
        generator=torch.Generator().manual_seed(seed),
    )


def views_of(targets, n_items, n_views=1, dim=6, seed=0, scale=1.0):
    """Views with random states and item tables, gradients on."""
    rng = torch.Generator().manual_seed(seed)
    views = []
    for _ in range(n_views):
        states = scale * torch.randn(len(targets.positives), dim, generator=rng)
        table = scale * torch.randn(n_items + 1, dim, generator=rng)
        views.append(View(states.requires_grad_(), table.requires_grad_(), targets))
    return views


def sampler_for(targets, name, sequences=None, exposed=None, **hyper):
    """A sampler, prepared for training ``sequences`` (every item once, by default)."""
    n_items = targets.history.n_items
    sampler = samplers.registry.build(name, samplers.registry.resolve(name, hyper))
    sequences = [range(1, n_items + 1)] if sequences is None else sequences
    items = torch.cat([torch.as_tensor(list(sequence)) for sequence in sequences])
    offsets = torch.as_tensor([0, *map(len, sequences)]).cumsum(0)
    sampler.prepare(Catalogue(n_items, items, offsets, targets.generator, exposed))
    return sampler


def cell_of(sampler="uniform", backbone="sasrec", objective="bce", seed=0, hyper=None, **protocol):
    """A small cell on a dataset that is not looked at."""
    settings = {"dim": 8, "window": 8, "batch_targets": 64, "N": 5, "epochs": 2, "patience": 2}
    small = {"N": 5, "C": 5, "hard": 2, "M": 3, "F": 12, "S1": 4, "S": 20, "P": 4}
    known = samplers.registry.resolve(sampler, {})
    given = {k: v for k, v in small.items() if known.get(k) and v < known[k]} | (hyper or {})
    made = samplers.registry.resolve(sampler, given)
    built = samplers.registry.build(sampler, made)
    peer = backbone if built.peer == "same" else built.peer
    objective = built.objective or objective

    def model(name):
        return Component(name, backbones.registry.resolve(name, {}))

    return Cell(
        dataset="made-up",
        fingerprint="f" * 64,
        split_digest="d" * 16,
        backbone=model(backbone),
        sampler=Component(sampler, made),
        peer=None if peer is None else model(peer),
        objective=Component(objective, objectives.registry.resolve(objective, {})),
        protocol=Protocol(**(settings | protocol)),
        seed=seed,
    )

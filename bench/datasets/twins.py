"""Synthetic twins: small made-up datasets shaped on the six real ones.

A twin has its original's average length (LastFM's and KuaiRand's shortened), interactions per
item, long-tailed popularity and at least five items a user, but a few hundred users and items.
No real interaction went into it.  Because the generator is known, so is the true distribution of
every next item (`Twin.next_item_probabilities`).

The model.  Items belong to interests; within its interest an item has a Zipf popularity and a
few likely successors.  A user has a taste: a few interests and, with probability ``CURIOSITY``,
any.  The next item follows the last one's successors with probability ``FOLLOW``, else taste and
popularity; items the user has had are ruled out and the rest renormalised, as no real set repeats
an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bench.datasets.base import Dataset, DatasetSource, Exposures, register
from bench.seeding import seed_for

Floats = npt.NDArray[np.float64]

FOLLOW = 0.5
N_SUCCESSORS = 8
SUCCESSOR_DECAY = 0.6
ZIPF = 0.8
INTERESTS_PER_USER = 3
CURIOSITY = 0.05
SHORTEST = 5


@dataclass(frozen=True)
class Shape:
    """Size of a twin.

    Attributes:
        original: the real dataset that it is shaped on.
        n_users: users.
        n_items: items.
        n_interests: groups of items.
        mean_length: interactions per user, on average (about: lengths are drawn).
        longest: most interactions a user has.
        shown: items shown and not taken per interaction, on average; 0 records no exposures.
    """

    original: str
    n_users: int
    n_items: int
    n_interests: int
    mean_length: float
    longest: int
    shown: float = 0.0


class Twin(DatasetSource):
    """A generated dataset; subclasses give its shape."""

    synthetic: ClassVar[bool] = True
    shape: ClassVar[Shape]

    def load(self, data_dir: Path | None) -> Dataset:
        """Generate it; the same on every machine.  See `DatasetSource.load`."""
        shape = self.shape
        rng = np.random.default_rng(seed_for("twin", shape.original, "sequences"))
        extra = rng.geometric(1 / (shape.mean_length - SHORTEST + 1), shape.n_users) - 1
        lengths = np.minimum(SHORTEST + extra, shape.longest)
        sequences = [self._draw(user, int(n), rng) for user, n in enumerate(lengths)]
        return Dataset(
            name=self.name,
            items=np.concatenate(sequences),
            exposures=self._expose(sequences) if shape.shown else None,
            truth=self.next_item_probabilities,
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            n_items=shape.n_items,
            user_labels=np.arange(1, shape.n_users + 1).astype(str),
            synthetic=True,
            notes=(f"synthetic: generated, shaped on {shape.original}; holds no real interaction",),
        )

    def next_item_probabilities(self, user: int, history: npt.NDArray[np.int32]) -> Floats:
        """The true distribution of what comes next.

        Args:
            user: row in the dataset.
            history: ``[n]`` the user's items so far, oldest first; may be empty.

        Returns:
            ``[n_items + 1]`` probabilities by item id; 0 for padding and for what was had.
        """
        taste = self._tastes[user] @ self._popularity
        if len(history):
            probabilities = FOLLOW * self._successors[history[-1]] + (1 - FOLLOW) * taste
        else:
            probabilities = taste
        probabilities[history] = 0
        return probabilities / probabilities.sum()

    def _draw(self, user: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        sequence = np.zeros(length, dtype=np.int32)
        for position, uniform in enumerate(rng.random(length)):
            cumulative = self.next_item_probabilities(user, sequence[:position]).cumsum()
            sequence[position] = np.searchsorted(cumulative, uniform * cumulative[-1], "right")
        return sequence

    def _expose(self, sequences: list[npt.NDArray[np.int32]]) -> Exposures:
        """Before each interaction, a few items by popularity that the user does not take then."""
        rng = self._rng("exposures")
        popular = self._popularity.mean(axis=0)
        items, positions, counts = [], [], []
        for sequence in sequences:
            shown = rng.poisson(self.shape.shown, len(sequence))
            position = np.repeat(np.arange(len(sequence)), shown)
            drawn = rng.choice(len(popular), size=len(position), p=popular)
            kept = drawn != sequence[position]
            items.append(drawn[kept])
            positions.append(position[kept])
            counts.append(kept.sum())
        return Exposures(
            items=np.concatenate(items).astype(np.int32),
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            positions=np.concatenate(positions).astype(np.int32),
        )

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(seed_for("twin", self.shape.original, purpose))

    @cached_property
    def _interest(self) -> npt.NDArray[np.int64]:
        """``[n_items]`` interest of items 1, 2, ...; all interests about equally large."""
        return self._rng("interests").permutation(self.shape.n_items) % self.shape.n_interests

    @cached_property
    def _popularity(self) -> Floats:
        """``[n_interests, n_items + 1]`` probability of an item given the interest."""
        shape = self.shape
        weights = (1 + self._rng("popularity").permutation(shape.n_items)) ** -ZIPF
        table = np.zeros((shape.n_interests, shape.n_items + 1))
        table[self._interest, 1 + np.arange(shape.n_items)] = weights
        return table / table.sum(1, keepdims=True)

    @cached_property
    def _tastes(self) -> Floats:
        """``[n_users, n_interests]`` probability of an interest given the user."""
        shape, rng = self.shape, self._rng("tastes")
        tastes = np.full((shape.n_users, shape.n_interests), CURIOSITY / shape.n_interests)
        for row in tastes:
            chosen = rng.permutation(shape.n_interests)[:INTERESTS_PER_USER]
            row[chosen] += (1 - CURIOSITY) * rng.dirichlet(np.ones(INTERESTS_PER_USER))
        return tastes

    @cached_property
    def _successors(self) -> Floats:
        """``[n_items + 1, n_items + 1]`` probability of an item right after another one."""
        shape, rng = self.shape, self._rng("successors")
        table = np.zeros((shape.n_items + 1, shape.n_items + 1))
        weights = SUCCESSOR_DECAY ** np.arange(N_SUCCESSORS)
        for item in range(1, shape.n_items + 1):
            others = self._popularity[self._interest[item - 1]].copy()
            others[item] = 0
            others = np.sqrt(others)  # rarer items get to follow, too
            # The exponential race: the largest keys are a draw without replacement.
            keys = np.where(others > 0, rng.exponential(size=len(others)), np.inf)
            keys = keys / np.where(others > 0, others, 1)
            table[item, np.argsort(keys)[:N_SUCCESSORS]] = weights / weights.sum()
        return table


@register("beauty-twin")
class BeautyTwin(Twin):
    """Synthetic, shaped on Amazon Beauty."""

    shape = Shape("beauty", n_users=820, n_items=500, n_interests=25, mean_length=8.9, longest=60)


@register("toys-twin")
class ToysTwin(Twin):
    """Synthetic, shaped on Amazon Toys and Games."""

    shape = Shape("toys", n_users=800, n_items=520, n_interests=26, mean_length=8.6, longest=60)


@register("sports-twin")
class SportsTwin(Twin):
    """Synthetic, shaped on Amazon Sports and Outdoors."""

    shape = Shape("sports", n_users=880, n_items=540, n_interests=18, mean_length=8.3, longest=60)


@register("health-twin")
class HealthTwin(Twin):
    """Synthetic, shaped on Amazon Health and Personal Care."""

    shape = Shape("health", n_users=880, n_items=500, n_interests=20, mean_length=9.0, longest=60)


@register("lastfm-twin")
class LastFMTwin(Twin):
    """Synthetic, shaped on Last.fm 2k, with shorter sequences."""

    shape = Shape("lastfm", n_users=420, n_items=640, n_interests=32, mean_length=20, longest=100)


@register("kuairand-twin")
class KuaiRandTwin(Twin):
    """Synthetic, shaped on KuaiRand, with shorter sequences."""

    shape = Shape(
        "kuairand",
        n_users=520,
        n_items=450,
        n_interests=12,
        mean_length=15,
        longest=80,
        shown=1.3,
    )

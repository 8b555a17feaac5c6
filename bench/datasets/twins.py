"""Synthetic twins: small made-up datasets shaped on the six real ones.

No real interaction went into a twin.  Because the generator is known, so is the true distribution
of every next item (`Twin.next_item_probabilities`), and the accuracy of a model is measured as its
expectation under that distribution, over `ONLY_TESTED` users more than are trained on.

The model.  Items belong to interests, and within its interest an item has a Zipf popularity.  A
user has a taste: `INTERESTS_PER_USER` interests, and with probability ``curiosity`` any.  The next
item follows one of the last four with probability ``follow``, the latest the most likely, being
one of its `N_SUCCESSORS` successors; else it is drawn by taste and popularity.  Items the user has
had are ruled out and the rest renormalised, as no real set repeats an item.

Why these numbers.  A miniature is to put samplers in the order that they have on the real set,
and three things decide that.  (1) What may come next is spread over many items: with a next item
that is easy to predict, hard negatives are no false ones and DNS wins, as it does on no real set.
(2) How well counting predicts.  Each `Shape` gives its twin about its original's proportions of
NDCG@10 between popularity ranking, a Markov chain, item-kNN and co-occurrence, all measured
without training anything.  (3) Interactions per item (in training, about its original's 14 to 19;
KuaiRand's 89 are cut), so that an item is known as well as there.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bench.datasets.base import Dataset, DatasetSource, Exposures, register
from bench.seeding import seed_for

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Items = npt.NDArray[np.int32]

MEMORY = (0.4, 0.3, 0.2, 0.1)
"""How likely the next item, if it follows any, follows the last one, the last but one, ..."""
N_SUCCESSORS = 8
SUCCESSOR_DECAY = 0.8
"""An item's second likeliest successor comes so often for each time that the likeliest does."""
_DECAYING = SUCCESSOR_DECAY ** np.arange(N_SUCCESSORS)
SUCCESSION: Floats = _DECAYING / _DECAYING.sum()
"""``[N_SUCCESSORS]`` probability of each successor, given that one follows."""
INTERESTS_PER_USER = 3
SHORTEST = 5
AT_ONCE = 64
"""Users whose distributions are worked out together, or up to twice as many: some 200 kB each."""
ONLY_TESTED = 2000
"""Users whom no split trains or validates on: they cost no training, and make tests exact."""


@dataclass(frozen=True)
class Shape:
    """Size and habits of a twin.

    Attributes:
        original: the real dataset that it is shaped on.
        n_users: users to be split; `ONLY_TESTED` more are tested on.
        n_items: items.
        mean_length: interactions per user, on average (about: lengths are drawn).
        longest: most interactions a user has.
        n_interests: groups of items.
        zipf: exponent of popularity within an interest.
        follow: probability that the next item is a successor of one of the last.
        curiosity: probability, when it is not, of an interest that is not the user's.
        shown: items shown and not taken per interaction, on average; 0 records no exposures.
    """

    original: str
    n_users: int
    n_items: int
    mean_length: float
    longest: int
    n_interests: int
    zipf: float
    follow: float
    curiosity: float
    shown: float = 0.0


class Twin(DatasetSource):
    """A generated dataset; subclasses give its shape."""

    synthetic: ClassVar[bool] = True
    shape: ClassVar[Shape]

    def load(self, data_dir: Path | None) -> Dataset:
        """Generate it, once a process; the same on every machine.  See `DatasetSource.load`."""
        return _generated(type(self))

    def next_item_probabilities(self, users: Ints, items: Items, offsets: Ints) -> Floats:
        """The true distribution of what comes next.

        Args:
            users: ``[P]`` rows in the dataset.
            items: ``[n]`` what each has had so far, one history after another, oldest first.
            offsets: ``[P + 1]``; a history may be empty.

        Returns:
            ``[P, n_items + 1]`` probabilities by item id; 0 for padding and for what was had.
        """
        found = np.empty((len(users), self.shape.n_items + 1))
        for chosen, probabilities in self._in_blocks(users, items, offsets):
            found[chosen] = probabilities
        return found

    def _in_blocks(
        self, users: Ints, items: Items, offsets: Ints
    ) -> Iterator[tuple[slice, Floats]]:
        """`next_item_probabilities`, some users at a time, whose numbers stay in the cache."""
        edges = np.linspace(0, len(users), max(1, len(users) // AT_ONCE) + 1).astype(int)
        for start, end in itertools.pairwise(edges):
            theirs = offsets[start : end + 1]
            had = items[theirs[0] : theirs[-1]]
            yield slice(start, end), self._probabilities(users[start:end], had, theirs - theirs[0])

    def _probabilities(self, users: Ints, items: Items, offsets: Ints) -> Floats:
        """`next_item_probabilities`, of items by users in memory, which are summed item by item."""
        lengths, columns = np.diff(offsets), np.arange(len(users))
        follow = np.zeros((self.shape.n_items + 1, len(users)))
        weight = np.zeros(len(users))
        for age, likely in enumerate(MEMORY):
            known = np.flatnonzero(lengths > age)
            last = items[offsets[1:][known] - 1 - age]
            follow[self._successors[last].T, known] += likely * SUCCESSION[:, None]
            weight[known] += likely
        follow *= np.where(weight > 0, self.shape.follow / np.maximum(weight, MEMORY[-1]), 0)
        found = self._tastes[users].T[self._interest]
        found *= self._popularity[:, None]
        found *= np.where(weight > 0, 1 - self.shape.follow, 1)
        found += follow
        found[items, np.repeat(columns, lengths)] = 0
        found /= found.sum(axis=0)
        return found.T

    def _generate(self) -> Dataset:
        shape, rng = self.shape, self._rng("sequences")
        extra = rng.geometric(1 / (shape.mean_length - SHORTEST + 1), self._n_users) - 1
        lengths = np.minimum(SHORTEST + extra, shape.longest)
        rows = self._draw(lengths, rng)
        return Dataset(
            name=self.name,
            items=rows[np.arange(rows.shape[1]) < lengths[:, None]],
            exposures=self._expose(rows, lengths) if shape.shown else None,
            truth=self.next_item_probabilities,
            only_tested=ONLY_TESTED,
            offsets=np.concatenate([[0], np.cumsum(lengths)]),
            n_items=shape.n_items,
            user_labels=np.arange(1, self._n_users + 1).astype(str),
            synthetic=True,
            notes=(
                f"synthetic: generated, shaped on {shape.original}; holds no real interaction; "
                f"{ONLY_TESTED} of its users are only tested on, by expectation",
            ),
        )

    @property
    def _n_users(self) -> int:
        return self.shape.n_users + ONLY_TESTED

    def _draw(self, lengths: Ints, rng: np.random.Generator) -> Items:
        """``[n_users, longest]`` sequences, of which the first ``lengths`` items count."""
        rows = np.zeros((len(lengths), lengths.max()), dtype=np.int32)
        for position in range(rows.shape[1]):
            users = np.flatnonzero(lengths > position)
            offsets = position * np.arange(len(users) + 1)
            had = rows[users, :position].ravel()
            random = rng.random(len(users))
            for chosen, probabilities in self._in_blocks(users, had, offsets):
                cumulative = probabilities.cumsum(axis=1)
                drawn = random[chosen] * cumulative[:, -1]
                rows[users[chosen], position] = (cumulative <= drawn[:, None]).sum(axis=1)
        return rows

    def _expose(self, rows: Items, lengths: Ints) -> Exposures:
        """Before each interaction of users to be split, a few items by popularity that the user
        does not take then."""
        rng, counts = self._rng("exposures"), np.zeros(len(lengths), dtype=np.int64)
        popular = self._popularity / self._popularity.sum()
        items, positions = [], []
        for user in range(self.shape.n_users):
            shown = rng.poisson(self.shape.shown, lengths[user])
            position = np.repeat(np.arange(lengths[user]), shown)
            drawn = rng.choice(len(popular), size=len(position), p=popular)
            kept = drawn != rows[user, position]
            items.append(drawn[kept])
            positions.append(position[kept])
            counts[user] = kept.sum()
        return Exposures(
            items=np.concatenate(items).astype(np.int32),
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            positions=np.concatenate(positions).astype(np.int32),
        )

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(seed_for("twin", self.shape.original, purpose))

    @cached_property
    def _interest(self) -> Ints:
        """``[n_items + 1]`` interest of each item; all about equally large.  Padding has any."""
        order = self._rng("interests").permutation(self.shape.n_items)
        return np.concatenate([[0], order % self.shape.n_interests])

    @cached_property
    def _popularity(self) -> Floats:
        """``[n_items + 1]`` probability of an item given its interest; 0 of padding."""
        weights = np.zeros(self.shape.n_items + 1)
        ranks = 1 + self._rng("popularity").permutation(self.shape.n_items)
        weights[1:] = ranks**-self.shape.zipf
        return weights / np.bincount(self._interest, weights)[self._interest]

    @cached_property
    def _tastes(self) -> Floats:
        """``[n_users, n_interests]`` probability of an interest given the user."""
        shape, rng = self.shape, self._rng("tastes")
        tastes = np.full((self._n_users, shape.n_interests), shape.curiosity / shape.n_interests)
        for row in tastes:
            chosen = rng.permutation(shape.n_interests)[:INTERESTS_PER_USER]
            row[chosen] += (1 - shape.curiosity) * rng.dirichlet(np.ones(INTERESTS_PER_USER))
        return tastes

    @cached_property
    def _successors(self) -> Items:
        """``[n_items + 1, N_SUCCESSORS]`` what may follow an item, the likeliest first: any of the
        catalogue, whatever their interests and popularity.  Padding is followed by itself."""
        rng, n_items = self._rng("successors"), self.shape.n_items
        table = np.zeros((n_items + 1, N_SUCCESSORS), dtype=np.int32)
        for item in range(1, n_items + 1):
            others = 1 + rng.permutation(n_items)[: N_SUCCESSORS + 1]
            table[item] = others[others != item][:N_SUCCESSORS]
        return table


@functools.cache
def _generated(twin: type[Twin]) -> Dataset:
    return twin()._generate()


@register("beauty-twin")
class BeautyTwin(Twin):
    """Synthetic, shaped on Amazon Beauty."""

    shape = Shape("beauty", 1030, 400, 8.9, 60, n_interests=20, zipf=0.2, follow=0.5, curiosity=0.1)


@register("toys-twin")
class ToysTwin(Twin):
    """Synthetic, shaped on Amazon Toys and Games."""

    shape = Shape("toys", 980, 420, 8.6, 60, n_interests=32, zipf=0.1, follow=0.6, curiosity=0.1)


@register("sports-twin")
class SportsTwin(Twin):
    """Synthetic, shaped on Amazon Sports and Outdoors."""

    shape = Shape("sports", 1200, 430, 8.3, 60, n_interests=32, zipf=0.1, follow=0.5, curiosity=0.1)


@register("health-twin")
class HealthTwin(Twin):
    """Synthetic, shaped on Amazon Health and Personal Care."""

    shape = Shape("health", 1140, 385, 9.0, 60, n_interests=20, zipf=0.3, follow=0.4, curiosity=0.1)


@register("lastfm-twin")
class LastFMTwin(Twin):
    """Synthetic, shaped on Last.fm 2k, with shorter sequences."""

    shape = Shape("lastfm", 460, 450, 20, 100, n_interests=10, zipf=0.2, follow=0.5, curiosity=0.3)


@register("kuairand-twin")
class KuaiRandTwin(Twin):
    """Synthetic, shaped on KuaiRand, with shorter sequences."""

    shape = Shape(
        "kuairand", 615, 360, 15, 80, n_interests=32, zipf=0.45, follow=0.3, curiosity=0.3,
        shown=1.3,
    )  # fmt: skip

"""How far a study on synthetic twins has samplers in the order that they have on real data.

The order on real data is kept in ``real_orders.json``, made by ``tools/real_orders.py`` from the
stored studies: of each dataset and backbone the mean NDCG@10 of each sampler, trained with bce or
a loss of its own, and the covariance of these means over test users.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm

from bench.analysis.choices import by_validation
from bench.analysis.comparison import Comparison
from bench.analysis.over_users import LEVEL, holm

Floats = npt.NDArray[np.float64]

TWIN = "-twin"
FEWEST = 4
"""Samplers in common, below which an order says nothing."""
DRAWS = 2000


@dataclass(frozen=True)
class Order:
    """Accuracy of samplers on one dataset with one backbone.

    Attributes:
        study: where it is from.
        samplers: ``S`` methods.
        means: ``[S]`` headline metric.
        covariance: ``[S, S]`` of the means, over test users.
    """

    study: str
    samplers: list[str]
    means: Floats
    covariance: Floats

    @classmethod
    def of(cls, study: str, gains: pd.DataFrame) -> Order:
        """Of what users contribute, ``[users x samplers]``."""
        covariance = gains.cov().to_numpy() / len(gains)
        return cls(study, list(gains.columns), gains.mean().to_numpy(), covariance)

    def only(self, samplers: list[str]) -> Order:
        """Those of ``samplers``, in their order."""
        rows = [self.samplers.index(name) for name in samplers]
        return Order(self.study, samplers, self.means[rows], self.covariance[np.ix_(rows, rows)])

    def drawn(self, seed: int) -> Floats:
        """``[DRAWS, S]`` means as other test users might have given them."""
        rng = np.random.default_rng(seed)
        return rng.multivariate_normal(self.means, self.covariance, DRAWS, method="eigh")


@dataclass(frozen=True)
class Fidelity:
    """How far two orders agree.

    Attributes:
        dataset: the twin.
        backbone: of both.
        study: that of the real order.
        samplers: how many they have in common.
        tau: Kendall's, of the order of these samplers.
        low, high: 95 % of what it is when both means are drawn anew about those that were found, as
            by other test users.  What was found is scattered already, so that this lies low near 1.
        significant: pairs that differ significantly on the real data (z test, Holm-corrected).
        agreeing: those of them that differ in the same direction on the twin.
    """

    dataset: str
    backbone: str
    study: str
    samplers: int
    tau: float
    low: float
    high: float
    significant: int
    agreeing: int


def real_orders() -> dict[tuple[str, str], Order]:
    """Dataset and backbone to the order on real data, as far as it is stored."""
    stored = json.loads(Path(__file__).with_name("real_orders.json").read_text(encoding="utf-8"))
    return {
        (dataset, backbone): Order(
            its["study"],
            its["samplers"],
            np.array(its["means"]),
            np.array(its["covariance"]),
        )
        for dataset, of_backbones in stored.items()
        for backbone, its in of_backbones.items()
    }


def orders(comparison: Comparison) -> dict[tuple[str, str], Order]:
    """Dataset and backbone to the order of a comparison's methods, each at the setting that
    validation chooses."""
    return {
        block: Order.of(comparison.store.root.name, gains[list(chosen)].rename(columns=chosen))
        for block, gains in comparison.user_gains().items()
        if (chosen := by_validation(comparison.cells, *block))
    }


def fidelity(comparison: Comparison) -> list[Fidelity]:
    """Of a comparison on twins each dataset and backbone whose real order is known: of the losses
    that the stored ones are of."""
    found = list[Fidelity]()
    if comparison.loss not in ("bce", "own"):
        return found
    known = real_orders()
    for (dataset, backbone), made in orders(comparison).items():
        real = known.get((dataset.removesuffix(TWIN), backbone))
        if dataset.endswith(TWIN) and real is not None:
            common = [name for name in real.samplers if name in made.samplers]
            if len(common) >= FEWEST:
                found.append(_agreement(dataset, backbone, made.only(common), real.only(common)))
    return found


def _agreement(dataset: str, backbone: str, made: Order, real: Order) -> Fidelity:
    pairs = list(itertools.combinations(range(len(real.samplers)), 2))
    first, second = np.array(pairs).T
    of_pairs = np.zeros((len(real.samplers), len(pairs)))
    of_pairs[first, np.arange(len(pairs))], of_pairs[second, np.arange(len(pairs))] = 1, -1
    differences = real.means @ of_pairs
    deviations = np.sqrt(np.einsum("sp,st,tp->p", of_pairs, real.covariance, of_pairs))
    p = 2 * norm.sf(np.abs(differences) / np.maximum(deviations, 1e-12))
    significant = holm(pd.Series(p)).to_numpy() < LEVEL
    same = np.sign(differences) == np.sign(made.means @ of_pairs)
    drawn = np.sign(real.drawn(0) @ of_pairs) * np.sign(made.drawn(1) @ of_pairs)
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    tau = (np.sign(differences) * np.sign(made.means @ of_pairs)).mean()
    return Fidelity(
        dataset, backbone, real.study, len(real.samplers), float(tau), float(low), float(high),
        int(significant.sum()), int((significant & same).sum()),
    )  # fmt: skip

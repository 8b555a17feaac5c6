"""A cell: everything that determines one trained model, hashed to a key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, get_type_hints

from bench.errors import UserError
from bench.hyper_parameters import HyperParameter
from bench.json_shape import LARGEST

SCHEMA_VERSION = 1
"""Raise when the meaning of stored numbers changes; cells of older versions are redone, those of
newer ones kept."""

KEY_LENGTH = 20
"""Hex digits of a cell's key."""


BATCHES = ("one-pass", "prefix-shuffled")
SEEN = ("masked", "ranked")

OWN_OF_BACKBONES = ("lr",)
"""Settings of the protocol of which a backbone may have its own value, ``gru4rec.lr=0.01``."""


@dataclass(frozen=True)
class Protocol:
    """How every cell of a study is trained and evaluated, whatever the sampler.

    Attributes:
        dim: width of states and item vectors.
        window: longest input, in items.
        batch_targets: targets per batch, about.
        lr: Adam's learning rate (betas 0.9 and 0.999, no weight decay).
        N: default size of the candidate pool, for samplers that have one.
        epochs: at most so many.
        patience: epochs without a better validation NDCG@20 before training stops.
        split: ``user``, ``authors``, ``user-prefixes``, ``leave-one-out`` or ``temporal``.
        split_seed: of the user shuffle; not varied with the cell's seed, so that all seeds are
            tested on the same users, but where each seed is to draw its own (``--splits``).
        batches: ``one-pass``: a causal backbone trains every position of a sequence in one go, and
            batches hold sequences of like length; ``prefix-shuffled``: as the MDCNS paper's
            released code, every prefix is a row of its own, and rows are shuffled whatever their
            length (``docs/speed.md`` has what that costs and changes).
        seen: ``masked``: what the user has had is not recommended, so that a target of that kind
            is a miss; ``ranked``: it is ranked with all else, where people come back to things.
    """

    dim: int = 64
    window: int = 50
    batch_targets: int = 1024
    lr: float = 1e-3
    N: int = 100
    epochs: int = 300
    patience: int = 30
    split: str = "user"
    split_seed: int = 0
    batches: str = "one-pass"
    seen: str = "masked"

    def __post_init__(self) -> None:
        if self.batches not in BATCHES:
            raise UserError(f"batches={self.batches}: expected {' or '.join(BATCHES)}")
        if self.seen not in SEEN:
            raise UserError(f"seen={self.seen}: expected {' or '.join(SEEN)}")
        for name in ("dim", "window", "batch_targets", "N", "epochs", "patience", "lr"):
            value = getattr(self, name)
            if not 0 < value <= LARGEST:
                limit = "at most 2**53" if value > 0 else "positive"
                raise UserError(f"{name}={value}: must be {limit}")

    def config(self) -> dict[str, Any]:
        """As plain JSON values; what later versions added is left out where it is as before, so
        that stored cells keep their keys."""
        config = asdict(self)
        for name in ("batches", "seen"):
            if config[name] == getattr(Protocol, name):
                del config[name]
        return config

    @classmethod
    def parameters(cls) -> dict[str, HyperParameter]:
        """The protocol's settings, in the form that registries use."""
        hints = get_type_hints(cls)
        return {f.name: HyperParameter(f.name, hints[f.name], f.default) for f in fields(cls)}


@dataclass(frozen=True)
class Component:
    """A registered class by name, with every hyper-parameter resolved."""

    name: str
    hyper: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One model to be trained.

    Attributes:
        dataset: what tables call it.
        fingerprint: SHA-256 of the dataset's content.
        split_digest: identifies the split (name, seed, or content of the split file).
        backbone: the model under test.
        sampler: the negative sampler.
        peer: the model that the sampler wants trained beside it, or None.
        objective: the loss.
        protocol: how it is trained and evaluated.
        seed: of initial weights, batch order, dropout and negatives.
    """

    dataset: str
    fingerprint: str
    split_digest: str
    backbone: Component
    sampler: Component
    peer: Component | None
    objective: Component
    protocol: Protocol
    seed: int

    @property
    def models(self) -> list[Component]:
        """The models to be trained, the one under test first."""
        return [self.backbone] if self.peer is None else [self.backbone, self.peer]

    @property
    def parts(self) -> dict[str, Component | None]:
        """Its components by the role that they have in it."""
        return {
            "sampler": self.sampler,
            "backbone": self.backbone,
            "peer": self.peer,
            "objective": self.objective,
        }

    @property
    def label(self) -> str:
        """For people: dataset/backbone/sampler/objective/seed."""
        return "/".join(
            [
                self.dataset,
                self.backbone.name,
                self.sampler.name,
                self.objective.name,
                f"seed{self.seed}",
            ]
        )

    @cached_property
    def key(self) -> str:
        """Hex digits of SHA-256 over all that can change the cell's numbers.

        The dataset counts by content, not by name, so a copy of a file finds its results again.
        """
        config = self.config()
        del config["dataset"]
        config["schema"] = SCHEMA_VERSION
        text = json.dumps(config, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]

    @property
    def data_key(self) -> str:
        """Tells the data and the split that it is trained and tested on from others."""
        return f"{self.fingerprint} {self.split_digest}"

    @property
    def system(self) -> str:
        """The same for all seeds: the key that the cell has with seed 0."""
        return replace(self, seed=0).key

    def config(self) -> dict[str, Any]:
        """The cell as plain JSON values."""
        return asdict(self) | {"protocol": self.protocol.config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Cell:
        """The inverse of :meth:`config`."""
        parts = {
            name: Component(**config[name]) if config[name] is not None else None
            for name in ("backbone", "sampler", "peer", "objective")
        }
        return cls(**{**config, **parts, "protocol": Protocol(**config["protocol"])})


@dataclass(frozen=True)
class Preset:
    """Which datasets, how many seeds, which protocol, and settings that differ from defaults; and
    which backbones and samplers, all where none are named."""

    description: str
    datasets: tuple[str, ...]
    protocol: Protocol
    seeds: int
    settings: dict[str, str] = field(default_factory=dict)
    backbones: tuple[str, ...] = ()
    samplers: tuple[str, ...] = ()


REAL = ("beauty", "toys", "sports", "health", "lastfm", "kuairand")
TWINS = tuple(f"{name}-twin" for name in REAL)

_quick = Protocol(dim=32, window=20, batch_targets=256, lr=4e-3, N=20, epochs=18, patience=9)
_QUICK_SETTINGS = {
    "*.layers": "1",
    "*.dropout": "0.2",
    "mamba4rec.expand": "1",
    # Chosen by validation on the twins of Beauty and Sports, among a quarter and four times .004.
    "gru4rec.lr": "0.01",
    "mamba4rec.lr": "0.001",
    # A fifth of the candidates that the paper has, and about the shares of them that a method
    # goes by there: validation on Beauty chose the largest M that was tried of dns+, 20 of 100.
    "dns+.M": "5",
    "dns+3.M": "5",
    "mdcns-no-cd-dr-ms.M": "5",
    "mixgcf+.M": "2",
    "gnno-released.M": "5",
    "gnno-released.hard": "2",
    "srns.F": "20",
    "srns.S1": "4",
    "srns.warmup": "2",
    # gBCE goes by the share of the catalogue that is sampled, 0.8 % on Beauty.
    "gbce.N": "3",
}
"""For catalogues and trainings of a twentieth."""

PRESETS = {
    "smoke": Preset(
        "one synthetic twin, two epochs: seconds, for tests",
        ("beauty-twin",),
        replace(_quick, epochs=2),
        seeds=1,
    ),
    "demo": Preset(
        "four samplers on one synthetic twin: the first minute",
        ("beauty-twin",),
        _quick,
        seeds=1,
        settings=_QUICK_SETTINGS,
        backbones=("sasrec",),
        samplers=("uniform", "dns", "mdcns", "sampled-softmax"),
    ),
    "quick": Preset(
        "the six embedded synthetic twins: minutes on two cores, no network",
        TWINS,
        _quick,
        seeds=1,
        settings=_QUICK_SETTINGS,
    ),
    "paper": Preset(
        "the six real datasets under the paper's protocol: hours to days, needs --data-dir",
        REAL,
        Protocol(),
        seeds=3,
    ),
    "standard": Preset(
        "for logs of your own, and what real data are given without a preset: like paper, but one "
        "seed and less patience",
        (),
        Protocol(epochs=200, patience=20),
        seeds=1,
    ),
}

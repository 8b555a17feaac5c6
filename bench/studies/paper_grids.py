"""The experiments of the MDCNS paper (SIGIR 2026, arXiv 2605.19651) as named grids.

Cells are read off the published figures in ``published/``: a table's cells are those that it
prints a number for.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import samplers
from bench.datasets.splits import AUTHORS, has_authors_split
from bench.errors import UserError

if TYPE_CHECKING:  # a worker process starts sooner without it
    import pandas as pd

FOLDER = Path(__file__).resolve().parent / "published"
"""Published figures, and where they are from."""

SAMPLERS = {
    "RNS": "uniform",
    "DNS": "dns",
    "DNS+": "dns+",
    "MixGCF": "mixgcf",
    "MixGCF+": "mixgcf+",
    "AdaSIR": "adasir",
    "GNNO": "gnno",
    "SRNS": "srns",
    "MDCNSwts": "mdcns",
    "w/o CD": "mdcns-no-cd",
    "w/o CD-DR": "mdcns-no-cd-dr",
    "w/o CD-DR-MS": "mdcns-no-cd-dr-ms",
}
"""The paper's name of a method to ours; MDCNS itself is named after its peer (`Entry.sampler`)."""

PEERS = {
    "MDCNS": "mamba4rec",
    "MDCNSwts": "gru4rec",
    "w/o CD": "mamba4rec",
    "w/o CD-DR": "mamba4rec",
}
"""Method to its peer, for the methods that have one."""

SPLITS = {"LastFM": "user-prefixes"}
"""Dataset to the split that the paper's logs show, where its text has another."""


def splits_of(data_dir: Path | None) -> dict[str, str]:
    """Our name of a dataset to the split by which a table of the paper takes its users, where that
    is not the text's: the one of the logs, or the authors' own, where the data directory has it."""
    datasets = {entry.dataset for table in TABLES.values() for entry in table.entries()}
    own = {name: AUTHORS for name in datasets if has_authors_split(name.lower(), data_dir)}
    return {name.lower(): split for name, split in {**SPLITS, **own}.items()}


FINGERPRINTS = {
    "beauty": "a5f43a81a4ec1fb6058414bad6b2ef1b8a34d6c1306c757667652846649c3689",
    "toys": "8052cb3f2d2faaa58ed522580dac9d866e20aa0762c812569fd815da5087e24e",
    "sports": "3282661014aa0fc0fcaec95fb4454ccf82c5d1bbc9ad2092840a64cd7e47e142",
    "health": "80847939f69086a8d7882abbfd9ebe9d6868fd40ed50c3c5f359c1ff263c976b",
    "lastfm": "ccff2182076ce28da825acb2adb956b70fcafe9b62beef597b85e844b582cc10",
    "kuairand": "f1911438c6ba904e4b7284f8d40924c2b5a3a5ed0041a7a7a4527354674b3fee",
}
"""Of the paper's datasets, from their official sources: its figures are of no other data, whatever
it is called."""

UNTIMED = {
    "beauty": "0b550a090544d60c75bb5beb5fd59a53c5d3f181acd5e294b1944178093acf15",
    "sports": "7d70df6e26aea68e11b0a2e4fefad53de59718e5be23445f743dc82f2e81e0e8",
}
"""The same read where the file of their times, which only ``temporal`` splits need, was not."""

RELEASED = {
    "AdaSIR": "adasir-released",
    "GNNO": "gnno-released",
    "MDCNS": "mdcns-released",
    "MDCNSwts": "mdcns-released",
}
"""The paper's name of a method to ours to the letter of the released code, which its figures are
from, where that is not the method's own."""

TEXT = "mdcns-text"
"""MDCNS by the paper's text; `mdcns` has the form of the released code."""


System = tuple[str, str, str, str | None]
"""Dataset, backbone, sampler and peer, as we name them."""


@dataclass(frozen=True)
class Entry:
    """One system that the paper gives figures for; dataset, backbone, method as it writes them."""

    dataset: str
    backbone: str
    method: str

    @property
    def peer(self) -> str | None:
        """Our name of the model trained beside it."""
        peer = PEERS.get(self.method)
        return "sasrec" if peer == self.backbone.lower() else peer

    @property
    def sampler(self) -> str:
        """Our name of the method."""
        return f"mdcns-peer-{self.peer}" if self.method == "MDCNS" else SAMPLERS[self.method]

    @property
    def system(self) -> System:
        """What it is here."""
        return self.dataset.lower(), self.backbone.lower(), self.sampler, self.peer

    @property
    def released(self) -> System | None:
        """The system that the released code is to the letter, where that is another."""
        dataset, backbone, _, peer = self.system
        sampler = RELEASED.get(self.method)
        return None if sampler is None else (dataset, backbone, sampler, peer)


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        number: in the paper.
        title: what it compares.
        file: its figures, in ``FOLDER``.
        objective: the loss of all its cells.
        down: what its layout puts into rows; methods or metrics, whichever is not there, stand
            in columns.
        change: the per cents that it prints too: MDCNS over the best other method, or what a
            method loses against MDCNS.
        notes: known misprints.
        any_loss: whether a method stands in it under whichever loss validation prefers; else under
            the table's, if it was trained with that.
    """

    number: int
    title: str
    file: str
    objective: str
    down: tuple[str, ...]
    change: Literal["improvement", "drop"] | None = None
    notes: tuple[str, ...] = ()
    any_loss: bool = False

    @property
    def across(self) -> str:
        return "method" if "metric" in self.down else "metric"

    def published(self) -> pd.DataFrame:
        """The figures: dataset, backbone, method, metric (as the paper writes them), value."""
        import pandas as pd

        frame = pd.read_csv(FOLDER / self.file).rename(columns={"variant": "method"})
        if "kind" in frame:
            frame = frame[frame["kind"] == "value"]
        if "backbone" not in frame:
            frame = frame.assign(backbone="SASRec")
        return frame[["dataset", "backbone", "method", "metric", "value"]].reset_index(drop=True)

    def entries(self) -> list[Entry]:
        """The systems that it has figures for, in its order."""
        columns = self.published()[["dataset", "backbone", "method"]]
        return [Entry(*row) for row in dict.fromkeys(columns.itertuples(index=False, name=None))]

    def settings(self) -> list[tuple[str, str]]:
        """Hyper-parameters that differ from our defaults: the peers of the ablations."""
        return [
            (f"{sampler}.peer", peer)
            for sampler, peer in dict.fromkeys((e.sampler, e.peer) for e in self.entries())
            if peer and samplers.registry.hyper_parameters(sampler)["peer"].default != peer
        ]

    def grid(self, chosen: Mapping[str, Sequence[str] | None]) -> dict[str, Any]:
        """The parts of a request: the table's own, and what the user ``chosen`` in their place.

        The table keeps its own pairs of backbone and sampler; whatever the user brings that the
        table does not have is crossed with everything.

        Raises:
            UserError: no pair is left.
        """
        systems = [entry.system for entry in self.entries()]
        own = {
            name: list(dict.fromkeys(system[i] for system in systems))
            for i, name in enumerate(("datasets", "backbones", "samplers"))
        }
        parts = {name: list(chosen.get(name) or default) for name, default in own.items()}
        paired = {(backbone, sampler) for _, backbone, sampler, _ in systems}
        pairs = frozenset(
            pair
            for pair in itertools.product(parts["backbones"], parts["samplers"])
            if pair in paired or pair[0] not in own["backbones"] or pair[1] not in own["samplers"]
        )
        if not pairs:
            raise UserError(
                f"--table {self.number}: none of its pairs of backbone and sampler is left; it has "
                + ", ".join(f"{sampler} on {backbone}" for backbone, sampler in sorted(paired))
            )
        return {
            **parts,
            "objectives": chosen.get("objectives") or [self.objective],
            "pairs": pairs,
            "settings": [
                (name, value)
                for name, value in self.settings()
                if name.rpartition(".")[0] in parts["samplers"]
            ],
        }


TABLES = {
    table.number: table
    for table in (
        PaperTable(
            3,
            "overall comparison on SASRec, BCE loss",
            "table3_overall.csv",
            "bce",
            ("dataset", "metric"),
            "improvement",
            (
                "Toys, MDCNS, RC@10 is printed 1.200; 0.1200 is meant (Tables 4 and 6) and shown",
                "KuaiRand, RNS, RC@20 is printed .111",
            ),
            any_loss=True,
        ),
        PaperTable(
            4,
            "backbones, BCE loss",
            "table4_bce_backbones.csv",
            "bce",
            ("dataset", "backbone", "method"),
        ),
        PaperTable(
            5,
            "backbones, BPR loss",
            "table5_bpr_backbones.csv",
            "bpr",
            ("dataset", "backbone", "method"),
            None,
            (
                "Beauty, Mamba4Rec, DNS+ repeats three values of SASRec's (RC@10, NG@5, NG@10), "
                "probably by mistake",
            ),
        ),
        PaperTable(
            6,
            "ablation of MDCNS on SASRec, BCE loss",
            "table6_ablation.csv",
            "bce",
            ("dataset", "method"),
            "drop",
            ("the printed drops of RC@10 and NG@5 on Beauty are swapped; drops are recomputed",),
        ),
        PaperTable(
            7,
            "weak to strong: MDCNS on SASRec with a weaker peer, BCE loss",
            "table7_weak_to_strong.csv",
            "bce",
            ("dataset", "method", "peer"),
        ),
    )
}

LOSSES = tuple(dict.fromkeys(table.objective for table in TABLES.values()))
"""That the paper trains its methods with; which of them is a method's best, its tables do not say.
"""


@functools.cache
def printed(objective: str) -> frozenset[System]:
    """The systems, by our names, that some table has figures for under a loss."""
    entries = [e for t in TABLES.values() if t.objective == objective for e in t.entries()]
    systems = {system for entry in entries for system in (entry.system, entry.released)}
    return frozenset(system for system in systems if system is not None)

"""Training speed of SASRec in other libraries, on the targets that `bench.speed` trains.

Each library is run by the Python of an environment of its own, here by name:

    python3 -m venv /tmp/replay && /tmp/replay/bin/pip install 'replay-rec[torch]'
    /tmp/replay/bin/python tools/peers.py replay data/beauty.txt.gz
    python3 -m venv /tmp/rectools && /tmp/rectools/bin/pip install 'rectools[torch]'
    /tmp/rectools/bin/python tools/peers.py rectools data/beauty.txt.gz
    .venv/bin/python tools/peers.py here data/beauty.txt.gz

In place of a file, `long-histories` is the made log of `bench.speed --long-histories`.  Prints
targets a CPU second of one thread: d 64, two layers of two heads, window 50, dropout .5,
feed-forward of 256 as ours, 100 negatives and cross entropy over them, about 1024 targets a batch.
A user's last window alone is trained, as both do, and batches hold users of any length, as theirs
do.  RePlay's model is stepped by a loop of ours, on batches made before the clock starts; RecTools
is fitted as its users fit it, an epoch being the difference between two epochs and one.  `here` is
`bench.speed` on the same windows.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch reads it

import numpy as np
import torch

DIM, HEADS, LAYERS, WINDOW, FEED_FORWARD, DROPOUT, NEGATIVES = 64, 2, 2, 50, 256, 0.5, 100
TARGETS = 1024
ROOT = Path(__file__).resolve().parent.parent


def read(log: str) -> list[np.ndarray]:
    """The last window and its next items of each user, ids from 1, oldest first."""
    users = made() if log == "long-histories" else of_file(Path(log))
    windows = [items[-WINDOW - 1 :].astype(np.int64) for items in users]
    return [items for items in windows if len(items) > 1]


def of_file(path: Path) -> list[np.ndarray]:
    with gzip.open(path, "rt") as file:
        return [np.array(line.split()[1:], dtype=np.int64) for line in file]


def made() -> list[np.ndarray]:
    sys.path.insert(0, str(ROOT))
    from bench.costs.long_histories import made_log  # needs no more than a library's packages

    log = made_log()
    return np.split(log.items, log.offsets[1:-1])


def replay(users: list[np.ndarray], epochs: int) -> float:
    """CPU seconds of an epoch of RePlay's SasRec with CESampled, negatives shared by a batch."""
    from replay.data import FeatureHint, FeatureSource, FeatureType
    from replay.data.nn import TensorFeatureInfo, TensorFeatureSource, TensorSchema
    from replay.nn.agg import SumAggregator
    from replay.nn.embedding import SequenceEmbedding
    from replay.nn.loss import CESampled
    from replay.nn.mask import DefaultAttentionMask
    from replay.nn.sequential import PositionAwareAggregator, SasRecTransformerLayer
    from replay.nn.sequential.sasrec import SasRec, SasRecBody

    n_items = 1 + max(int(items.max()) for items in users)  # 0 is its padding
    info = TensorFeatureInfo(
        "item_id",
        is_seq=True,
        feature_type=FeatureType.CATEGORICAL,
        embedding_dim=DIM,
        padding_value=0,
        cardinality=n_items,
        feature_hint=FeatureHint.ITEM_ID,
        feature_sources=[TensorFeatureSource(FeatureSource.INTERACTIONS, "item_id")],
    )
    body = SasRecBody(
        embedder=SequenceEmbedding(schema=TensorSchema([info])),
        embedding_aggregator=PositionAwareAggregator(
            SumAggregator(embedding_dim=DIM), max_sequence_length=WINDOW, dropout=DROPOUT
        ),
        attn_mask_builder=DefaultAttentionMask("item_id", num_heads=HEADS),
        encoder=SasRecTransformerLayer(
            embedding_dim=DIM,
            num_heads=HEADS,
            num_blocks=LAYERS,
            dropout=DROPOUT,
            activation="relu",
            hidden_dim=FEED_FORWARD,
        ),
        output_normalization=torch.nn.LayerNorm(DIM),
    )
    model = SasRec(body=body, loss=CESampled(ignore_index=0)).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    batches = list(padded(users))
    passes = []
    for _ in range(epochs):
        started = time.process_time()
        for items in batches:
            mask = items[:, :-1] > 0
            loss = model(
                feature_tensors={"item_id": items[:, :-1]},
                padding_mask=mask,
                positive_labels=items[:, 1:, None],
                negative_labels=torch.randint(1, n_items, (NEGATIVES,)),
                target_padding_mask=mask[..., None],
            )["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        passes.append(time.process_time() - started)
    return min(passes)


def padded(users: list[np.ndarray]) -> list[torch.Tensor]:
    """Batches ``[B, WINDOW + 1]`` of about TARGETS targets, zeros on the left."""
    order = np.random.default_rng(0).permutation(len(users))
    size = round(TARGETS / np.mean([len(items) - 1 for items in users]))
    batches = []
    for start in range(0, len(order), size):
        rows = [users[i] for i in order[start : start + size]]
        batch = torch.zeros(len(rows), WINDOW + 1, dtype=torch.int64)
        for row, items in zip(batch, rows, strict=True):
            row[WINDOW + 1 - len(items) :] = torch.as_tensor(items)
        batches.append(batch)
    return batches


def rectools(users: list[np.ndarray], epochs: int) -> float:
    """CPU seconds of an epoch of RecTools' SASRecModel with its sampled softmax."""
    import pandas as pd
    from pytorch_lightning import Trainer
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    lengths = [len(items) for items in users]
    times = np.concatenate([np.arange(length) for length in lengths])
    frame = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(users)), lengths),
            Columns.Item: np.concatenate(users),
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(times, unit="s"),
        }
    )
    dataset = Dataset.construct(frame)

    def seconds(n_epochs: int) -> float:
        model = SASRecModel(
            n_blocks=LAYERS,
            n_heads=HEADS,
            n_factors=DIM,
            dropout_rate=DROPOUT,
            session_max_len=WINDOW,
            loss="sampled_softmax",
            n_negatives=NEGATIVES,
            batch_size=round(TARGETS / (np.mean(lengths) - 1)),
            transformer_layers_kwargs={"ff_factors_multiplier": FEED_FORWARD // DIM},
            get_trainer_func=lambda: Trainer(
                max_epochs=n_epochs,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            ),
        )
        started = time.process_time()
        model.fit(dataset)
        return time.process_time() - started

    return (seconds(1 + epochs) - seconds(1)) / epochs


def here(users: list[np.ndarray]) -> None:
    """`bench.speed` on these windows as a log of one's own, the split's training users of it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "windows.csv")
        rows = [f"{u},{i},{t}\n" for u, items in enumerate(users) for t, i in enumerate(items)]
        log.write_text("user,item,time\n" + "".join(rows), encoding="utf-8")
        words = ["--datasets", str(log), "--samplers", "sampled-softmax", "shared-softmax"]
        subprocess.run([sys.executable, "-m", "bench.speed", *words], cwd=ROOT, check=True)


PEERS = {"replay": replay, "rectools": rectools}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("peer", choices=[*PEERS, "here"])
    parser.add_argument(
        "log", help="a file, a user a line, items oldest first, .txt.gz; or long-histories"
    )
    parser.add_argument("--epochs", type=int, default=2, help="timed, of a library (default: 2)")
    parser.add_argument("--users", type=int, help="at most so many")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    users = read(options.log)[: options.users]
    if options.peer == "here":
        return here(users)
    targets = sum(len(items) - 1 for items in users)
    seconds = PEERS[options.peer](users, options.epochs)
    print(f"{options.peer}: {targets:,} targets, {targets / seconds:,.0f} a CPU second")


if __name__ == "__main__":
    main()

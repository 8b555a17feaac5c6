"""Settings under which two methods are one give the same numbers; hostile catalogues."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from support import (
    CPU,
    cell_of,
    dataset_of,
    exposures_of,
    ignore,
    random_sequences,
    sampler_for,
    targets_of,
    views_of,
)

import samplers
from bench.cell import Protocol
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.studies import planning
from bench.studies.planning import make_plan
from bench.studies.request import Request
from bench.training.loop import fit

DATASET = dataset_of(random_sequences(n_users=60, n_items=40, longest=14))
SPLIT = make_split(DATASET, "user", 0)
DATA = TrainingData(SPLIT.train, DATASET.n_items, exposures_of(DATASET))


def losses(sampler, **hyper):
    fitted = fit(cell_of(sampler, hyper=hyper), DATA, SPLIT.valid, CPU, ignore)
    return [row["loss"] for row in fitted.epochs]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("dns", {"N": 1}), ("uniform", {"K": 1})),
        (("dns+", {"N": 6, "M": 1}), ("dns", {"N": 6})),
        (("mixgcf+", {"N": 6, "M": 1, "mix": 0.0}), ("mixgcf", {"N": 6, "mix": 0.0})),
        (("mdcns", {"peer": None, "N": 6, "M": 3}), ("dns+", {"N": 6, "M": 3})),
        (("mdcns-no-cd-dr-ms", {"N": 6, "M": 4}), ("dns+", {"N": 6, "M": 4})),
    ],
)
def test_these_are_one_method_number_for_number(first, second):
    assert losses(first[0], **first[1]) == losses(second[0], **second[1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("mixgcf", {"N": 6, "mix": 0.0}), ("dns", {"N": 6})),
        (("mixgcf+", {"N": 6, "M": 3, "mix": 0.0}), ("dns+", {"N": 6, "M": 3})),
        (("dns+3", {"N": 6, "M": 1, "alpha": 0.25, "beta": 0.25, "gamma": 0.5}), ("dns", {"N": 6})),
    ],
)
def test_these_are_one_method_but_for_rounding(first, second):
    assert losses(first[0], **first[1]) == pytest.approx(losses(second[0], **second[1]), rel=1e-5)


@pytest.mark.parametrize("objective", ["bce", "gbce"])  # gbce counts the negatives
def test_side_by_side_is_two_trainings_that_do_not_meet(objective):
    """Without exchange, the model under test is the one that dns trains alone."""
    pair, alone = (
        fit(cell_of(name, objective=objective, hyper={"N": 6}), DATA, SPLIT.valid, CPU, ignore)
        for name in ("side-by-side", "dns")
    )
    for ours, theirs in zip(pair.models[0].parameters(), alone.models[0].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


# A catalogue of 50 items; users who have seen all but one of the others, users with one item
# before the target, and histories with repeats.
HOSTILE = [
    [*range(1, 50)],
    [7, 9],
    [9, 7],
    [5, 5, 5, 6, 5],
    [50, 1, 50, 2, 50, 3],
    *([1 + (u * 7 + i) % 50 for i in range(6)] for u in range(30)),
]
TRAIN_ALL = "".join(f"{u + 1} {'train' if u < 30 else 'val' if u < 33 else 'test'}\n"
                    for u in range(len(HOSTILE)))  # fmt: skip


@pytest.mark.parametrize("sampler", samplers.registry.names() + samplers.registry.variants())
def test_hostile_histories_work_or_are_refused_before_training(sampler, tmp_path, monkeypatch):
    dataset = dataset_of(HOSTILE, n_items=50)
    object.__setattr__(dataset, "exposures", exposures_of(dataset))
    monkeypatch.setattr(planning.datasets, "resolve_dataset", lambda *_: dataset)
    (tmp_path / "split.txt").write_text(TRAIN_ALL)

    def plan(**small):
        settings = [(f"*.{name}", str(value)) for name, value in small.items()]
        known = set(samplers.registry.hyper_parameters(sampler))
        return make_plan(
            Request(["x"], ["sasrec"], [sampler], ["bce"], 1,
                    Protocol(dim=8, window=10, batch_targets=64, N=1, epochs=2, patience=2),
                    [s for s in settings if s[0][2:] in known], split_file=tmp_path / "split.txt")
        )  # fmt: skip

    if samplers.registry.hyper_parameters(sampler).keys() >= {"N", "hard"}:
        with pytest.raises(UserError, match=f"fewer than the 2 candidates of '{sampler}'"):
            plan(N=2, M=1, hard=1)  # it cannot do with one candidate
        return
    made = plan(N=1, M=1, C=1, F=20, S1=5)  # the longest history leaves one legal item
    (cell,) = made.cells
    split = made.splits[cell.data_key]
    fitted = fit(cell, TrainingData.of(dataset, split), split.valid, CPU, ignore)
    assert len(fitted.epochs) == 2


@pytest.mark.parametrize(
    ("sampler", "hyper"), [("dns+", {"N": 6, "M": 6}), ("popularity", {"power": 0.0})]
)
def test_these_are_uniform_in_distribution(sampler, hyper):
    sequences = random_sequences(n_users=3, n_items=20, shortest=5, longest=5)
    draws = 8000
    batch = targets_of(sequences, 20, [1] * draws, [2] * draws)
    (negatives,) = sampler_for(batch, sampler, **hyper).sample(views_of(batch, 20))
    legal = [i for i in range(1, 21) if i not in sequences[1][:3]]
    counts = np.bincount(negatives.ids.flatten(), minlength=21)
    assert counts[legal].sum() == draws
    assert chisquare(counts[legal]).pvalue > 0.001

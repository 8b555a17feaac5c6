"""The training loop: paired cells, early stopping, and what each seed governs."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect

import pytest
import torch
from support import CPU, cell_of, dataset_of, exposures_of, ignore, random_sequences

import backbones
import samplers
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.training import loop
from bench.training.loop import Trainer, fit

DATASET = dataset_of(random_sequences(n_users=60, n_items=40, longest=14))
SPLIT = make_split(DATASET, "user", 0)
EXPOSURES = exposures_of(DATASET)
DATA = TrainingData(SPLIT.train, DATASET.n_items, EXPOSURES)


def trainer_of(**options):
    return Trainer(cell_of(**options), DATA, CPU)


def fit_of(report=ignore, **options):
    return fit(cell_of(**options), DATA, SPLIT.valid, CPU, report)


def test_the_test_split_cannot_reach_training():
    assert "test" not in inspect.signature(fit).parameters
    assert "test" not in inspect.signature(Trainer).parameters
    assert not any("test" in field.name for field in dataclasses.fields(TrainingData))


@pytest.mark.parametrize("sampler", samplers.registry.names())
@pytest.mark.parametrize("backbone", ["sasrec", "linrec"])  # one-pass and prefix training
def test_the_same_cell_gives_the_same_numbers(sampler, backbone):
    runs = [fit_of(sampler=sampler, backbone=backbone) for _ in range(2)]
    assert [r["loss"] for r in runs[0].epochs] == [r["loss"] for r in runs[1].epochs]
    for first, second in zip(runs[0].models, runs[1].models, strict=True):
        for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_another_seed_gives_others():
    losses = {fit_of(seed=seed).epochs[0]["loss"] for seed in (0, 0, 1)}
    assert len(losses) == 2


def test_samplers_are_paired_by_construction():
    """One backbone and seed: the same weights, batches, dropout and pools for every sampler."""
    cells = [trainer_of(sampler=name) for name in ("uniform", "dns", "mdcns")]
    for other in cells[1:]:
        for ours, theirs in zip(
            cells[0].models[0].parameters(), other.models[0].parameters(), strict=True
        ):
            assert torch.equal(ours, theirs)
    epochs = [trainer.batches.epoch(1, torch.Generator()) for trainer in cells]
    for batches in zip(*epochs, strict=True):
        states, pools = [], []
        for trainer, batch in zip(cells, batches, strict=True):
            assert torch.equal(batch.items, batches[0].items)
            torch.manual_seed(trainer._dropout_seeds[0] + 1)
            states.append(trainer.models[0](batch.items, batch.lengths))
            batch.targets.generator.manual_seed(3)
            pools.append(batch.targets.pool(5))
        assert all(torch.equal(states[0], s) for s in states)
        assert all(torch.equal(pools[0], p) for p in pools)


def test_a_peer_has_weights_and_dropout_of_its_own():
    trainer = trainer_of(sampler="mdcns", hyper={"peer": "sasrec"})
    first, second = (next(m.parameters()) for m in trainer.models)
    assert not torch.equal(first, second)
    assert len(set(trainer._dropout_seeds)) == 2


def test_one_pass_and_prefix_training_meet_the_same_pairs():
    pairs = []
    for backbone in ("sasrec", "linrec"):
        trainer = trainer_of(backbone=backbone)
        assert trainer.models[0].causal == (backbone == "sasrec")
        found = set()
        for batch in trainer.batches.epoch(1, torch.Generator()):
            t = batch.targets
            found |= set(zip(t.sequences.tolist(), t.positions.tolist(), strict=True))
        pairs.append(found)
    assert pairs[0] == pairs[1]
    assert len(pairs[0]) == sum(n - 1 for n in SPLIT.train.offsets[1:] - SPLIT.train.offsets[:-1])


def test_stops_after_patience_and_keeps_the_best_epoch(monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.25, 0.9])
    weights = []

    class Ranked:
        def __init__(self, models, *rest, **options):
            weights.append(snapshot(models[0]))
            self.accuracy = {"ndcg@10": 0.0, "ndcg@20": next(scores)}

    monkeypatch.setattr(loop, "rank_predictions", Ranked)
    fitted = fit_of(epochs=50, patience=3)
    assert fitted.best_epoch == 2  # the later tie is not better
    assert len(fitted.epochs) == 5
    assert snapshot(fitted.models[0]) == weights[1] != weights[4]


def snapshot(model):
    return [p.detach().double().sum().item() for p in model.parameters()]


def test_divergence_is_an_error_not_a_result():
    with pytest.raises(FloatingPointError, match="epoch 1"):
        fit_of(lr=1e15)


def test_the_padding_row_stays_zero():
    for name in ("uniform", "mixgcf", "mdcns"):
        assert fit_of(sampler=name).models[0].items.weight[0].abs().sum() == 0


CYCLE = dataset_of([[1 + (start + i) % 12 for i in range(6)] for start in range(12)] * 5)


def learns_the_cycle(backbone, sampler, objective="bce", **hyper):
    """Each item has one successor: whatever is trained must come to rank it first."""
    split = make_split(CYCLE, "user", 0)
    data = TrainingData(split.train, CYCLE.n_items, exposures_of(CYCLE))
    cell = cell_of(sampler, backbone, objective, hyper=hyper, epochs=60, patience=60,
                   dim=16, lr=0.02)  # fmt: skip
    best = 0.0

    def look(row):
        nonlocal best
        best = max(best, row["valid_ndcg@5"])
        if best == 1.0:
            raise StopIteration  # seen what was to be seen

    with contextlib.suppress(StopIteration):
        fit(cell, data, split.valid, CPU, look)
    return best


@pytest.mark.parametrize("sampler", samplers.registry.names())
@pytest.mark.parametrize("backbone", backbones.registry.names())
def test_every_pair_learns_a_tiny_dataset_to_perfect_recall(backbone, sampler):
    assert learns_the_cycle(backbone, sampler) == 1.0


@pytest.mark.parametrize("backbone", backbones.registry.names())
def test_bpr_learns_it_too(backbone):
    assert learns_the_cycle(backbone, "dns+", "bpr") == 1.0


@pytest.mark.gpu
@pytest.mark.parametrize("name", samplers.registry.names())
def test_every_sampler_trains_on_a_gpu(name):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    fitted = fit(cell_of(name, epochs=2), DATA, SPLIT.valid, torch.device("cuda"), ignore)
    assert len(fitted.epochs) == 2


def test_dropout_on_a_second_gpu_is_seeded_there(monkeypatch):
    generators = torch.Generator(), torch.Generator()
    untouched = generators[0].initial_seed()
    monkeypatch.setattr(torch.cuda, "default_generators", generators)
    loop._seed_default(12345, torch.device("cuda:1"))
    assert [one.initial_seed() for one in generators] == [untouched, 12345]
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    loop._seed_default(6789, torch.device("cuda"))
    assert [one.initial_seed() for one in generators] == [6789, 12345]

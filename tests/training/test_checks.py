"""What a sampler gives and what a backbone claims: each mistake is one error that names both."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import CPU, cell_of, dataset_of, exposures_of, ignore, random_sequences

import bench
import samplers
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.training import loop
from bench.training.checkpoint import Checkpoint
from bench.training.checks import check_negatives
from bench.training.loop import Trainer, fit
from samplers import Negatives

DATASET = dataset_of(random_sequences(n_users=60, n_items=40, longest=14))
SPLIT = make_split(DATASET, "user", 0)
DATA = TrainingData(SPLIT.train, DATASET.n_items, exposures_of(DATASET))
N_ITEMS = DATASET.n_items


def first_step(sample, sampler="uniform", objective="bce"):
    """A cell's first step with this in place of the sampler's ``sample``."""
    trainer = Trainer(cell_of(sampler, objective=objective), DATA, CPU)
    trainer.sampler.sample = sample
    trainer.step(next(trainer.batches.epoch(1, trainer.generator)))


def of_each(make):
    return lambda views: [make(view) for view in views]


def legal(view, K=1):
    return view.pool(K)


def first_met(view):
    """``[T, 1]`` the item that each target's sequence begins with."""
    train = SPLIT.train
    return torch.as_tensor(train.items[train.offsets[view.sequences]]).long()[:, None]


def of_two(view, **fields):
    return Negatives(ids=legal(view, 2), **fields)


def ones(view, *shape):
    return torch.ones(len(view.states), *shape)


WRONG = {
    "padding": (
        lambda v: Negatives(ids=torch.zeros_like(legal(v))),
        f"ids hold 0, which is padding; they must be from 1 to {N_ITEMS}",
    ),
    "an item too many": (
        lambda v: Negatives(ids=torch.full_like(legal(v), N_ITEMS + 1)),
        f"ids hold {N_ITEMS + 1}, which is no item",
    ),
    "the positive": (
        lambda v: Negatives(ids=v.positives[:, None]),
        "a negative of target 0 is its positive",
    ),
    "a seen item": (
        lambda v: Negatives(ids=first_met(v)),
        "a negative of target 0 is an item that its user has met before",
    ),
    "a seen item among those that the vectors are made of": (
        lambda v: Negatives(vectors=v.embed(legal(v)), made_of=first_met(v)),
        "a negative of target 0 is an item that its user has met before",
    ),
    "the positive where it counts": (
        lambda v: Negatives(
            ids=torch.cat([legal(v), v.positives[:, None]], 1), legal=ones(v, 2).bool()
        ),
        "a negative of target 0 is its positive",
    ),
    "ids of floats": (lambda v: Negatives(ids=legal(v).float()), "ids are torch.float32"),
    "ids of int32": (lambda v: Negatives(ids=legal(v).int()), "ids are torch.int32"),
    "one dimension too few": (lambda v: Negatives(ids=legal(v)[:, 0]), "one a target is [T, 1]"),
    "one target too few": (lambda v: Negatives(ids=legal(v)[1:]), "they must have [T, K] = ["),
    "a list": (lambda v: Negatives(ids=legal(v).tolist()), "ids is a list; it must be a tensor"),
    "none": (lambda v: Negatives(ids=legal(v)[:, :0]), "there are no negatives"),
    "negative weights": (
        lambda v: of_two(v, weights=torch.tensor([2.0, -1.0])),
        "weights hold -1; none may be negative",
    ),
    "zero weights": (lambda v: of_two(v, weights=torch.zeros(2)), "weights are all zero"),
    "weights that are not finite": (
        lambda v: of_two(v, weights=torch.tensor([1.0, torch.nan])),
        "weights are not all finite",
    ),
    "too many weights": (lambda v: of_two(v, weights=torch.ones(3)), "weights have shape [3]"),
    "one weight for all": (
        lambda v: of_two(v, weights=torch.tensor(1.0)),
        "it must be [K] = [2] or [T, K] = [",
    ),
    "nothing legal": (
        lambda v: of_two(v, legal=torch.zeros(len(v.states), 2, dtype=torch.bool)),
        "legal is False everywhere",
    ),
    "legal as numbers": (lambda v: of_two(v, legal=ones(v, 2)), "legal is torch.float32"),
    "legal for each item": (
        lambda v: of_two(v, legal=torch.ones(2, dtype=torch.bool)),
        "legal is torch.bool [2]; it must be torch.bool [T, K] = [",
    ),
    "detached vectors": (
        lambda v: Negatives(vectors=v.embed(legal(v)).detach()),
        "vectors are detached",
    ),
    "vectors that are not finite": (
        lambda v: Negatives(vectors=torch.nan * v.embed(legal(v))),
        "vectors are not all finite",
    ),
    "vectors without K": (
        lambda v: Negatives(vectors=v.embed(legal(v))[:, 0]),
        "vectors have shape [",
    ),
    "made of too much": (
        lambda v: Negatives(vectors=v.embed(legal(v)), made_of=legal(v, 2)),
        "made_of has shape [",
    ),
    "detached scores": (
        lambda v: of_two(v, known_scores=v.score(legal(v, 2)).detach()),
        "known_scores are detached",
    ),
    "scores of other shape": (
        lambda v: of_two(v, known_scores=v.score(legal(v, 3))),
        "known_scores have shape [",
    ),
    "detached scores of positives": (
        lambda v: of_two(v, known_positive_scores=v.score_positives().detach()),
        "known_positive_scores are detached",
    ),
    "log q of other shape": (lambda v: of_two(v, log_q=ones(v)), "log_q has shape ["),
    "log of zero": (
        lambda v: of_two(v, log_q=torch.tensor([0.0, -torch.inf])),
        "log_q is not finite everywhere",
    ),
    "log q of too many positives": (
        lambda v: of_two(v, log_q_positive=ones(v, 2)),
        "log_q_positive has shape [",
    ),
    "an auxiliary loss a target": (
        lambda v: of_two(v, auxiliary=v.states.sum(1)),
        "it must be a scalar",
    ),
    "an auxiliary loss that is not finite": (
        lambda v: of_two(v, auxiliary=torch.inf * v.states.sum()),
        "it must be finite",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_sampler_is_refused_at_the_first_step(kind):
    make, message = WRONG[kind]
    with pytest.raises(UserError, match=f"^sampler 'uniform': .*{re.escape(message)}"):
        first_step(of_each(make))


def test_each_view_is_to_get_its_negatives():
    for drawn, message in (
        (lambda views: [Negatives(ids=views[0].pool(1))], "gave 1 Negatives for 2 views"),
        (lambda views: Negatives(ids=views[0].pool(1)), "must return a list of Negatives"),
        (lambda views: [v.pool(1) for v in views], "must return a list of Negatives"),
        (lambda views: None, "must return a list of Negatives"),
    ):
        with pytest.raises(UserError, match=f"^sampler 'mdcns': .*{message}"):
            first_step(drawn, "mdcns")


@pytest.mark.parametrize(
    "make",
    [
        lambda v: Negatives(ids=torch.arange(1, 5), legal=v.legal(torch.arange(1, 5))),
        lambda v: of_two(v, weights=ones(v, 1), log_q=ones(v, 1)),
        lambda v: of_two(v, weights=torch.tensor([0.0, 1.0]), legal=ones(v, 2) > 0),
        lambda v: Negatives(vectors=v.embed(legal(v))),
        lambda v: of_two(v, auxiliary=v.states.sum()),
    ],
)
def test_what_is_right_is_not_refused(make):
    first_step(of_each(make))


def test_without_need_there_may_be_no_negatives_and_one_sequence_has_none_in_the_batch():
    first_step(of_each(lambda v: Negatives(ids=legal(v)[:, :0])), objective="ce")
    trainer = Trainer(cell_of("in-batch"), DATA, CPU)
    batch = trainer.batches.longest(1)
    assert not trainer.sampler.sample([trainer._view(trainer.models[0], 0, batch)])[0].legal.any()
    trainer.step(batch)
    view = trainer._view(trainer.models[0], 0, batch)
    ids = view.positives.unique()
    none = torch.zeros((len(view.positives), len(ids)), dtype=torch.bool)
    check_negatives("mine", [view], [Negatives(ids=ids, legal=none)], True)


def test_an_epoch_without_a_negative_that_counts_is_an_error_and_not_a_trained_model():
    cell = cell_of("in-batch")
    small = replace(cell, protocol=replace(cell.protocol, batch_targets=1))
    with pytest.raises(UserError, match=r"'in-batch': no negative counted in epoch 1.*raise batch"):
        Trainer(small, DATA, CPU).epoch(1)
    mixed = cell_of("mixed")
    small = replace(mixed, protocol=replace(mixed.protocol, batch_targets=1))
    assert Trainer(small, DATA, CPU).epoch(1)["loss"] > 0
    assert Trainer(cell, DATA, CPU).epoch(1)["loss"] > 0


def test_two_sequences_may_have_met_all_of_each_other_s_positives():
    sampling = bench.Sampling("in-batch", [[1, 2, 3], [4, 5, 3]], 10)
    states, table = torch.randn(2, 4, requires_grad=True), torch.randn(11, 4, requires_grad=True)
    views = sampling.views([(states, table)], [0, 1], [2, 2])
    assert not sampling.negatives(views)[0].legal.any()


@pytest.mark.parametrize("name", samplers.registry.names() + samplers.registry.variants())
@pytest.mark.parametrize("backbone", ["sasrec", "linrec"])
def test_checks_pass_every_sampler_in_every_batch_and_draw_nothing(name, backbone):
    trainer = Trainer(cell_of(name, backbone), DATA, CPU)
    for epoch in (1, 2):
        for batch in trainer.batches.epoch(epoch, trainer.generator):
            trainer.step(batch)
            views = [trainer._view(model, 0, batch) for model in trainer.models]
            drawn = trainer.sampler.sample(views)
            before = torch.get_rng_state(), trainer.generator.get_state()
            check_negatives(name, views, drawn, trainer.objective.needs_negatives)
            after = torch.get_rng_state(), trainer.generator.get_state()
            assert all(map(torch.equal, before, after))


def test_a_sampler_that_goes_wrong_later_is_found_in_the_next_epoch():
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    trainer.epoch(1)
    trainer.sampler.sample = of_each(lambda v: Negatives(ids=torch.zeros_like(legal(v))))
    with pytest.raises(UserError, match="ids hold 0, which is padding"):
        trainer.epoch(2)


@pytest.mark.parametrize("sampler", ["uniform", "full-softmax", "mdcns"])
def test_checking_changes_no_number(sampler, monkeypatch):
    losses = []
    for _ in range(2):
        fitted = fit(cell_of(sampler), DATA, SPLIT.valid, CPU, ignore)
        losses.append([row["loss"] for row in fitted.epochs])
        monkeypatch.setattr(loop, "check_backbone", lambda *_: None)
        monkeypatch.setattr(loop, "check_negatives", lambda *_: None)
    assert losses[0] == losses[1]


WRONG_LOSSES = {
    "returned a float": lambda scored: 1.0,
    "returned a NoneType": lambda scored: None,
    r"returned shape \[\d+\]; it must be a scalar": lambda scored: scored.positive,
    "a loss without gradient": lambda scored: scored.positive.detach().mean(),
}


@pytest.mark.parametrize("sampler", ["uniform", "mdcns"])
@pytest.mark.parametrize("message", WRONG_LOSSES)
def test_a_loss_is_a_scalar_that_something_is_learnt_from(message, sampler):
    """Of mdcns too, which would learn from its distillation alone."""
    trainer = Trainer(cell_of(sampler), DATA, CPU)
    trainer.objective.loss = WRONG_LOSSES[message]
    with pytest.raises(UserError, match=rf"^objective 'bce': loss\(\) returned .*{message[9:]}"):
        trainer.epoch(1)


@pytest.mark.parametrize(
    "values",
    [
        {"x": torch.tensor(1.0)}, {"x": True}, {"x": "high"}, {"x": float("inf")}, {"x": 1e17},
        {"a,b": 1.0}, {"a b": 1.0}, {"": 1.0}, {1: 1.0}, None, [1.0],
    ],
)  # fmt: skip
def test_what_a_sampler_says_of_itself_can_be_stored(values):
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    trainer.sampler.diagnostics = lambda: values
    with pytest.raises(UserError, match=r"^sampler 'uniform': diagnostics\(\) "):
        trainer.epoch(1)
    trainer.sampler.diagnostics = lambda: {"share": np.float32(0.5), "count": 3, "none": math.nan}
    row = trainer.epoch(2)
    assert (row["sampler_share"], row["sampler_count"]) == (0.5, 3)
    assert {type(row[f"sampler_{name}"]) for name in ("share", "none")} == {float}
    assert type(row["sampler_count"]) is int


def test_a_checkpoint_with_what_a_sampler_says_can_be_read(tmp_path):
    """Whatever kind of number it is; a class of numpy's would make training start anew."""
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    its = {"a": np.float32(0.5), "b": np.int64(3), "c": np.float64(1), "d": math.nan}
    trainer.sampler.diagnostics = lambda: its
    rows = [trainer.epoch(1)]
    path = tmp_path / "cell.pt"
    Checkpoint(path, "code").save({"trainer": trainer.state_dict(), "epochs": rows})
    (row,) = Checkpoint(path, "code").load()["epochs"]
    assert [row[f"sampler_{name}"] for name in "abc"] == [0.5, 3, 1]


@pytest.mark.parametrize("state", [{"x": np.ones(3)}, {"x": 1.0}, {1: torch.ones(1)}, None, []])
def test_what_a_sampler_remembers_can_be_read_from_a_checkpoint(state):
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    trainer.sampler.state_dict = lambda: state
    with pytest.raises(UserError, match=r"^sampler 'uniform': state_dict\(\) "):
        trainer.state_dict()


@pytest.mark.parametrize("sampler", ["uniform", "mdcns"])
def test_what_is_no_number_before_any_training_is_told_from_a_training_that_diverged(sampler):
    trainer = Trainer(cell_of(sampler), DATA, CPU)
    real = trainer.objective.loss
    trainer.objective.loss = lambda scored: math.nan * real(scored)
    with pytest.raises(UserError, match=r"^objective 'bce': loss\(\) is nan before training"):
        trainer.epoch(1)
    trainer = Trainer(cell_of(sampler), DATA, CPU)
    with torch.no_grad():
        trainer.models[0].items.weight[1:] = math.inf
    with pytest.raises(UserError, match=r"^backbone 'sasrec': its states are not finite before"):
        trainer.epoch(1)
    cell = cell_of(sampler)
    small = replace(cell, protocol=replace(cell.protocol, batch_targets=1))
    trainer = Trainer(small, DATA, CPU)  # whose first batch has few of the items
    used = next(iter(trainer.batches.epoch(1, trainer.generator))).items.unique()
    unused = next(item for item in range(1, N_ITEMS + 1) if item not in used)
    with torch.no_grad():
        trainer.models[0].items.weight[unused] = math.nan
    with pytest.raises(UserError, match=r"^backbone 'sasrec': its item vectors are not finite"):
        trainer.epoch(1)


def test_a_loss_beyond_what_is_stored_has_diverged():
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    real = trainer.objective.loss
    trainer.objective.loss = lambda scored: 1e17 * real(scored)
    with pytest.raises(FloatingPointError, match=r"^loss of epoch 1 is .*: training diverged"):
        trainer.epoch(1)

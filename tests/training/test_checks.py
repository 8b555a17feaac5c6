"""What a sampler gives and what a backbone claims: each mistake is one error that names both."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from support import CPU, cell_of, dataset_of, exposures_of, ignore, random_sequences

import backbones
import bench
import samplers
from backbones.base import Backbone
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.training import loop
from bench.training.checks import check_causal, check_negatives
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


class Claims(Backbone):
    """Says that it is causal; a state is the item's vector and ``look`` of others'."""

    causal = True

    def __init__(self, look):
        super().__init__(N_ITEMS, 8, 8)
        self.look, self.noise = look, torch.nn.Dropout(0.5)
        self.frozen = torch.nn.Dropout(0.5).eval()

    def forward(self, items, lengths):
        x = self.items(items)
        return self.noise(x + 0.01 * self.look(x)) + 0 * torch.rand(x.shape)


LOOK_AHEAD = {
    "the next": lambda x: torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1),
    "the last": lambda x: x[:, -1:].expand_as(x),
    "the mean": lambda x: x.mean(1, keepdim=True).expand_as(x),
    "a normalisation over time": lambda x: x / x.norm(dim=1, keepdim=True),
}


@pytest.mark.parametrize("kind", LOOK_AHEAD)
def test_a_backbone_that_looks_ahead_is_not_causal(kind):
    batches = Trainer(cell_of(), DATA, CPU).batches
    with pytest.raises(UserError, match=r"^backbone 'seer' says that it is causal"):
        check_causal("seer", Claims(LOOK_AHEAD[kind]), batches)
    honest = Claims(LOOK_AHEAD[kind])
    honest.causal = False
    check_causal("seer", honest, batches)


def test_looking_back_is_causal_and_the_model_and_the_stream_are_left_alone():
    model = Claims(lambda x: x.cumsum(1)).train()
    model.frozen.eval()
    batches = Trainer(cell_of(), DATA, CPU).batches
    modes, before = [part.training for part in model.modules()], torch.get_rng_state()
    check_causal("historian", model, batches)
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)


def test_a_cell_with_a_backbone_that_looks_ahead_fails_before_it_trains(monkeypatch):
    monkeypatch.setattr(backbones.registry.get("linrec"), "causal", True)
    monkeypatch.setattr(Trainer, "step", lambda *_: pytest.fail("it trains"))
    for cell in (cell_of(backbone="linrec"), cell_of("mdcns", hyper={"peer": "linrec"})):
        with pytest.raises(UserError, match="backbone 'linrec' says that it is causal"):
            fit(cell, DATA, SPLIT.valid, CPU, ignore)


class Seer(Claims):
    """Looks ahead as it is told."""

    def __init__(self, how):
        super().__init__(torch.zeros_like)
        self.how = how

    def forward(self, items, lengths):
        x = self.items(items)
        if self.how == "while it is trained" and self.training:
            x = x + x.mean(1, keepdim=True)
        if self.how == "at one place" and x.shape[1] > 3:
            x = torch.cat([x[:, :2], x[:, 2:3] + x[:, 3:4], x[:, 3:]], dim=1)
        return self.noise(x)


@pytest.mark.parametrize("how", ["while it is trained", "at one place"])
def test_looking_ahead_is_found_where_it_is_seldom(how):
    batches = Trainer(cell_of(), DATA, CPU).batches
    check_causal("seer", Seer("never"), batches)
    with pytest.raises(UserError, match="says that it is causal"):
        check_causal("seer", Seer(how), batches)


def test_states_have_a_shape_and_a_gradient():
    trainer = Trainer(cell_of(), DATA, CPU)
    model = Claims(torch.zeros_like)
    model.forward = lambda items, lengths: model.items(items)[:, 0]
    with pytest.raises(UserError, match=r"'flat': its states have shape .* \[B, L, dim\]"):
        check_causal("flat", model, trainer.batches)
    real = trainer.models[0].forward
    trainer.models[0].forward = lambda items, lengths: real(items, lengths).detach()
    with pytest.raises(UserError, match="states are detached"):
        trainer.step(next(trainer.batches.epoch(1, trainer.generator)))


def test_a_sampler_that_goes_wrong_later_is_found_in_the_next_epoch():
    trainer = Trainer(cell_of("uniform"), DATA, CPU)
    trainer.epoch(1)
    trainer.sampler.sample = of_each(lambda v: Negatives(ids=torch.zeros_like(legal(v))))
    with pytest.raises(UserError, match="ids hold 0, which is padding"):
        trainer.epoch(2)


def test_windows_of_one_item_show_nothing():
    data = TrainingData(SPLIT.train, N_ITEMS)
    cell = cell_of()
    batches = Trainer(replace(cell, protocol=replace(cell.protocol, window=1)), data, CPU).batches
    check_causal("seer", Claims(LOOK_AHEAD["the next"]), batches)


@pytest.mark.parametrize("sampler", ["uniform", "full-softmax", "mdcns"])
def test_checking_changes_no_number(sampler, monkeypatch):
    losses = []
    for _ in range(2):
        fitted = fit(cell_of(sampler), DATA, SPLIT.valid, CPU, ignore)
        losses.append([row["loss"] for row in fitted.epochs])
        monkeypatch.setattr(loop, "check_causal", lambda *_: None)
        monkeypatch.setattr(loop, "check_negatives", lambda *_: None)
    assert losses[0] == losses[1]

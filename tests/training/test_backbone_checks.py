"""What a backbone gives and claims: each mistake is one error that names it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support import CPU, cell_of, dataset_of, exposures_of, ignore, random_sequences

import backbones
from backbones.base import Backbone
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.training.checks import check_backbone
from bench.training.loop import Trainer, fit

DATASET = dataset_of(random_sequences(n_users=60, n_items=40, longest=14))
SPLIT = make_split(DATASET, "user", 0)
DATA = TrainingData(SPLIT.train, DATASET.n_items, exposures_of(DATASET))
N_ITEMS = DATASET.n_items


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
        check_backbone("seer", Claims(LOOK_AHEAD[kind]), batches)
    honest = Claims(LOOK_AHEAD[kind])
    honest.causal = False
    check_backbone("seer", honest, batches)


def test_looking_back_is_causal_and_the_model_and_the_stream_are_left_alone():
    model = Claims(lambda x: x.cumsum(1)).train()
    model.frozen.eval()
    batches = Trainer(cell_of(), DATA, CPU).batches
    modes, before = [part.training for part in model.modules()], torch.get_rng_state()
    check_backbone("historian", model, batches)
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)


def test_a_backbone_that_does_not_say_whether_it_is_causal_is_named(monkeypatch):
    monkeypatch.delattr(backbones.registry.get("gru4rec"), "causal")
    with pytest.raises(UserError, match="backbone 'gru4rec' lacks causal; set it in the class"):
        Trainer(cell_of(backbone="gru4rec"), DATA, CPU)


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
    check_backbone("seer", Seer("never"), batches)
    with pytest.raises(UserError, match="says that it is causal"):
        check_backbone("seer", Seer(how), batches)


def test_states_have_a_shape_and_a_gradient():
    trainer = Trainer(cell_of(), DATA, CPU)
    model = Claims(torch.zeros_like)
    model.forward = lambda items, lengths: model.items(items)[:, 0]
    with pytest.raises(UserError, match=r"'flat': its states have shape .* \[B, L, dim\]"):
        check_backbone("flat", model, trainer.batches)
    real = trainer.models[0].forward
    trainer.models[0].forward = lambda items, lengths: real(items, lengths).detach()
    with pytest.raises(UserError, match="states are detached"):
        trainer.step(next(trainer.batches.epoch(1, trainer.generator)))


def test_windows_of_one_item_show_nothing():
    data = TrainingData(SPLIT.train, N_ITEMS)
    cell = cell_of()
    batches = Trainer(replace(cell, protocol=replace(cell.protocol, window=1)), data, CPU).batches
    check_backbone("seer", Claims(LOOK_AHEAD["the next"]), batches)


WRONG_STATES = {
    "returned a tuple; it must be the states alone": lambda x: (x, None),
    r"states are torch.float64; they must be torch.float32": lambda x: x.double(),
    "differ from call to call": lambda x: x + torch.rand(x.shape),
}


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("message", WRONG_STATES)
def test_states_are_one_tensor_the_same_again(message, causal):
    batches = Trainer(cell_of(), DATA, CPU).batches
    model = Claims(torch.zeros_like)
    model.causal = causal
    wrong = WRONG_STATES[message]
    model.forward = lambda items, lengths: wrong(model.items(items))
    model.last = lambda items, lengths: wrong(model.items(items)[:, -1])
    with pytest.raises(UserError, match=rf"^backbone 'wrong': .*{message}"):
        check_backbone("wrong", model, batches)


def test_a_backbone_says_whether_it_is_causal(monkeypatch):
    batches = Trainer(cell_of(), DATA, CPU).batches
    monkeypatch.setattr(Claims, "causal", None)
    with pytest.raises(UserError, match=r"does not say .* causal = True or False"):
        check_backbone("silent", Claims(torch.zeros_like), batches)

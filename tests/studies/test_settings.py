"""Where a setting applies."""

from __future__ import annotations

import pytest

import samplers
from bench.cell import PRESETS
from bench.errors import UserError
from bench.studies.planning import make_plan
from bench.studies.request import parse_settings, request_of


def rates_of(*settings, backbones=("sasrec", "gru4rec"), samplers=("uniform", "mdcns")):
    """The learning rate of each backbone's cells, of which there must be one."""
    request = request_of(
        preset="smoke",
        datasets=["beauty-twin"],
        backbones=backbones,
        samplers=samplers,
        settings=parse_settings(settings),
    )
    found = {(cell.backbone.name, cell.protocol.lr) for cell in make_plan(request).cells}
    assert len(found) == len(dict(found))
    return dict(found)


def test_a_backbone_has_the_learning_rate_that_it_is_given_and_others_the_protocol_s():
    usual = PRESETS["smoke"].protocol.lr
    assert rates_of("gru4rec.lr=0.5") == {"sasrec": usual, "gru4rec": 0.5}
    assert rates_of("lr=0.25", "gru4rec.lr=0.5") == {"sasrec": 0.25, "gru4rec": 0.5}


def test_the_last_of_two_learning_rates_counts():
    assert rates_of("gru4rec.lr=0.5", "lr=0.25") == {"sasrec": 0.25, "gru4rec": 0.25}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gru4rec.lr=0", r"lr=0.0: must be positive"),
        ("lr=1e17", r"lr=1e\+17: must be at most 2\*\*53"),
        ("gru4rec.lr=fast", r"gru4rec.lr=fast: expected float"),
        ("mamba4rec.lr=0.1", r"'mamba4rec' is not part of this grid"),  # it is a peer's name, too
        ("mdcns-peer-mamba4rec.lr=0.1", r"no hyper-parameter 'lr'"),
        ("gru4rec.epochs=3", r"no hyper-parameter 'epochs'"),
        ("*.lr=0.1", r"nothing in this grid has an option 'lr'"),
    ],
)
def test_a_learning_rate_of_nobody_is_an_error(setting, message):
    with pytest.raises(UserError, match=message):
        rates_of(setting, samplers=["mdcns-peer-mamba4rec"])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"M": 5}, r"'dns\+': its search_space has 5 for M; give a list of plain values"),
        ({"M": []}, r"has \[\] for M"),
        ({"M": [[1]]}, r"has \[\[1\]\] for M"),
        ({"MM": [1, 2]}, r"names 'MM', which is not a hyper-parameter"),
        (["M"], r"is a list; give options to lists of values"),
    ],
)
def test_a_search_space_is_checked_before_anything_is_trained(monkeypatch, space, message):
    monkeypatch.setattr(samplers.registry.get("dns+"), "search_space", space)
    with pytest.raises(UserError, match=message):
        rates_of(samplers=["uniform", "dns+"])

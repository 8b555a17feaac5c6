"""The loops of docs/own-loop.md run as printed, with every registered sampler, and learn."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import dataset_of, exposures_of, sampler_for, targets_of

import bench
import samplers
from bench.errors import UserError
from samplers.base import Exposed

ROOT = Path(__file__).resolve().parent.parent.parent
N_ITEMS, N_USERS, LENGTH = 60, 120, 8
SMALL = {"N": 10, "C": 10, "hard": 2, "M": 5, "F": 12, "S1": 4, "S": 20, "P": 4}
LINES = 25


def blocks():
    text = (ROOT / "docs/own-loop.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def printed(*numbers):
    """What these blocks of the page define."""
    found = {}
    for number in numbers:
        exec(blocks()[number], found)
    return found


def chains():
    """Sequences in which item i + 1 follows item i: what a model can learn."""
    starts = np.random.default_rng(0).integers(0, N_ITEMS, N_USERS)
    return [1 + (torch.arange(LENGTH) + int(start)) % N_ITEMS for start in starts]


def small(name):
    known = samplers.registry.resolve(name, {})
    return {k: v for k, v in SMALL.items() if known.get(k) and v < known[k]}


def mean_rank(model):
    """Of the item that follows, among all; (N_ITEMS + 1) / 2 by chance."""
    items = torch.stack(chains())
    with torch.no_grad():
        scores = model(items[:, :-1]) @ model.items.weight.t()
    positive = scores.gather(2, items[:, 1:, None])
    return float(1 + (scores[..., 1:] > positive).sum(-1).float().mean())


def options(name):
    chosen = {"settings": small(name)}
    if samplers.registry.get(name).needs_exposures:
        shown = exposures_of(dataset_of([chain.numpy() for chain in chains()]))
        chosen["exposed"] = Exposed(*(torch.as_tensor(a).long() for a in vars(shown).values()))
    return chosen


@pytest.mark.parametrize("name", samplers.registry.names())
def test_every_sampler_learns_in_the_printed_loop(name):
    torch.manual_seed(0)
    loop = printed(0)
    before = mean_rank(loop["GRU"](N_ITEMS))
    model = loop["train"](name, chains(), N_ITEMS, epochs=12, **options(name))
    assert before > 20
    assert mean_rank(model) < before / 2


def test_the_printed_loop_is_short():
    (body,) = re.findall(r"def train\(.*", blocks()[0], flags=re.DOTALL)
    assert len(body.strip().splitlines()) < LINES


@pytest.mark.parametrize("name", ["mdcns", "uniform", "in-batch"])
def test_the_loss_written_out_learns_too(name):
    torch.manual_seed(0)
    loop = printed(0, 1)
    sampling = bench.Sampling(name, chains(), N_ITEMS, settings=small(name))
    sampling.loss = lambda views, _: loop["own_loss"](sampling, views)
    loop["bench"] = type("bench", (), {"Sampling": lambda *_, **__: sampling})
    assert mean_rank(loop["train"](name, chains(), N_ITEMS, epochs=12)) < 15


@pytest.mark.slow
def test_the_lightning_loop_learns():
    pytest.importorskip("lightning")
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop = printed(0, 2)
        train = loop["train_with_lightning"]
        model = train("mdcns", chains(), N_ITEMS, epochs=12, **options("mdcns"))
    assert mean_rank(model) < 15


def step_of(sampling, rows, positions, d=6, seed=0):
    """Views with random states and tables."""
    rng = torch.Generator().manual_seed(seed)
    pairs = [
        (
            torch.randn(len(rows), d, generator=rng).requires_grad_(),
            torch.randn(N_ITEMS + 1, d, generator=rng).requires_grad_(),
        )
        for _ in range(sampling.models)
    ]
    return sampling.views(pairs, torch.as_tensor(rows), torch.as_tensor(positions))


def test_negatives_are_those_of_the_sampler_in_the_harness():
    """The same sampler on views that the harness would make, from the same stream."""
    rows, positions = [0, 3, 3, 7], [1, 2, 7, 4]
    sampling = bench.Sampling("mdcns", chains(), N_ITEMS, settings=small("mdcns"))
    views = step_of(sampling, rows, positions)
    drawn = sampling.negatives(views)
    theirs = targets_of([c.numpy() for c in chains()], N_ITEMS, rows, positions)
    sampler = sampler_for(theirs, "mdcns", chains(), **small("mdcns"))
    theirs.generator.manual_seed(sampling._seed + 1)
    again = sampler.sample([samplers.View(v.states, v.table, theirs) for v in views])
    assert views[0].positives.tolist() == theirs.positives.tolist()
    for one, other in zip(drawn, again, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.auxiliary, other.auxiliary)


def test_nothing_that_a_user_has_had_by_then_is_drawn():
    sampling = bench.Sampling("uniform", chains(), N_ITEMS, settings={"K": 40})
    rows, positions = [0, 0, 5], [1, 6, 7]
    (drawn,) = sampling.negatives(step_of(sampling, rows, positions))
    for row, position, ids in zip(rows, positions, drawn.ids, strict=True):
        assert not set(chains()[row][: position + 1].tolist()) & set(ids.tolist())
    later = set(chains()[0][2:].tolist())
    assert later & set(drawn.ids[0].tolist())  # what comes later is fair game


def test_a_checkpoint_goes_on_with_the_same_draws():
    def made():
        return bench.Sampling("adasir", chains(), N_ITEMS, settings=small("adasir"))

    def step(sampling):
        views = step_of(sampling, [0, 3, 7], [1, 2, 4], seed=sampling.steps)
        drawn = sampling.negatives(views)
        sampling.after_step(views)
        return drawn[0].ids.tolist()

    whole, first, second = made(), made(), made()
    wanted = [step(whole) for _ in range(4)]
    assert [step(first) for _ in range(2)] == wanted[:2]
    second.load_state_dict(first.state_dict())
    assert [step(second) for _ in range(2)] == wanted[2:]


def with_exposures(**changed):
    """A sampling of exposures of which something is not as it should be."""
    given = options("exposure")
    exposed = given["exposed"]
    parts = {name: change(getattr(exposed, name)) for name, change in changed.items()}
    given["exposed"] = replace(exposed, **parts)
    return bench.Sampling("exposure", chains(), N_ITEMS, **given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bench.Sampling("unifrom", chains(), N_ITEMS), "uniform"),
        (lambda: bench.Sampling("dns", chains(), N_ITEMS, settings={"M": 2}), "no hyper-parameter"),
        (lambda: bench.Sampling("dns", chains(), 3), "from 1 to n_items=3"),
        (lambda: bench.Sampling("dns", chains(), N_ITEMS), "lower its N"),
        (lambda: bench.Sampling("uniform", [*chains(), []], N_ITEMS), "number 120 is empty"),
        (lambda: bench.Sampling("uniform", [], N_ITEMS), "sequences: there are none"),
        (lambda: bench.Sampling("exposure", chains(), N_ITEMS), "needs exposed="),
        (lambda: with_exposures(offsets=lambda o: o[:-1]), "a stretch for each of the 120 seq"),
        (lambda: with_exposures(offsets=lambda o: o + 1), "are to lead from 0"),
        (lambda: with_exposures(offsets=lambda o: o[[0, 2, 1, *range(3, len(o))]]), "not fall"),
        (lambda: with_exposures(positions=lambda p: p[1:]), "each item needs its position"),
        (lambda: with_exposures(items=lambda i: i * 0), "expected item ids from 1"),
        (lambda: with_exposures(positions=lambda p: p.flip(0)), "oldest showing of each .* first"),
        (lambda: with_exposures(positions=lambda p: p + LENGTH + 1), "positions count the items"),
    ],
)
def test_what_cannot_be_is_one_clear_error(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_step_that_cannot_be_is_one_clear_error():
    sampling = bench.Sampling("mdcns", chains(), N_ITEMS, settings=small("mdcns"))
    with pytest.raises(UserError, match="prediction 1: row 3, position 0"):
        step_of(sampling, [0, 3], [1, 0])
    with pytest.raises(UserError, match="prediction 0: row 999, position 1"):
        step_of(sampling, [999, 3], [1, 1])
    with pytest.raises(UserError, match="works on 2 models, and got 1"):
        sampling.views([(torch.zeros(1, 4), torch.zeros(N_ITEMS + 1, 4))], [0], [1])
    pair = (torch.zeros(1, 4), torch.zeros(N_ITEMS, 4))
    with pytest.raises(UserError, match=r"\[61, 4\], row 0 for padding"):
        sampling.views([pair, pair], [0], [1])

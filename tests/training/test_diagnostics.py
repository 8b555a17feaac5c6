"""Diagnostics against a count by hand, and that looking changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support import CPU, cell_of, dataset_of, ignore, random_sequences, targets_of, views_of

from bench import objectives
from bench.datasets.splits import make_split
from bench.datasets.training_data import TrainingData
from bench.training import diagnostics
from bench.training.diagnostics import Diagnostics
from bench.training.loop import Trainer, fit
from samplers import Negatives, Scored

N_ITEMS = 30
SEQUENCES = random_sequences(n_users=6, n_items=N_ITEMS, shortest=6, longest=9)
ROWS, POSITIONS = [0, 1, 2, 3], [1, 2, 3, 2]
DATASET = dataset_of(SEQUENCES, n_items=N_ITEMS)
DATA = make_split(dataset_of(random_sequences(n_users=60)), "user", 0)


def collect(negatives_of, truth=None, n_views=1):
    """The row of an epoch of one batch with these negatives, and the batch's views."""
    batch = targets_of(SEQUENCES, N_ITEMS, ROWS, POSITIONS)
    views = views_of(batch, N_ITEMS, n_views=n_views)
    watch = Diagnostics(DATASET_SEQUENCES, N_ITEMS, 10, CPU, truth)
    negatives = negatives_of(views[0])
    scored = [Scored(view, negatives) for view in views]
    loss = objectives.registry.build("bce", {}).loss(scored[0])
    watch.before_backward(scored[0])
    loss.backward()
    watch.record(scored)
    watch.next_batch()
    return watch.row(), views


class Sequences:
    items, offsets = DATASET.items, DATASET.offsets


DATASET_SEQUENCES = Sequences()


def later(row, position):
    return SEQUENCES[row][position + 1 :].tolist()


def test_false_negatives_are_what_the_user_takes_later():
    ids = torch.tensor(
        [[later(r, p)[0], later(r, p)[-1], unmet(r)] for r, p in zip(ROWS, POSITIONS, strict=True)]
    )
    row, _ = collect(lambda view: Negatives(ids=ids))
    assert row["false_negatives"] == pytest.approx(2 / 3)
    one = torch.tensor([later(0, 1)[0]])  # shared: later for row 0, and for whom else?
    row, _ = collect(lambda view: Negatives(ids=one))
    share = [int(one) in later(r, p) for r, p in zip(ROWS, POSITIONS, strict=True)]
    assert row["false_negatives"] == pytest.approx(np.mean(share))


def unmet(row):
    return next(i for i in range(1, N_ITEMS + 1) if i not in SEQUENCES[row])


def test_entropy_and_coverage_count_one_draw_a_target():
    row, _ = collect(lambda view: Negatives(ids=torch.tensor([[1], [1], [2], [3]])))
    H = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    assert row["entropy"] == pytest.approx(H / math.log(4))
    assert row["coverage"] == pytest.approx(3 / N_ITEMS)
    # Of several the first, first, second, second: 1, 5, 5, 8; of those that count: 1, 5, 7, 9.
    ids = torch.tensor([[1, 2, 9], [5, 6, 7], [2, 5, 7], [5, 8, 9]])
    row, _ = collect(lambda view: Negatives(ids=ids[:, :2]))
    assert row["coverage"] == pytest.approx(3 / N_ITEMS)
    assert row["entropy"] == pytest.approx(H / math.log(4))
    row, _ = collect(lambda view: Negatives(ids=torch.tensor([1, 1, 1, 1, 2, 3, 4, 5])))  # shared
    assert row["coverage"] == pytest.approx(3 / N_ITEMS)  # 1, 1, 3, 5
    assert row["entropy"] == pytest.approx(H / math.log(4))
    counts = torch.tensor([1.0, 0.0, 2.0])
    row, _ = collect(lambda view: Negatives(ids=ids, weights=counts))
    assert row["coverage"] == pytest.approx(4 / N_ITEMS)


def test_targets_at_all_places_of_their_windows_are_looked_at():
    """Windows of four targets in a batch of 1,024; only what the first of each draws is later."""
    rows, positions = list(range(4)) * 256, [1, 2, 3, 4] * 256
    batch = targets_of(SEQUENCES, N_ITEMS, rows, positions)
    (view,) = views_of(batch, N_ITEMS)
    draws = [later(r, p)[0] if p == 1 else unmet(r) for r, p in zip(rows, positions, strict=True)]
    watch = Diagnostics(DATASET_SEQUENCES, N_ITEMS, 10, CPU, None)
    watch.record([Scored(view, Negatives(ids=torch.tensor(draws)[:, None]))])
    watch.next_batch()
    assert 0.15 < watch.row()["false_negatives"] < 0.35


def test_negatives_count_by_their_weights():
    ids = torch.tensor([[later(r, p)[0], unmet(r)] for r, p in zip(ROWS, POSITIONS, strict=True)])
    row, _ = collect(lambda view: Negatives(ids=ids, weights=torch.tensor([1.0, 3.0])))
    assert row["false_negatives"] == pytest.approx(0.25)
    legal = torch.tensor([[True, False]] * 4)
    row, _ = collect(lambda view: Negatives(ids=ids, legal=legal))
    assert row["false_negatives"] == pytest.approx(1.0)


def test_hardness_is_the_share_of_the_pool_below():
    def hardest(view):
        pool = view.pool(10)
        return Negatives(ids=pool.gather(1, view.score(pool).argmax(1, keepdim=True)))

    row, _ = collect(hardest)
    assert row["hardness"] == pytest.approx(0.95)  # above nine, level with itself
    assert "agreement" not in row
    row, views = collect(lambda view: Negatives(ids=torch.tensor([[5], [6], [7], [8]])))
    pool, share = views[0].pool(10), []
    for t, item in enumerate((5, 6, 7, 8)):
        s = [float((views[0].states[t] @ views[0].table[i]).detach()) for i in pool[t].tolist()]
        mine = float((views[0].states[t] @ views[0].table[item]).detach())
        share.append(sum((x < mine - 1e-6) + 0.5 * (abs(x - mine) <= 1e-6) for x in s) / 10)
    assert row["hardness"] == pytest.approx(np.mean(share))


def test_agreement_is_the_share_of_equal_favourites():
    row, views = collect(lambda view: Negatives(ids=view.pool(1)), n_views=2)
    pool = views[0].pool(10)
    best = [view.score(pool).argmax(1) for view in views]
    assert row["agreement"] == pytest.approx((best[0] == best[1]).float().mean().item())


@pytest.mark.parametrize("kind", ["items", "shared", "vectors"])
def test_negative_gradient_is_that_of_the_loss_less_the_positive_part(kind):
    def given(view):
        if kind == "shared":
            return Negatives(ids=torch.tensor([4, 11]))
        ids = torch.tensor([[4, 11]] * 4)
        return Negatives(ids=ids) if kind == "items" else Negatives(vectors=view.embed(ids))

    row, (view,) = collect(given)
    total = view.states.grad * 4  # of each target's own loss
    positive = -torch.sigmoid(-view.score_positives())[:, None] * view.table[view.positives]
    expected = (total - positive).norm(dim=1).mean()
    assert row["negative_gradient"] == pytest.approx(float(expected.detach()), rel=1e-4)


def test_on_synthetic_data_the_probability_of_a_false_negative_is_exact():
    def truth(users, items, offsets):
        p = np.zeros((len(users), N_ITEMS + 1))
        p[:, 5], p[:, 6] = 0.25, 0.01 * users + 0.001 * np.diff(offsets)
        return p

    ids = torch.tensor([[5, 6]] * 4)
    row, _ = collect(lambda view: Negatives(ids=ids), truth)
    p6 = np.mean([0.01 * r + 0.001 * p for r, p in zip(ROWS, POSITIONS, strict=True)])
    assert row["true_false_negatives"] == pytest.approx((0.25 + p6) / 2, rel=1e-5)


@pytest.mark.parametrize("sampler", ["uniform", "mixgcf", "srns", "mdcns"])
def test_looking_changes_nothing(sampler, monkeypatch):
    losses = []
    for looks in (1, 10**9):
        monkeypatch.setattr(diagnostics, "LOOKS", looks)
        data = TrainingData(DATA.train, 60)
        fitted = fit(cell_of(sampler), data, DATA.valid, CPU, ignore)
        losses.append([row["loss"] for row in fitted.epochs])
    assert losses[0] == losses[1]


def test_an_epoch_has_the_figures_that_apply():
    trainer = Trainer(cell_of("mdcns"), TrainingData(DATA.train, 60), CPU)
    row = trainer.epoch(1)
    assert {"false_negatives", "entropy", "coverage", "hardness", "agreement",
            "negative_gradient"} <= set(row)  # fmt: skip
    phases = [row[f"{p}_s"] for p in ("backbone", "sampling", "scoring", "backward", "optimiser")]
    assert min(phases) > 0
    none = Trainer(cell_of("full-softmax"), TrainingData(DATA.train, 60), CPU).epoch(1)
    assert not {"false_negatives", "hardness", "entropy"} & set(none)


def test_hard_samplers_draw_harder_items_than_uniform():
    hardness = {}
    for name in ("uniform", "dns+", "dns", "mixgcf", "side-by-side"):
        trainer = Trainer(cell_of(name), TrainingData(DATA.train, 60), CPU)
        hardness[name] = [trainer.epoch(e)["hardness"] for e in (1, 2)][-1]
    assert 0.4 < hardness["uniform"] < 0.6 < hardness["dns+"] < hardness["dns"]
    # The hardest of the very pool of 5, scored by the very model: above four, level with itself.
    for name in ("dns", "mixgcf", "side-by-side"):
        assert hardness[name] == pytest.approx(0.9, abs=1e-3)


def test_on_a_gpu_phases_are_scaled_up_from_the_batches_that_are_looked_at(monkeypatch):
    """Batches that are not looked at are not timed there, and have no diagnostics."""
    watch = Diagnostics(DATA.train, 60, 5, CPU, None)
    clock = iter(range(100))
    monkeypatch.setattr(watch, "_now", lambda: float(next(clock)))
    watch.start_epoch(4 * diagnostics.LOOKS)
    monkeypatch.setattr(watch, "_device", torch.device("cuda"))
    for _ in range(2 * diagnostics.SELDOM):  # of which two are looked at
        for phase in ("backbone", "diagnostics"):
            with watch(phase):
                pass
        watch.next_batch()
    row = watch.row()
    assert (row["backbone_s"], row["diagnostics_s"]) == (2 * diagnostics.SELDOM, 2.0)

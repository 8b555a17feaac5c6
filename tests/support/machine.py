"""A machine that is made up, for studies with a budget: its clock, speed and curves."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.studies import budget as accounts
from bench.studies import halving
from bench.studies.budget import Account
from bench.studies.halving import Halving
from bench.studies.pace import makespan
from bench.studies.planning import make_plan
from bench.studies.request import request_of
from bench.studies.run_cell import OUT_OF_TIME
from bench.studies.running import Failure, Trained
from bench.studies.store import Store
from support.results import result_of
from support.tuning import SETTINGS

SAMPLERS = ["uniform", "popularity", "dns", "dns+", "mixgcf", "mixed", "in-batch", "full-softmax"]


class Machine:
    """A clock, and a runner that trains at a speed of its own, as a `Runner` does.

    Attributes:
        now: seconds.
        slower: than measured, by this factor.
        trained: labels of cells, in the order in which they were.
    """

    workers = 2

    def __init__(self, plan, *, slower=1.0, patience=None):
        self.plan, self.now, self.slower, self.patience = plan, 0.0, slower, patience
        self.diverge = set()
        self.trained, self.said, self.tested, self.epochs = [], [], [], {}
        self.meter = SimpleNamespace(
            epoch_seconds=self.epoch_seconds, test_seconds=lambda cell: 1.0, seconds=list
        )
        self.engine = SimpleNamespace(capacity=self.workers)

    def epoch_seconds(self, cell):
        return 1.0 + SAMPLERS.index(cell.sampler.name) / 4

    def valid(self, cell, epochs):
        """The later in the list the better, and all the better the later the epoch."""
        return (1 + SAMPLERS.index(cell.sampler.name)) * epochs / (epochs + 50) / 10

    def say(self, text):
        self.said.append(text)

    def todo(self, cells, store, noun="cells"):
        return [cell for cell in cells if store.status(cell, "code") == "missing"]

    def train(self, cells, store, *, test=True, labels=None, stretch=None):
        became, jobs = Trained(), []
        for cell in cells:
            limit = min(cell.protocol.epochs, self.patience or cell.protocol.epochs)
            course = accounts.course(cell)
            if cell.sampler.name in self.diverge:
                became.failed.append(Failure(cell, cell.label, "FloatingPointError"))
                continue
            seconds = self.slower * self.epoch_seconds(cell) * (limit - self.epochs.get(course, 0))
            if (
                stretch.until is not None
                and self.now + makespan([*jobs, seconds], 2) > stretch.until
            ):
                became.failed.append(Failure(cell, cell.label, OUT_OF_TIME))
                continue
            jobs.append(seconds)
            self.epochs[course] = limit
            result = result_of(cell)
            result.timings.update(epochs=limit, train_s=limit * seconds, valid_s=0.0)
            result.timings["train_s"] = limit * self.slower * self.epoch_seconds(cell)
            valid = {"ndcg@20": self.valid(cell, limit)}
            store.save(replace(result, metrics={**result.metrics, "valid": valid}))
            (self.tested if test else self.trained).append(cell)
            became.done.append(cell)
        late = any(each.late for each in became.failed) and stretch.until is not None
        self.now = stretch.until if late else self.now + makespan(jobs, 2)
        return became


@pytest.fixture
def machine(tmp_path, monkeypatch):
    def made(seconds, *, samplers=SAMPLERS, seeds=5, account=None, **how):
        request = request_of(
            preset="quick", datasets="beauty-twin", backbones="gru4rec", samplers=samplers,
            seeds=seeds, settings=[*(tuple(s.split("=")) for s in SETTINGS), ("epochs", 100)],
        )  # fmt: skip
        plan = make_plan(request)
        fake = Machine(plan, **how)
        monkeypatch.setattr(
            halving, "time", SimpleNamespace(monotonic=lambda: fake.now, time=lambda: fake.now)
        )
        monkeypatch.setattr(halving, "seconds_of_references", lambda *_: 2.0)
        clock = SimpleNamespace()

        class Clock:
            spent = property(lambda self: fake.now + 0.001)
            left = property(lambda self: seconds - fake.now)

        clock = Clock()
        account = account or Account(seconds, synthetic=True)
        store = Store(tmp_path / "study")
        store.check_writable()
        return fake, Halving(fake, store, account, clock)

    return made


def ran(its):
    its.choose()
    its.rounds()
    return its.test()

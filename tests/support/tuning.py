"""Tuning small systems, for real or with pretended trials, and what is kept of it."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import grid
from bench.metrics import METRICS
from bench.studies import search
from bench.studies.planning import make_plan
from bench.studies.request import request_of
from bench.studies.store import Store
from support.results import result_of

SETTINGS = ["dim=8", "window=8", "N=10"]
SAMPLERS = ["popularity", "dns+", "mdcns"]


def log_file(folder):
    """Forty users of ninety items: a trial takes a moment."""
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"u{u}\ti{(u * 7 + n * 3) % 90}\t{n}" for u in range(40) for n in range(6)]
    path = folder / "shop.inter"
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    errors: str


def run(folder, log, *arguments, chosen=SAMPLERS, settings=SETTINGS):
    """The command, in this process."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = grid.main([
            "--preset", "smoke", "--datasets", str(log), "--backbones", "gru4rec",
            "--samplers", *chosen, "--set", *settings, "--seeds", "2", "--workers", "1",
            "--results", f"{folder}/results", "--reports", f"{folder}/reports",
            *map(str, arguments),
        ])  # fmt: skip
    return Ran(status, out.getvalue(), errors.getvalue())


def root(folder):
    return Path(folder, "results/smoke-tuned")


def account(folder):
    """``tuning.json`` as text: no time or place is in it."""
    return (root(folder) / "tuning.json").read_text()


def systems(folder):
    return json.loads(account(folder))["systems"]


def written(folder, part):
    return {p: p.stat().st_mtime_ns for p in (root(folder) / part / "cells").glob("[!.]*/*")}


def plan_of(log, *chosen, settings=(), seeds=1):
    given = [tuple(text.split("=")) for text in [*SETTINGS, *settings]]
    return make_plan(
        request_of(
            preset="smoke",
            datasets=log,
            backbones="gru4rec",
            samplers=chosen,
            seeds=seeds,
            settings=given,
        )
    )


@dataclass
class Pretend:
    """Stores results of trials without training them.

    Attributes:
        store: where.
        valid: values to validation NDCG@20; an ``ArithmeticError`` is a failed trial.
        asked: every proposal, round by round.
    """

    store: Store
    valid: object
    asked: list = field(default_factory=list)

    def __call__(self, proposals):
        self.asked.append(list(proposals))
        failed = set()
        for proposal in proposals:
            try:
                score = self.valid(proposal.values)
            except ArithmeticError:
                failed.add(proposal.cell.key)
                continue
            metrics = {"valid": {"ndcg@20": score}, "test": dict.fromkeys(METRICS, 1 - score)}
            self.store.save(replace(result_of(proposal.cell), metrics=metrics))
        return failed


def pretend(folder, log, valid, budget, *chosen, settings=(), seeds=1):
    """Tune without training: the trials' systems, the final cells, and the proposals."""
    plan = plan_of(log, *chosen, settings=settings, seeds=seeds)
    train = Pretend(Store(folder / "trials"), valid)
    tuned, cells = search.tune(plan, budget, train.store, train)
    return tuned, cells, train.asked

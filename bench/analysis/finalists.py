"""What a study with a budget has found: its finalists on validation, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.analysis.contributions import PREDICTIONS, gains_by_user
from bench.analysis.over_users import Pair, compare
from bench.metrics import SELECT_ON
from bench.studies import budget
from bench.studies.budget import Account
from bench.studies.store import Store
from bench.studies.units import shortly


@dataclass(frozen=True)
class Finalists:
    """The finalists of a study, after their last round.

    Attributes:
        account: of the study.
        means: by name `SELECT_ON` on validation, mean over the seeds, the best first.
        pairs: the best against each of the others, over the validation users.
    """

    account: Account
    means: dict[str, float]
    pairs: list[Pair]

    @property
    def best(self) -> str:
        return next(iter(self.means))

    def sentences(self) -> list[str]:
        """What was found, in words."""
        last = self.account.last
        assert last is not None
        seeds = f"{last.seeds} seed{'s' if last.seeds > 1 else ''}"
        found = [
            f"Found within {shortly(self.account.seconds)}, of {len(self.account.candidates)} "
            f"candidates: {self.best}, validation {SELECT_ON.upper()} {self.means[self.best]:.4f} "
            f"({seeds}, at most {last.epochs} epochs)."
        ]
        for pair in self.pairs:
            share = f"{pair.relative:+.1f} %, Holm p = {pair.holm_t:.2g}"
            told = "above" if pair.significant else "not told from"
            found.append(
                f"Over {pair.users} validation users {pair.first} is {told} {pair.second} "
                f"({self.means[pair.second]:.4f}; {share}, paired t test)."
            )
        if unfinished := self.account.unfinished:
            found.append(f"Left out, as they did not finish a round: {', '.join(unfinished)}.")
        halvings = [step for step in self.account.rounds if not step.final]
        if any(set(step.dropped) - set(unfinished) for step in halvings):
            found.append(
                "Who was dropped was behind at that epoch; one that learns slowly is not told "
                "from a worse one by that."
            )
        return found


def finalists(store: Store) -> Finalists | None:
    """Those of a study; None where it was given no budget, or no round has ended.

    Raises:
        UserError: its account or its rounds cannot be read.
    """
    account = budget.read(store.root)
    if account is None or account.last is None:
        return None
    last, rounds = account.last, Store(store.root / budget.ROUNDS)
    means = {name: mean for name, mean in last.means().items() if name in last.kept}
    keys = {
        name: [account.candidate(name).at(last.epochs, seed).key for seed in range(last.seeds)]
        for name in means
    }
    by_name = {name: gains_by_user(rounds, each) for name, each in keys.items()}
    gains = pd.DataFrame({name: each[SELECT_ON] for name, each in by_name.items()})
    by_seed = pd.DataFrame({name: last.valid[name] for name in means})
    predictions = next(iter(by_name.values()))[PREDICTIONS]
    pairs = compare(gains, by_seed, predictions) if len(means) > 1 else []
    return Finalists(account, means, [pair for pair in pairs if pair.family == "best"])

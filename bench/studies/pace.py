"""How long a round of training takes: by measured steps at first, then by the rounds before it.

What a round takes is predicted with its trainings handed out the longest first, each to the worker
that is free first.  An epoch's seconds and what a training costs beyond its epochs (a process, the
data, a checkpoint, a worker that waits for the others) are learnt anew of every round, so that a
machine that is busy with other things is counted as it is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

CROWDED = 1.25
"""An epoch beside others to one alone, until a round has shown it."""

LEAST = 0.02
"""Seconds that a training takes beyond its epochs, at least."""


@dataclass(frozen=True)
class Run:
    """A training that goes on.

    Attributes:
        name: of what is trained; an epoch of namesakes takes the same.
        kind: of its models, sampler and objective, by which an epoch was measured.
        done: epochs so far.
        stops: the epoch at which patience ends it, as far as that is known.
    """

    name: str
    kind: tuple[str, ...] = ()
    done: int = 0
    stops: int | None = None

    def epochs(self, limit: int) -> int:
        """How many more it trains up to a limit."""
        end = limit if self.stops is None else min(limit, self.stops)
        return max(0, end - self.done)


class Pace:
    """Predicts rounds.

    Attributes:
        workers: trainings at a time.
    """

    def __init__(
        self,
        epoch_s: Mapping[tuple[str, ...], float],
        beyond_s: float,
        start_s: float,
        workers: int,
    ) -> None:
        """
        Args:
            epoch_s: by kind, of an epoch alone on the machine.
            beyond_s: of a training beyond its epochs.
            start_s: until the workers of the first round are there.
            workers: trainings at a time.
        """
        crowded = CROWDED if workers > 1 else 1.0
        self._by_kind = {kind: crowded * seconds for kind, seconds in epoch_s.items()}
        self._by_name = dict[str, float]()
        self._beyond_s, self._start_s, self.workers = max(LEAST, beyond_s), start_s, workers

    def seconds(self, run: Run, limit: int) -> float:
        """Of one training, up to a limit of epochs."""
        epoch = self._by_name.get(run.name, self._by_kind.get(run.kind, 0.0))
        return self._beyond_s + run.epochs(limit) * epoch

    def round(self, runs: Sequence[Run], limit: int) -> float:
        """From the first to the last of them."""
        return self._start_s + makespan((self.seconds(run, limit) for run in runs), self.workers)

    def tests(self, count: int, each_s: float, once_s: float) -> float:
        """Of testing so many, when each worker has something to do once."""
        busy = min(count, self.workers)
        return once_s * (busy > 0) + makespan([each_s + self._beyond_s] * count, self.workers)

    def limit(self, runs: Sequence[Run], seconds: float, most: int) -> int:
        """The highest limit, up to ``most``, with which a round ends in time; 0 where none does."""
        low, high = 0, most
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.round(runs, middle) <= seconds else (low, middle - 1)
        return low

    def learn(
        self, trained: Sequence[tuple[Run, int]], epoch_s: Mapping[str, float], wall_s: float
    ) -> None:
        """What a round has shown.

        Args:
            trained: its trainings, as they were before, and how many epochs each has now.
            epoch_s: what an epoch of each of them took.
            wall_s: from the first to the last.
        """
        self._by_name |= epoch_s
        self._start_s = 0.0
        in_epochs = sum(epoch_s[run.name] * (now - run.done) for run, now in trained)
        workers = min(self.workers, len(trained))
        self._beyond_s = max(LEAST, (workers * wall_s - in_epochs) / len(trained))


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of some jobs ends, handed out the longest first."""
    free = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(free, free[0] + each)
    return max(free)

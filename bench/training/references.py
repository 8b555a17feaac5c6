"""Rankings that need no training: by popularity, and by the truth where it is known."""

from __future__ import annotations

import numpy as np

from bench.datasets.splits import Examples
from bench.datasets.training_data import TrainingData
from bench.metrics import accuracy, gains


def references(data: TrainingData, test: Examples) -> dict[str, dict[str, float]]:
    """What accuracy is to be measured against on the test predictions.

    Returns:
        ``popularity``: everybody is recommended the most popular training items that they have
        not had.  ``oracle`` (synthetic data only): the ranking by the true distribution of the
        next item, and as its metrics their expectation: the best that any model can reach.
    """
    counts = np.bincount(data.train.items, minlength=data.n_items + 1)
    ordered = np.sort(counts[1:])
    ranks = np.empty(len(test.targets))
    expected: list[dict[str, float]] = []
    for i, (target, user) in enumerate(zip(test.targets, test.users, strict=True)):
        history = test.items[test.offsets[i] : test.offsets[i + 1]]
        seen, count = np.unique(history), counts[target]
        if target in seen:  # masked, and level with all else that is
            above, tied = data.n_items - len(seen), len(seen) - 1
        else:
            below, upto = np.searchsorted(ordered, [count, count + 1])
            above = data.n_items - upto - (counts[seen] > count).sum()
            tied = upto - below - 1 - (counts[seen] == count).sum()
        ranks[i] = 1 + above + tied / 2
        if data.truth is not None:
            p = np.sort(data.truth(int(user), history))[::-1]
            each = np.arange(1, len(p) + 1, dtype=np.float64)
            expected.append({name: float(p @ gain) for name, gain in gains(each).items()})
    found = {"popularity": accuracy(ranks)}
    if expected:
        found["oracle"] = {
            name: float(np.mean([one[name] for one in expected])) for name in expected[0]
        }
    return found

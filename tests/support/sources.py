"""Raw downloads, made up, and what should become of them."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import numpy as np


def random_events(n_users=40, n_items=25, seed=0):
    """(user, item, day), distinct pairs, not in order of time."""
    rng = np.random.default_rng(seed)
    return [
        (f"U{u}", f"I{i}", int(rng.integers(1, 100)))
        for u in range(n_users)
        for i in rng.permutation(n_items)[: rng.integers(2, 14)]
    ]


def five_core_sequences(events):
    """Brute force: the user's items in order of time, ties in file order."""
    while True:
        users, items = (Counter(e[i] for e in events) for i in range(2))
        left = [e for e in events if users[e[0]] >= 5 and items[e[1]] >= 5]
        if left == events:
            break
        events = left
    result = {}
    for user, item, time in sorted(events, key=lambda e: e[2]):
        result.setdefault(user, []).append((item, time))
    return result


def assert_same(dataset, expected):
    """Equal up to the names of items, which a dataset does not keep."""
    assert set(dataset.user_labels.tolist()) == set(expected)
    names = {}
    for user, label in enumerate(dataset.user_labels.tolist()):
        low, high = dataset.offsets[user : user + 2]
        assert dataset.times[low:high].tolist() == [t for _, t in expected[label]]
        for item, (name, _) in zip(dataset.items[low:high].tolist(), expected[label], strict=True):
            assert names.setdefault(item, name) == name
    assert len(set(names.values())) == len(names) == dataset.n_items


def amazon_file(path, events, quoted=json.dumps):
    lines = [
        quoted({"reviewerID": u, "asin": i, "reviewText": "it's fine", "unixReviewTime": t})
        for u, i, t in events
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    return path

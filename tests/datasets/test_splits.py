"""Splits: who trains, who is held out, and that nothing of the future trains."""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pytest
from support import dataset_of, random_sequences

from bench.datasets import resolve_dataset
from bench.datasets.splits import authors_split_file, make_split
from bench.errors import UserError


@pytest.fixture(scope="module")
def sequences():
    return random_sequences(n_users=50, shortest=1, longest=9)


@pytest.fixture(scope="module")
def dataset(sequences):
    return dataset_of(sequences)


def rows(part):
    """Each row of a split's part as (user, items)."""
    pieces = np.split(part.items, part.offsets[1:-1])
    return {int(u): piece.tolist() for u, piece in zip(part.users, pieces, strict=True)}


def test_user_split_is_70_20_10_of_the_users_and_complete(dataset, sequences):
    split = make_split(dataset, "user", 0)
    long_enough = {u for u, s in enumerate(sequences) if len(s) >= 2}
    parts = [set(part.users.tolist()) for part in (split.train, split.valid, split.test)]
    assert set.union(*parts) == long_enough
    assert sum(map(len, parts)) == len(long_enough)
    for user, items in rows(split.train).items():
        assert items == list(sequences[user])
    for part in (split.valid, split.test):
        for (user, items), target in zip(rows(part).items(), part.targets, strict=True):
            assert [*items, target] == list(sequences[user])


@pytest.mark.parametrize("name", ["user", "user-prefixes", "leave-one-out", "temporal"])
def test_users_without_interactions_are_in_no_part(name):
    """Wherever they stand, the last ones included."""
    full = [[1, 2, 3, 4, 5]] * 20
    some = [[], *full[:7], [], [], *full[7:], []]
    who = np.flatnonzero([len(items) for items in some])
    times = (3 * np.arange(20)[:, None] + np.arange(5)).ravel()
    with_empty = make_split(replace(dataset_of(some, 5), times=times), name, 0)
    without = make_split(replace(dataset_of(full, 5), times=times), name, 0)
    if name in ("leave-one-out", "temporal"):  # else they are shuffled with the others
        assert rows(with_empty.train) == {who[u]: its for u, its in rows(without.train).items()}
    for part in (with_empty.train, with_empty.valid, with_empty.test):
        assert len(part.users) > 0
        assert set(part.users) <= set(who)


def test_user_split_sizes_are_those_of_the_authors_files():
    split = make_split(dataset_of([[1, 2]] * 22_363), "user", 0)
    sizes = [len(part.users) for part in (split.train, split.valid, split.test)]
    assert sizes == [15_654, 4_472, 2_237]  # logged for Beauty


def test_another_seed_is_another_split_and_the_digest_tells(dataset):
    digests = {make_split(dataset, "user", seed).digest for seed in (0, 0, 1)}
    assert len(digests) == 2


def test_user_prefixes_predict_every_item_of_held_out_users(dataset, sequences):
    split = make_split(dataset, "user-prefixes", 0)
    n = dataset.n_users
    shuffled = set(split.train.users) | set(split.valid.users) | set(split.test.users)
    assert shuffled == {row for row, items in enumerate(sequences) if len(items) > 1}
    assert len(split.train.users) <= int(0.8 * n)
    seen = set(split.train.users)
    for part, cut in ((split.valid, int(0.9 * n) - int(0.8 * n)), (split.test, n - int(0.9 * n))):
        users = set(part.users)
        assert 0 < len(users) <= cut  # users of one item give no example
        assert not users & seen
        seen |= users
        expected = {
            (user, tuple(sequences[user][:k]), sequences[user][k])
            for user in users
            for k in range(1, len(sequences[user]))
        }
        inputs = np.split(part.items, part.offsets[1:-1])
        found = list(zip(part.users, map(tuple, inputs), part.targets, strict=True))
        assert len(found) == len(expected)
        assert set(found) == expected


def test_leave_one_out(dataset, sequences):
    split = make_split(dataset, "leave-one-out", 0)
    assert rows(split.train) == {u: list(s[:-2]) for u, s in enumerate(sequences) if len(s) >= 4}
    held_out = {u: s for u, s in enumerate(sequences) if len(s) >= 3}
    assert rows(split.valid) == {u: list(s[:-2]) for u, s in held_out.items()}
    assert rows(split.test) == {u: list(s[:-1]) for u, s in held_out.items()}
    assert split.valid.targets.tolist() == [s[-2] for s in held_out.values()]
    assert split.test.targets.tolist() == [s[-1] for s in held_out.values()]


def test_temporal_split_equals_brute_force():
    rng = np.random.default_rng(1)
    sequences = random_sequences(n_users=60, seed=1)
    times = [np.sort(rng.integers(0, 1000, len(s))) for s in sequences]
    split = make_split(dataset_of(sequences, times=times), "temporal", 0)
    every = np.sort(np.concatenate(times))
    first, second = every[int(0.8 * len(every))], every[int(0.9 * len(every))]
    train, valid, test = {}, {}, {}
    for user, (items, when) in enumerate(zip(sequences, times, strict=True)):
        before = [int(i) for i, t in zip(items, when, strict=True) if t < first]
        until = [int(i) for i, t in zip(items, when, strict=True) if t < second]
        if len(before) >= 2:
            train[user] = before
        if len(until) > len(before) and len(until) >= 2:
            valid[user] = (until[:-1], until[-1])
        if len(items) > len(until) and len(items) >= 2:
            test[user] = (list(items[:-1]), items[-1])
    assert rows(split.train) == train
    for part, expected in ((split.valid, valid), (split.test, test)):
        assert rows(part) == {u: items for u, (items, _) in expected.items()}
        assert part.targets.tolist() == [target for _, target in expected.values()]


def test_temporal_needs_times(dataset):
    with pytest.raises(UserError, match="no time stamps; use --split user"):
        make_split(dataset, "temporal", 0)


def write(path, lines):
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as file:
            file.write("\n".join(lines))
    else:
        path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("name", ["split.txt", "split.txt.gz"])
def test_a_split_file_decides(tmp_path, dataset, sequences, name):
    roles = ["train", "val", "test"]
    lines = [f"{u + 1} {roles[u % 3]}" for u in range(50)]
    split = make_split(dataset, "user", 0, write(tmp_path / name, lines[::-1]))
    for role, part in enumerate((split.train, split.valid, split.test)):
        wanted = [u for u, s in enumerate(sequences) if u % 3 == role and len(s) >= 2]
        assert part.users.tolist() == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines, "51 train"], "line 51: dataset 'made-up' has no user '51'"),
        (lambda lines: [*lines, "1 test"], "line 51: user '1' is named twice"),
        (lambda lines: [lines[0], "2 trian", *lines[2:]], "line 2: expected 'user train"),
        (lambda lines: lines[:-1], "1 users of dataset 'made-up' are not assigned, such as '50'"),
        (lambda lines: [f"{u + 1} train" for u in range(50)], "leaves no validation example"),
    ],
)
def test_a_bad_split_file_is_refused(tmp_path, dataset, change, message):
    lines = [f"{u + 1} {'train' if u < 40 else 'val' if u < 45 else 'test'}" for u in range(50)]
    with pytest.raises(UserError, match=message):
        make_split(dataset, "user", 0, write(tmp_path / "split.txt", change(lines)))


def test_mistakes_are_named(tmp_path, dataset):
    with pytest.raises(UserError, match="unknown split 'usr'; did you mean user"):
        make_split(dataset, "usr", 0)
    with pytest.raises(UserError, match="it needs --split user"):
        make_split(dataset, "leave-one-out", 0, tmp_path / "split.txt")
    with pytest.raises(UserError, match="leaves no training example of its 2 users"):
        make_split(dataset_of([[1], [2]]), "user", 0)


def test_the_authors_split_of_beauty_has_the_sizes_of_their_logs(data_dir):
    beauty = resolve_dataset("beauty", data_dir)
    path = authors_split_file("beauty", data_dir)
    split = make_split(beauty, "authors", 0, data_dir=data_dir)
    prefixes = int((np.diff(split.train.offsets) - 1).sum())
    assert (prefixes, len(split.valid.users), len(split.test.users)) == (123_086, 4_472, 2_237)
    same = make_split(beauty, "user", 0, path)
    assert np.array_equal(same.test.users, split.test.users)
    assert same.digest != split.digest  # a cell's key says which users by name


def test_without_the_authors_file_the_error_says_where_it_belongs(tmp_path):
    with pytest.raises(UserError, match=r"toys_split.txt.gz: no such file; .* beauty alone"):
        authors_split_file("toys", tmp_path)
    with pytest.raises(UserError, match="give --data-dir"):
        authors_split_file("beauty", None)

"""Splits: which pairs train, on which users a model is chosen, and on which it is tested.

Every split is a function of the dataset and a seed.  Users that a generated dataset has to be
tested on alone are in the test part of each.  Names:

* ``user`` (the paper's): users are shuffled and cut 70/20/10; all of a training user's sequence
  trains, and the last item of a held-out user is predicted from the rest.  An assignment file
  can take the place of the shuffle.
* ``authors``: as ``user``, with the assignment that the paper's authors used, which lies in the
  data directory as ``extra/<dataset>_split.txt.gz`` (of Beauty alone is it known).
* ``user-prefixes``: users are shuffled and cut 80/10/10; every item of a held-out user but the
  first is predicted from those before it.  The paper's logs show this for LastFM.
* ``leave-one-out``: of every user the last item tests, the last but one validates.
* ``temporal``: two global moments cut off the last tenth, and the tenth before it, of all
  interactions; a user active in a period is tested on the last item of that period, given all
  that went before.  Nothing trains on what was not yet known.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.cell import SEEN
from bench.datasets.base import Dataset, Truth
from bench.datasets.reading import files
from bench.errors import UserError
from bench.registry import suggest
from bench.seeding import seed_for

Ints = npt.NDArray[np.int64]

USER_CUTS, PREFIX_CUTS = (0.7, 0.9), (0.8, 0.9)
"""Shares of users up to which they train, and up to which they validate (the paper's 70/20/10)."""

TIME_CUTS = (0.8, 0.9)
"""Shares of interactions, in order of time, before the validation and before the test period."""

ROLES = {"train": 0, "val": 1, "valid": 1, "test": 2}


@dataclass(frozen=True)
class Sequences:
    """Training sequences, of two items or more each.

    Attributes:
        items: ``[n]`` int32, one sequence after another, oldest item first.
        offsets: ``[n_sequences + 1]`` int64.
        users: ``[n_sequences]`` int64 row of each sequence's user in the dataset.
    """

    items: npt.NDArray[np.int32]
    offsets: Ints
    users: Ints


@dataclass(frozen=True)
class Examples:
    """Held-out predictions: an input of one item or more, and what came next.

    Attributes:
        items: ``[n]`` int32 inputs, one example after another, oldest item first.
        offsets: ``[n_examples + 1]`` int64.
        targets: ``[n_examples]`` int32.
        users: ``[n_examples]`` int64 row of each example's user in the dataset; a user may have
            several.
        truth: the true distribution of what comes next, where it is known.
        masked: whether what an input holds is left out of the ranking; else a target may be of it.
    """

    items: npt.NDArray[np.int32]
    offsets: Ints
    targets: npt.NDArray[np.int32]
    users: Ints
    truth: Truth | None = None
    masked: bool = True

    def first(self, count: int) -> Examples:
        """So many of them, or all."""
        n = min(count, len(self.targets))
        items, offsets = self.items[: self.offsets[n]], self.offsets[: n + 1]
        return replace(
            self, items=items, offsets=offsets, targets=self.targets[:n], users=self.users[:n]
        )

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64] | None:
        """``[n_examples, n_items + 1]`` of what comes next, where they are known."""
        return None if self.truth is None else self.truth(self.users, self.items, self.offsets)

    @cached_property
    def repeated(self) -> npt.NDArray[np.bool_]:
        """``[n_examples]`` whether the input holds the target: what the user has had already."""
        lengths = np.diff(self.offsets)
        same = self.items == np.repeat(self.targets, lengths)
        example = np.repeat(np.arange(len(lengths)), lengths)
        return np.bincount(example[same], minlength=len(lengths)) > 0


@dataclass(frozen=True)
class Split:
    """A split by ``name``; ``digest`` (hex) identifies its content.

    ``file`` is the name of the file that assigned its users, where the user gave one.
    """

    name: str
    train: Sequences
    valid: Examples
    test: Examples
    file: str = ""

    @property
    def repeated(self) -> float:
        """Share of the held-out targets that their users have had already."""
        return float(np.concatenate([self.valid.repeated, self.test.repeated]).mean())

    @property
    def digest(self) -> str:
        digest = hashlib.sha256(self.name.encode())
        for part in (self.train, self.valid, self.test):
            for field in fields(part):
                if field.name in ("truth", "masked"):  # that follows from the dataset
                    continue
                array = np.ascontiguousarray(getattr(part, field.name), dtype="<i8")
                digest.update(array.tobytes())
        if not self.test.masked:
            digest.update(b"ranked")
        return digest.hexdigest()[:16]


def make_split(
    dataset: Dataset,
    name: str,
    seed: int,
    split_file: Path | None = None,
    data_dir: Path | None = None,
    seen: str = SEEN[0],
) -> Split:
    """Split ``dataset``.

    Users too short to give an example of their part are left out of it.

    Args:
        name: ``user``, ``authors``, ``user-prefixes``, ``leave-one-out`` or ``temporal``.
        seed: of the user shuffle; the others but ``user-prefixes`` have nothing random.
        split_file: lines ``user train|val|test`` (plain or gzip), for ``user`` alone.
        data_dir: where the authors' split lies.
        seen: ``masked`` or ``ranked``, as `bench.cell.Protocol` has it.

    Raises:
        UserError: unknown name, a split the dataset cannot give, a bad split file.
    """
    if name not in _SPLITS:
        raise UserError(f"unknown split {name!r}{suggest(name, list(_SPLITS))}")
    if split_file is not None and name != "user":
        raise UserError(f"--split-file {split_file} assigns users: it needs --split user")
    given = "" if split_file is None else _printable(split_file.name)
    if name == AUTHORS:
        split_file = authors_split_file(dataset.name, data_dir)
    if name == "temporal":
        split = _by_time(dataset)
    elif name == "leave-one-out":
        split = _leave_one_out(dataset)
    elif name == "user-prefixes":
        split = _by_user_prefixes(dataset, _shuffled(dataset, seed, PREFIX_CUTS))
    else:
        roles = (
            _shuffled(dataset, seed, USER_CUTS)
            if split_file is None
            else _read_roles(dataset, split_file)
        )
        split = replace(_by_user(name, dataset, roles), file=given)
    if seen != SEEN[0]:
        valid, test = (replace(part, masked=False) for part in (split.valid, split.test))
        split = replace(split, valid=valid, test=test)
    for part, count in (
        ("training", len(split.train.users)),
        ("validation", len(split.valid.users)),
        ("test", len(split.test.users)),
    ):
        if not count:
            raise UserError(
                f"dataset {dataset.name!r}: split {name!r} leaves no {part} example of its "
                f"{dataset.n_users} users; more users, longer sequences or another --split is "
                "needed"
            )
    return split


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)


AUTHORS = "authors"
_SPLITS = ("user", AUTHORS, "user-prefixes", "leave-one-out", "temporal")
SEEDED_SPLITS = ("user", "user-prefixes")
"""Those that draw users."""


def authors_split_file(dataset: str, data_dir: Path | None) -> Path:
    """Where the assignment of users lies that the paper's authors used.

    Raises:
        UserError: it is not there.
    """
    if data_dir is None:
        raise UserError("--split authors: give --data-dir or $BENCH_DATA, where the split lies")
    path = _authors_path(dataset, data_dir)
    if not path.is_file():
        raise UserError(
            f"--split authors: {path}: no such file; the authors' users are known of beauty alone "
            "(elsewhere use --split user)"
        )
    return path


def has_authors_split(dataset: str, data_dir: Path | None) -> bool:
    """Whether the data directory has it."""
    return data_dir is not None and _authors_path(dataset, data_dir).is_file()


def _authors_path(dataset: str, data_dir: Path) -> Path:
    return data_dir / "extra" / f"{dataset}_split.txt.gz"


def _shuffled(dataset: Dataset, seed: int, cuts: tuple[float, float]) -> Ints:
    """``[n_users]`` role of each user; cut at int(0.7n), say, as in the authors' files."""
    n = dataset.n_split
    order = np.random.default_rng(seed_for(dataset.fingerprint, "split", seed)).permutation(n)
    roles = np.full(dataset.n_users, ROLES["test"])
    roles[order] = np.searchsorted([int(cut * n) for cut in cuts], np.arange(n), "right")
    return roles


def _read_roles(dataset: Dataset, path: Path) -> Ints:
    """``[n_users]`` role of each user, from a split file."""
    if dataset.user_labels is None:
        raise UserError(f"--split-file {path}: dataset {dataset.name!r} names no users")
    rows = {str(label): row for row, label in enumerate(dataset.user_labels)}
    roles = np.full(dataset.n_users, -1)
    with files.open_text(path) as file:
        for number, line in files.up_to_the_last(io.TextIOWrapper(file, "utf-8-sig")):
            words = line.split()
            if len(words) != 2 or words[1] not in ROLES:
                raise UserError(f"{path}, line {number}: expected 'user train|val|test'")
            if words[0] not in rows:
                raise UserError(
                    f"{path}, line {number}: dataset {dataset.name!r} has no user {words[0][:40]!r}"
                )
            if roles[rows[words[0]]] >= 0:
                raise UserError(f"{path}, line {number}: user {words[0]!r} is named twice")
            roles[rows[words[0]]] = ROLES[words[1]]
    split = dataset.n_split
    roles[split:][roles[split:] < 0] = ROLES["test"]
    missing = np.flatnonzero(roles < 0)
    if len(missing):
        raise UserError(
            f"{path}: {len(missing)} users of dataset {dataset.name!r} are not assigned, "
            f"such as {str(dataset.user_labels[missing[0]])!r}"
        )
    return roles


def _by_user(name: str, dataset: Dataset, roles: Ints) -> Split:
    start, end = dataset.offsets[:-1], dataset.offsets[1:]
    users = [np.flatnonzero((roles == role) & (end - start >= 2)) for role in range(3)]
    return Split(
        name,
        _sequences(dataset, users[0], end[users[0]]),
        _examples(dataset, users[1], end[users[1]] - 1),
        _examples(dataset, users[2], end[users[2]] - 1),
    )


def _by_user_prefixes(dataset: Dataset, roles: Ints) -> Split:
    start, end = dataset.offsets[:-1], dataset.offsets[1:]
    train = np.flatnonzero((roles == 0) & (end - start >= 2))
    row = np.repeat(np.arange(dataset.n_users), end - start)
    later = np.ones(len(row), dtype=bool)
    later[start[end > start]] = False
    valid, test = (np.flatnonzero(later & (roles[row] == role)) for role in (1, 2))
    return Split(
        "user-prefixes",
        _sequences(dataset, train, end[train]),
        _examples(dataset, row[valid], valid),
        _examples(dataset, row[test], test),
    )


def _leave_one_out(dataset: Dataset) -> Split:
    start, end = dataset.offsets[:-1], dataset.offsets[1:]
    train, held_out = (np.flatnonzero(end - start >= least) for least in (4, 3))
    split = dataset.n_split
    train, valid = train[train < split], held_out[held_out < split]
    return Split(
        "leave-one-out",
        _sequences(dataset, train, end[train] - 2),
        _examples(dataset, valid, end[valid] - 2),
        _examples(dataset, held_out, end[held_out] - 1),
    )


def _by_time(dataset: Dataset) -> Split:
    times, start, end = dataset.times, dataset.offsets[:-1], dataset.offsets[1:]
    if times is None:
        raise UserError(
            f"dataset {dataset.name!r} has no time stamps; use --split user or leave-one-out"
        )
    ordered = np.sort(times)
    moments = [ordered[int(cut * len(ordered))] for cut in TIME_CUTS]
    # How many of each user's interactions came before a moment: times never fall within a user.
    counts = [np.insert((times < moment).cumsum(), 0, 0) for moment in moments]
    before = [start + count[end] - count[start] for count in counts]
    split = np.arange(dataset.n_users) < dataset.n_split
    train = np.flatnonzero(split & (before[0] - start >= 2))
    valid = np.flatnonzero(split & (before[1] > before[0]) & (before[1] - start >= 2))
    test = np.flatnonzero((end > before[1]) & (end - start >= 2))
    return Split(
        "temporal",
        _sequences(dataset, train, before[0][train]),
        _examples(dataset, valid, before[1][valid] - 1),
        _examples(dataset, test, end[test] - 1),
    )


def _sequences(dataset: Dataset, users: Ints, end: Ints) -> Sequences:
    """The users' interactions up to, not including, index ``end``."""
    return Sequences(*_cut(dataset, users, end), users)


def _examples(dataset: Dataset, users: Ints, target: Ints) -> Examples:
    """The items at indices ``target``, each of one of ``users``, given all before them."""
    return Examples(*_cut(dataset, users, target), dataset.items[target], users, dataset.truth)


def _cut(dataset: Dataset, users: Ints, end: Ints) -> tuple[npt.NDArray[np.int32], Ints]:
    start = dataset.offsets[:-1][users]
    return stretches(dataset.items, start, end - start)


def stretches(
    items: npt.NDArray[np.int32], start: Ints, lengths: Ints
) -> tuple[npt.NDArray[np.int32], Ints]:
    """So many of ``items`` from each start on, one stretch after another, and their offsets."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    index = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], lengths)
    return items[index], offsets

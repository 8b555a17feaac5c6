"""A split as files: any library can be trained on it, and its predictions be evaluated here.

    train.csv           what may be trained on
    valid_inputs.csv    what the user had before each validation target
    valid_targets.csv   these targets, to choose a model by
    test_inputs.csv     what the user had before each test target
    split.json          dataset, split, their fingerprints and how many of all there are

Test targets are in no file, but where a user has several predictions (split ``user-prefixes``) the
input of one ends with the target of the one before it, as it must.  Each of them goes by
``USER@HOW MANY ITEMS CAME BEFORE``.  Users and items have the source's own ids; items are numbers
from 1 where it has none.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.datasets.base import Dataset
from bench.datasets.splits import Examples, Split
from bench.errors import UserError
from bench.files import replace, why

Labels = npt.NDArray[np.str_]


def labels_of(dataset: Dataset, examples: Examples) -> Labels:
    """``[P]`` what each held-out prediction goes by, all different."""
    labels = _user_labels(dataset)[examples.users]
    if len(np.unique(examples.users)) == len(labels):
        return labels
    lengths = np.diff(examples.offsets).astype(str)
    return np.char.add(np.char.add(labels, "@"), lengths)


def write(dataset: Dataset, split: Split, folder: Path) -> list[Path]:
    """Write a split's files.

    Args:
        dataset: whatever it is.
        split: of it.
        folder: made if need be; files of the same names are replaced.

    Returns:
        The files.

    Raises:
        UserError: they cannot be written.
    """
    train, users = split.train, _user_labels(dataset)[split.train.users]
    tables = {
        "train.csv": _interactions(dataset, users, train.users, train.items, train.offsets),
        "valid_inputs.csv": _inputs(dataset, split.valid),
        "valid_targets.csv": pd.DataFrame(
            {
                "user": labels_of(dataset, split.valid),
                "item": _item_labels(dataset, split.valid.targets),
            }
        ),
        "test_inputs.csv": _inputs(dataset, split.test),
    }
    about = {
        "dataset": dataset.name,
        "synthetic": dataset.synthetic,
        "items": dataset.n_items,
        "split": split.name,
        "fingerprint": dataset.fingerprint,
        "split_digest": split.digest,
        "training_users": len(train.users),
        "validation_predictions": len(split.valid.targets),
        "test_predictions": len(split.test.targets),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            replace(folder / name, table.to_csv(index=False))
        replace(folder / "split.json", json.dumps(about, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"--to {folder}: cannot be written ({why(error)})") from error
    return [folder / name for name in (*tables, "split.json")]


def _user_labels(dataset: Dataset) -> Labels:
    """``[n_users]``; numbers from 1 where the source names nobody."""
    if dataset.user_labels is None:
        return np.arange(1, dataset.n_users + 1).astype(str)
    return dataset.user_labels


def _item_labels(dataset: Dataset, items: npt.NDArray[np.int32]) -> npt.NDArray[np.generic]:
    """``[n]`` own ids of items; their numbers where the source calls them so."""
    return items if dataset.item_labels is None else dataset.item_labels[items - 1]


def _inputs(dataset: Dataset, examples: Examples) -> pd.DataFrame:
    labels = labels_of(dataset, examples)
    return _interactions(dataset, labels, examples.users, examples.items, examples.offsets)


def _interactions(
    dataset: Dataset,
    labels: Labels,
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
) -> pd.DataFrame:
    """A row an interaction, oldest first: user, item, position from 0, and time where it is known.

    Args:
        labels: ``[n_sequences]`` what each goes by.
        users: ``[n_sequences]`` row of each one's user, whose first interactions it holds.
        items: ``[n]`` of all sequences, one after another.
        offsets: ``[n_sequences + 1]``.
    """
    lengths = np.diff(offsets)
    position = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
    ids = _item_labels(dataset, items)
    found = pd.DataFrame({"user": np.repeat(labels, lengths), "item": ids, "position": position})
    if dataset.times is None:
        return found
    start = np.repeat(dataset.offsets[:-1][users], lengths)
    return found.assign(timestamp=dataset.times[start + position])

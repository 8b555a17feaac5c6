"""What a source of data gives, held to what `bench.datasets.base.Dataset` says of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.datasets.base import Dataset, DatasetSource
from bench.errors import UserError


def loaded(source: DatasetSource, data_dir: Path | None) -> Dataset:
    """A source's dataset; synthetic where its class says so.

    Args:
        source: registered.
        data_dir: where real datasets lie.

    Raises:
        UserError: it cannot be loaded, or is no such dataset; says how it must be.
    """
    named = f"dataset {source.name!r}"
    try:
        dataset = source.load(data_dir)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{named}: load() failed, {type(error).__name__}: {error}") from error
    for mistake in _mistakes(source, dataset):
        raise UserError(f"{named}: {mistake}")
    return replace(
        dataset,
        items=dataset.items.astype(np.int32, copy=False),
        offsets=dataset.offsets.astype(np.int64, copy=False),
        times=None if dataset.times is None else dataset.times.astype(np.int64, copy=False),
        synthetic=dataset.synthetic or source.synthetic,
    )


def _mistakes(source: DatasetSource, dataset: Any) -> Iterator[str]:
    """Each check may rely on those before it: only the first mistake is to be believed."""
    if not isinstance(dataset, Dataset):
        yield f"load() returned a {type(dataset).__name__}; it must be a bench.datasets.Dataset"
    if dataset.name != source.name:
        yield f"load() calls it {dataset.name!r}; it must have the name it is registered by"
    if dataset.synthetic and not source.synthetic:
        yield "load() says synthetic=True, the class does not; give it synthetic = True, too"
    n_items = dataset.n_items
    if not isinstance(n_items, int | np.integer) or n_items < 1:
        yield f"n_items is {n_items!r}; it must be a whole number from 1"
    yield from _of_users("items", dataset.items, "offsets", dataset.offsets)
    yield from _in_ids("items", dataset.items, n_items)
    if not 0 <= dataset.only_tested < dataset.n_users:
        yield f"only_tested is {dataset.only_tested}, of {dataset.n_users} users"
    if dataset.times is not None:
        yield from _one_each("times", dataset.times, dataset.n_interactions)
        back = np.flatnonzero(np.diff(dataset.times) < 0) + 1
        if len(back := np.setdiff1d(back, dataset.offsets)):
            user = int(np.searchsorted(dataset.offsets, back[0], side="right")) - 1
            yield f"times of user {user} go back; the items of each must be oldest first"
    for field, count in (("user_labels", dataset.n_users), ("item_labels", n_items)):
        labels = getattr(dataset, field)
        if labels is not None:
            yield from _labels(field, labels, count)
    if (shown := dataset.exposures) is not None:
        yield from _of_users("exposures.items", shown.items, "exposures.offsets", shown.offsets)
        yield from _one_each("exposures.positions", shown.positions, len(shown.items))
        yield from _in_ids("exposures.items", shown.items, n_items)
        if len(shown.offsets) != len(dataset.offsets):
            yield f"exposures are of {len(shown.offsets) - 1} users of {dataset.n_users}"


def _of_users(field: str, values: Any, field_of_offsets: str, offsets: Any) -> Iterator[str]:
    yield from _integers(field, values)
    yield from _integers(field_of_offsets, offsets)
    if len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(values):
        yield f"{field_of_offsets} must begin with 0 and end with {len(values)}; a user has two"
    if (np.diff(offsets) < 0).any():
        yield f"{field_of_offsets} fall at place {int(np.flatnonzero(np.diff(offsets) < 0)[0]) + 1}"


def _integers(field: str, values: Any) -> Iterator[str]:
    if not isinstance(values, np.ndarray):
        yield f"{field} is a {type(values).__name__}; it must be a numpy array of integers"
    if values.ndim != 1 or values.dtype.kind not in "iu":
        yield f"{field} is {values.dtype} of shape {list(values.shape)}; it must be [n] of integers"


def _one_each(field: str, values: Any, count: int) -> Iterator[str]:
    yield from _integers(field, values)
    if len(values) != count:
        yield f"{field} has {len(values)} entries; it must have {count}"


def _in_ids(field: str, items: npt.NDArray[np.integer], n_items: int) -> Iterator[str]:
    wrong = items[(items < 1) | (items > n_items)]
    if len(wrong):
        yield f"{field} hold {wrong[0]}; items are numbered from 1 to {n_items} (n_items)"


def _labels(field: str, labels: Any, count: int) -> Iterator[str]:
    if not isinstance(labels, np.ndarray) or labels.dtype.kind != "U" or labels.ndim != 1:
        yield f"{field} must be a numpy array of text, [n]"
    if len(labels) != count:
        yield f"{field} has {len(labels)} entries; it must have {count}"
    if len(np.unique(labels)) != count:
        yield f"{field} must all be different"

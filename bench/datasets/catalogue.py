"""What is known of datasets: listed, held against the paper's Table 2, described, fetched."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import datasets
from bench.datasets.base import Dataset
from bench.datasets.log_options import USUAL, Reading
from bench.datasets.official import Counts, OfficialSource
from bench.datasets.reading.download import download
from bench.errors import UserError
from bench.files import replace


@dataclass(frozen=True)
class Finding:
    """What a data directory holds of a published dataset.

    Attributes:
        name: as registered.
        published: the row of the paper's Table 2.
        counts: of the file; None where there is none, or none that can be read.
        verdict: of the file beside Table 2, or what is wrong.
        surprise: whether the file is not what this harness knows.
    """

    name: str
    published: Counts
    counts: Counts | None
    verdict: str
    surprise: bool


def listing() -> str:
    """Every registered dataset with one line about it."""
    registry = datasets.registry
    return "\n".join(f"{name:<14} {registry.description(name)}" for name in registry.names())


def check(data_dir: Path) -> Iterator[Finding]:
    """Hold what is in ``data_dir`` against the paper's Table 2, dataset by dataset."""
    for name, source in official().items():
        if source.path(data_dir) is None:
            yield Finding(name, source.published, None, f"not in {data_dir}", surprise=False)
            continue
        try:
            counts = _counts(source.load(data_dir))
        except UserError as error:
            yield Finding(name, source.published, None, f"BROKEN: {error}", surprise=True)
            continue
        known = counts in (source.published, source.expected)
        verdict = _verdict(source, counts)
        yield Finding(name, source.published, counts, verdict, surprise=not known)


def describe(name: str, data_dir: Path | None, reading: Reading = USUAL) -> str:
    """Sizes, lengths and facts of one dataset, by name or path.

    Raises:
        UserError: unknown name, missing or malformed file; of a registered dataset it says the
            licence, too, which one may want to know before fetching it.
    """
    source = official().get(name)
    try:
        dataset = datasets.resolve_dataset(name, data_dir, reading)
    except UserError as error:
        if source is None:
            raise
        told = f"{error}; its licence: {source.licence}; to cite: {source.citation}"
        raise UserError(told) from error
    counts, lengths = _counts(dataset), dataset.lengths
    low, median, high = np.percentile(lengths, [0, 50, 100], method="nearest")
    popular = np.sort(np.bincount(dataset.items, minlength=dataset.n_items + 1)[1:])[::-1]
    head = popular[: max(1, len(popular) // 10)].sum() / len(dataset.items)
    users = np.repeat(np.arange(dataset.n_users), lengths)
    pairs = len(np.unique(users * (dataset.n_items + 1) + dataset.items))  # of repeats one
    sparsity = 100 * (1 - pairs / (dataset.n_users * dataset.n_items))
    lines = [
        f"{dataset.name}{' (SYNTHETIC)' if dataset.synthetic else ''}",
        f"  users         {counts.users:,}",
        f"  items         {counts.items:,}",
        f"  interactions  {counts.interactions:,}",
        f"  length        {counts.average_length:.2f} on average, median {median}, {low} to {high}",
        f"  sparsity      {sparsity:.3f} %",
        f"  popularity    the top tenth of the items has {100 * head:.0f} % of the interactions",
        f"  time stamps   {'yes' if dataset.times is not None else 'no'}",
        f"  fingerprint   {dataset.fingerprint}",
    ]
    lines += [f"  note          {note}" for note in dataset.notes]
    if source is not None:
        lines += [f"  licence       {source.licence}", f"  cite          {source.citation}"]
    return "\n".join(lines)


def fetch(
    names: Sequence[str], data_dir: Path, mirror: str | None, say: Callable[[str], None]
) -> None:
    """Download, filter and write datasets; what is there already is kept.

    Args:
        names: registered names.
        data_dir: where to write; raw downloads are kept in its folder ``raw``.
        mirror: an address that holds the raw files under their own names, in place of the
            official one.
        say: gets a line about each step.

    Raises:
        UserError: a name that is unknown or of no published dataset; a download that fails or is
            not what its source publishes.
    """
    published = official()
    sources = {name: published.get(name) for name in names}
    for name, source in sources.items():
        if source is None:
            datasets.registry.get(name)  # unknown names are told apart from built-in ones
            raise UserError(f"dataset {name!r} is built in: there is nothing to fetch")
    for name, source in sources.items():
        assert source is not None
        if source.path(data_dir):
            say(f"{name}: {source.path(data_dir)} is there already")
            continue
        file = source.url.rpartition("/")[2]
        url = source.url if mirror is None else f"{mirror.rstrip('/')}/{file}"
        raw = download(url, data_dir / "raw" / file, source.md5)
        say(f"{name}: reading {raw}")
        dataset = source.convert(raw)
        _write(dataset, data_dir)
        say(f"{name}: {_verdict(source, _counts(dataset))}")
        say(f"{name}: licence: {source.licence}; cite: {source.citation}")


def official() -> dict[str, OfficialSource]:
    """The published datasets by name."""
    sources = {name: datasets.registry.get(name)() for name in datasets.registry.names()}
    return {name: s for name, s in sources.items() if isinstance(s, OfficialSource)}


def _write(dataset: Dataset, data_dir: Path) -> None:
    assert dataset.user_labels is not None
    ids = np.arange(1, dataset.n_users + 1)  # labels of the source may hold spaces
    if dataset.times is not None:  # first: the main file makes the dataset count as there
        times = data_dir / "extra" / f"{dataset.name}_time.txt.gz"
        _write_lines(times, ids, dataset.offsets, dataset.times)
    _write_lines(data_dir / f"{dataset.name}.txt.gz", ids, dataset.offsets, dataset.items)


def _write_lines(path: Path, ids: np.ndarray, offsets: np.ndarray, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.split(values, offsets[1:-1])
    text = "".join(
        f"{user} {' '.join(map(str, row))}\n" for user, row in zip(ids, rows, strict=True)
    )
    # mtime=0: the same content is the same file.
    replace(path, gzip.compress(text.encode(), mtime=0))


def _counts(dataset: Dataset) -> Counts:
    return Counts(dataset.n_users, dataset.n_items, dataset.n_interactions)


def _verdict(source: OfficialSource, counts: Counts) -> str:
    if counts == source.published:
        return "matches Table 2"
    if counts == source.expected:
        return f"differs from Table 2, as known: {source.difference}"
    return (
        f"UNEXPECTED: this harness knows it with {source.expected.users:,} users, "
        f"{source.expected.items:,} items and {source.expected.interactions:,} interactions"
    )

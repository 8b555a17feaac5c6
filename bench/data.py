"""python -m bench.data: list, check, describe and fetch datasets.

Exit status: 0 all is well; 1 ``check`` found a file that is not what it should be; 2 bad input.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench import datasets
from bench.datasets.base import Dataset
from bench.datasets.download import download
from bench.datasets.official import Counts, OfficialSource
from bench.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "list":
            print(listing())
        elif options.command == "check":
            return check(_needed(datasets.data_directory(options.data_dir)))
        elif options.command == "describe":
            print(describe(options.name, datasets.data_directory(options.data_dir)))
        else:
            fetch(options.names, Path(options.data_dir), options.mirror)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def listing() -> str:
    """Every registered dataset with one line about it."""
    registry = datasets.registry
    return "\n".join(f"{name:<14} {registry.description(name)}" for name in registry.names())


def check(data_dir: Path) -> int:
    """Print what is in ``data_dir`` beside the paper's Table 2; 1 if a file is a surprise."""
    sources = {name: source for name, source in _official().items() if source.path(data_dir)}
    header = f"{'':<10} {'':<8} {'users':>8} {'items':>8} {'interactions':>13} {'avg len':>8} "
    print(f"{header}{'sparsity':>9}")
    surprises = 0
    for name, source in _official().items():
        print(f"{name:<10} {'Table 2':<8} {_figures(source.published)}")
        if name not in sources:
            print(f"{'':<10} not in {data_dir}")
            continue
        try:
            counts = _counts(source.load(data_dir))
        except UserError as error:
            print(f"{'':<10} BROKEN: {error}")
            surprises += 1
            continue
        print(f"{'':<10} {'here':<8} {_figures(counts)}")
        verdict = _verdict(source, counts)
        surprises += verdict.startswith("UNEXPECTED")
        print(f"{'':<10} {verdict}")
    if not sources:
        raise UserError(
            f"{data_dir}: holds none of {', '.join(_official())} (as NAME.txt.gz); another "
            "--data-dir, or python -m bench.data fetch NAME"
        )
    return 1 if surprises else 0


def describe(name: str, data_dir: Path | None) -> str:
    """Sizes, lengths and facts of one dataset, by name or path."""
    dataset = datasets.resolve_dataset(name, data_dir)
    counts, lengths = _counts(dataset), dataset.lengths
    low, median, high = np.percentile(lengths, [0, 50, 100], method="nearest")
    popular = np.sort(np.bincount(dataset.items, minlength=dataset.n_items + 1)[1:])[::-1]
    head = popular[: max(1, len(popular) // 10)].sum() / len(dataset.items)
    lines = [
        f"{dataset.name}{' (SYNTHETIC)' if dataset.synthetic else ''}",
        f"  users         {counts.users:,}",
        f"  items         {counts.items:,}",
        f"  interactions  {counts.interactions:,}",
        f"  length        {counts.average_length:.2f} on average, median {median}, {low} to {high}",
        f"  sparsity      {counts.sparsity:.3f} %",
        f"  popularity    the top tenth of the items has {100 * head:.0f} % of the interactions",
        f"  time stamps   {'yes' if dataset.times is not None else 'no'}",
        f"  fingerprint   {dataset.fingerprint}",
    ]
    lines += [f"  note          {note}" for note in dataset.notes]
    source = _official().get(name)
    if source is not None:
        lines += [f"  licence       {source.licence}", f"  cite          {source.citation}"]
    return "\n".join(lines)


def fetch(names: Sequence[str], data_dir: Path, mirror: str | None) -> None:
    """Download, filter and write datasets; what is there already is kept.

    Args:
        names: registered names.
        data_dir: where to write; raw downloads are kept in its folder ``raw``.
        mirror: an address that holds the raw files under their own names, in place of the
            official one.
    """
    sources = {name: _official().get(name) for name in names}
    for name, source in sources.items():
        if source is None:
            datasets.registry.get(name)  # unknown names are told apart from built-in ones
            raise UserError(f"dataset {name!r} is built in: there is nothing to fetch")
    for name, source in sources.items():
        assert source is not None
        if source.path(data_dir):
            print(f"{name}: {source.path(data_dir)} is there already")
            continue
        file = source.url.rpartition("/")[2]
        url = source.url if mirror is None else f"{mirror.rstrip('/')}/{file}"
        raw = download(url, data_dir / "raw" / file, source.md5)
        print(f"{name}: reading {raw}", flush=True)
        dataset = source.convert(raw)
        _write(dataset, data_dir)
        print(f"{name}: {_verdict(source, _counts(dataset))}")
        print(f"{name}: licence: {source.licence}; cite: {source.citation}")


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
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    # mtime=0: the same content is the same file.
    temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
    temporary.replace(path)


def _official() -> dict[str, OfficialSource]:
    sources = {name: datasets.registry.get(name)() for name in datasets.registry.names()}
    return {name: s for name, s in sources.items() if isinstance(s, OfficialSource)}


def _counts(dataset: Dataset) -> Counts:
    return Counts(dataset.n_users, dataset.n_items, dataset.n_interactions)


def _figures(counts: Counts) -> str:
    return (
        f"{counts.users:>8,} {counts.items:>8,} {counts.interactions:>13,} "
        f"{counts.average_length:>8.2f} {counts.sparsity:>8.3f}%"
    )


def _verdict(source: OfficialSource, counts: Counts) -> str:
    if counts == source.published:
        return "matches Table 2"
    if counts == source.expected:
        return f"differs from Table 2, as known: {source.difference}"
    return (
        f"UNEXPECTED: this harness knows it with {source.expected.users:,} users, "
        f"{source.expected.items:,} items and {source.expected.interactions:,} interactions"
    )


def _needed(data_dir: Path | None) -> Path:
    if data_dir is None:
        raise UserError("give --data-dir or $BENCH_DATA")
    return data_dir


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="registered datasets")
    checked = commands.add_parser("check", help="compare with the paper's Table 2")
    described = commands.add_parser("describe", help="facts about one dataset")
    described.add_argument("name", metavar="NAME", help="a registered name, or a path")
    for command in (checked, described):
        command.add_argument("--data-dir", metavar="DIR", help="default: $BENCH_DATA")
    fetched = commands.add_parser("fetch", help="download and filter from the official sources")
    fetched.add_argument("names", nargs="+", metavar="NAME")
    fetched.add_argument("--data-dir", required=True, metavar="DIR", help="made if it is missing")
    fetched.add_argument("--mirror", metavar="URL", help="in place of the official server")
    return parser


if __name__ == "__main__":
    sys.exit(main())

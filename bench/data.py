"""python -m bench.data: list, check, describe, fetch and export datasets.

Exit status: 0 all is well; 1 ``check`` found a file that is not what it should be; 2 bad input.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import datasets
from bench.datasets import catalogue
from bench.datasets.official import Counts
from bench.errors import UserError
from bench.grid_options import add_reading, reading_of
from bench.terminal import Parser, status_of, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    return status_of(lambda: _run(options), "stopped; run the same command again to go on")


def _run(options: argparse.Namespace) -> int:
    if options.command == "list":
        tell(catalogue.listing())
    elif options.command == "check":
        return _check(_needed(datasets.data_directory(options.data_dir)))
    elif options.command == "describe":
        data_dir = datasets.data_directory(options.data_dir)
        tell(catalogue.describe(options.name, data_dir, _reading(options)))
    elif options.command == "export":
        _export(options)
    else:
        say = functools.partial(print)
        catalogue.fetch(options.names, Path(options.data_dir), options.mirror, say)
    return 0


def _check(data_dir: Path) -> int:
    """Print what is in ``data_dir`` beside the paper's Table 2; 1 if a file is a surprise."""
    header = f"{'':<10} {'':<8} {'users':>8} {'items':>8} {'interactions':>13} {'avg len':>8} "
    tell(f"{header}{'sparsity':>9}")
    findings = []
    for found in catalogue.check(data_dir):
        tell(f"{found.name:<10} {'Table 2':<8} {_figures(found.published)}")
        if found.counts is not None:
            tell(f"{'':<10} {'here':<8} {_figures(found.counts)}")
        tell(f"{'':<10} {found.verdict}")
        findings.append(found)
    if not any(found.counts or found.surprise for found in findings):
        raise UserError(
            f"{data_dir}: holds none of {', '.join(found.name for found in findings)} (as "
            "NAME.txt.gz); another --data-dir, or python -m bench.data fetch NAME"
        )
    return int(any(found.surprise for found in findings))


def _export(options: argparse.Namespace) -> None:
    """Write a split's files, and say which."""
    from bench.datasets.splits import SEEDED_SPLITS, make_split
    from bench.studies import split_files

    if options.split_seed and (options.split not in SEEDED_SPLITS or options.split_file):
        raise UserError(
            "--split-seed draws users, and these are given; leave it out, or choose "
            f"--split {' or '.join(SEEDED_SPLITS)} without --split-file"
        )
    data_dir = datasets.data_directory(options.data_dir)
    dataset = datasets.resolve_dataset(options.name, data_dir, _reading(options))
    split = make_split(dataset, options.split, options.split_seed, options.split_file, data_dir)
    for path in split_files.write(dataset, split, options.to):
        tell(str(path))


def _reading(options: argparse.Namespace) -> datasets.Reading:
    """How a log is to be read.

    Raises:
        UserError: impossible values, or values for what is no log of one's own.
    """
    reading = reading_of(options)
    if reading.words() and not datasets.is_path(options.name):
        raise UserError(f"{reading.words()[0]} is for logs of your own: {options.name} is a name")
    return reading


def _figures(counts: Counts) -> str:
    return (
        f"{counts.users:>8,} {counts.items:>8,} {counts.interactions:>13,} "
        f"{counts.average_length:>8.2f} {counts.sparsity:>8.3f}%"
    )


def _needed(data_dir: Path | None) -> Path:
    if data_dir is None:
        raise UserError("give --data-dir or $BENCH_DATA")
    return data_dir


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="registered datasets")
    checked = commands.add_parser("check", help="compare with the paper's Table 2")
    described = commands.add_parser("describe", help="facts about one dataset")
    described.add_argument("name", metavar="NAME", help="a registered name, or a path")
    exported = commands.add_parser(
        "export", help="write a split's files, to train any library on (docs/other-models.md)"
    )
    exported.add_argument("name", metavar="NAME", help="a registered name, or a path")
    exported.add_argument("--to", required=True, type=Path, metavar="DIR", help="made if missing")
    exported.add_argument("--split", default="user", metavar="NAME", help="default: user")
    exported.add_argument("--split-seed", type=int, default=0, metavar="NUMBER", help="default: 0")
    exported.add_argument("--split-file", type=Path, metavar="FILE", help="as of bench.grid")
    add_reading(described)
    add_reading(exported)
    for command in (checked, described, exported):
        command.add_argument("--data-dir", metavar="DIR", help="default: $BENCH_DATA")
    fetched = commands.add_parser("fetch", help="download and filter from the official sources")
    fetched.add_argument("names", nargs="+", metavar="NAME")
    fetched.add_argument("--data-dir", required=True, metavar="DIR", help="made if it is missing")
    fetched.add_argument("--mirror", metavar="URL", help="in place of the official server")
    return parser


if __name__ == "__main__":
    sys.exit(main())

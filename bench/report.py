"""python -m bench.report STUDY: tables and plots from stored results; trains nothing.

``python -m bench.report compare A B`` sets two studies side by side, ``python -m bench.report
export STUDY`` hands results on, ``python -m bench.report references STUDY`` measures what needs no
training again, ``python -m bench.report evaluate STUDY FILE`` puts another library's model beside
ours, and ``python -m bench.report site`` puts all studies on one page; each has a ``--help`` of its
own.

Cells are compared only within one protocol, and synthetic twins never share a table or a plot
with real data.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.files import check_name
from bench.report_options import add_options, presentation_of, warn_of_unreadable
from bench.terminal import Parser, status_of, tell

EXPORT = "python -m bench.report export STUDY: results in one tidy table, or into MLflow."
RANKS = "the same, of the rank of every test prediction, with the ids of the log; needs the data"
REFERENCES = """python -m bench.report references STUDY: measure every reference (popularity,
co-occurrence, ...) on the data and splits of a stored study, whose cells may be older than it.

They are kept in results/STUDY/references.json; the study's report shows them from then on.
"""
SITE = """python -m bench.report site: all studies on one page, reports/index.html.

Verdicts, accuracies side by side, and links to the studies' own pages.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "compare": _of("compare"), "evaluate": _of("evaluate"), "export": _export,
        "references": _references, "site": _site,
    }  # fmt: skip
    command = commands.get(given[0] if given else "")
    return status_of(lambda: _report(given) if command is None else command(given[1:]))


def _of(name: str) -> Callable[[Sequence[str]], int]:
    """A command that has a module of its own, which is imported when it is called."""

    def run(arguments: Sequence[str]) -> int:
        return int(importlib.import_module(f"bench.report_{name}").main(arguments))

    return run


def _report(arguments: Sequence[str]) -> int:
    parser = _parser("", __doc__)
    add_options(parser)
    options = parser.parse_args(arguments)
    check_name("bench.report", options.study)
    presentation = presentation_of(options)
    # Here and below: who asks for help does not wait for what reads, tests and draws.
    from bench.reports.writing import folder_of, write_and_close
    from bench.studies.store import Store

    study = options.results / options.study
    folder = options.out or folder_of(options.study, presentation, options.reports)
    for line in write_and_close(study, folder, options.post_hoc, presentation):
        tell(line)
    warn_of_unreadable(Store(study))
    return 0


def _export(arguments: Sequence[str]) -> int:
    parser = _parser(" export", EXPORT)
    parser.add_argument("study")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--to", type=Path, metavar="FILE", help="a .csv or .parquet file")
    target.add_argument("--mlflow", metavar="URI", help="a tracking URI")
    target.add_argument("--ranks", type=Path, metavar="FILE", help=RANKS)
    _add_data(parser)
    options = parser.parse_args(arguments)
    from bench import datasets
    from bench.reports import export
    from bench.studies.store import Store

    store = Store(options.results / options.study)
    warn_of_unreadable(store)
    if options.mlflow is not None:
        cells, there = export.to_mlflow(store, options.mlflow)
        tell(f"{cells} runs in {options.mlflow}, {there} of them there already")
        return 0
    if options.ranks is not None:
        frame = export.ranks(store, datasets.data_directory(options.data_dir), options.datasets)
        export.save(frame, options.ranks, "--ranks")
    else:
        frame = export.tidy(store)
        export.save(frame, options.to)
    tell(f"{options.ranks or options.to}: {len(frame):,} rows")
    return 0


def _references(arguments: Sequence[str]) -> int:
    parser = _parser(" references", REFERENCES)
    parser.add_argument("study")
    _add_data(parser)
    options = parser.parse_args(arguments)
    from bench import datasets
    from bench.studies.compared_with import measure_again
    from bench.studies.store import Store

    store = Store(options.results / options.study)
    count = measure_again(store, datasets.data_directory(options.data_dir), options.datasets)
    tell(f"{store.root / 'references.json'}: references on {count} datasets and splits")
    return 0


def _site(arguments: Sequence[str]) -> int:
    parser = _parser(" site", SITE)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="default: all with a page")
    parser.add_argument("--reports", type=Path, default=Path("reports"), metavar="DIR")
    options = parser.parse_args(arguments)
    for name in options.studies:
        check_name("bench.report site", name)
    from bench.reports import site

    tell(str(site.write(options.results, options.reports, options.studies)))
    return 0


def _add_data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data-dir", metavar="DIR", help="of real datasets (default: $BENCH_DATA)")
    add(
        "--datasets", nargs="+", default=[], metavar="PATH",
        help="your own logs, which are read as they were for the study",
    )  # fmt: skip


def _parser(command: str, description: str | None) -> argparse.ArgumentParser:
    parser = Parser(prog=f"python -m bench.report{command}", description=description)
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""python -m bench.report STUDY: tables and plots from stored results; trains nothing.

``python -m bench.report compare A B`` sets two studies side by side, ``python -m bench.report
export STUDY`` hands results on, ``python -m bench.report references STUDY`` measures what needs no
training again, and ``python -m bench.report site`` puts all studies on one page; each has a
``--help`` of its own.

Cells are compared only within one protocol, and synthetic twins never share a table or a plot
with real data.
"""

from __future__ import annotations

import argparse
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

from bench.errors import UserError
from bench.files import check_name
from bench.metrics import FROM_RANKS, HEADLINE
from bench.report_options import add_options, presentation_of
from bench.terminal import tell

if typing.TYPE_CHECKING:
    from bench.studies.store import Store

COMPARE = """python -m bench.report compare A B: two studies side by side, for someone who changed a
sampler.

Systems found in both studies are compared user by user.  The exit status is 1 when the metric of
one falls from A to B by more than a given share, significantly so; 2 is bad input.
"""
EXPORT = "python -m bench.report export STUDY: results in one tidy table, or into MLflow."
REFERENCES = """python -m bench.report references STUDY: measure every reference (popularity,
co-occurrence, ...) on the data and splits of a stored study, whose cells may be older than it.

They are kept in results/STUDY/references.json; the study's report shows them from then on.
"""
SITE = """python -m bench.report site: all studies on one page, reports/index.html.

Verdicts, accuracies side by side, and links to the studies' own pages.
"""
HEADER = ("system", "A", "B", "change %", "Holm p", "users", "common seeds", "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "compare": _compare, "export": _export, "references": _references, "site": _site,
    }  # fmt: skip
    command = commands.get(given[0] if given else "")
    try:
        return _report(given) if command is None else command(given[1:])
    except UserError as error:
        tell(f"error: {error}", error=True)
        return 2


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
    _warn_of_unreadable(Store(study))
    return 0


def _warn_of_unreadable(store: Store) -> None:
    if left_out := store.unreadable():
        tell(
            f"warning: {len(left_out)} cells of {store.root} cannot be read and are left out "
            f"({left_out[0]}, ...); the command that trained them redoes what is damaged",
            error=True,
        )


def _compare(arguments: Sequence[str]) -> int:
    parser = _parser(" compare", COMPARE)
    add = parser.add_argument
    add("a", metavar="A", help="a study, as it was")
    add("b", metavar="B", help="a study, as it is now")
    add("--metric", choices=FROM_RANKS, default=HEADLINE, help=f"default: {HEADLINE}")
    add("--fall", type=float, default=2.0, metavar="PERCENT", help="tolerated (default: 2)")
    add("--alpha", type=float, default=0.05, help="level of significance (default: 0.05)")
    options = parser.parse_args(arguments)
    from bench.analysis.compare_studies import compare
    from bench.reports.tables import markdown_table
    from bench.studies.store import Store

    a, b = (Store(options.results / name) for name in (options.a, options.b))
    changes, alone = compare(a, b, options.metric)
    for store in (a, b):
        _warn_of_unreadable(store)
    fallen = [change for change in changes if change.fell(options.fall / 100, options.alpha)]
    rows = [
        [c.system, f"{c.before:.4f}", f"{c.after:.4f}", f"{100 * c.share:+.1f}", f"{c.p:.3g}",
         str(c.users), str(c.seeds), "FELL" if c in fallen else ""]
        for c in changes
    ]  # fmt: skip
    tell(f"{options.metric} on the test users, A = {options.a}, B = {options.b}\n")
    tell("\n".join([*markdown_table(HEADER, rows, n_text=1), *alone]))
    tell(
        f"\n{len(fallen)} of {len(changes)} systems fell by more than {options.fall:g} % with "
        f"p < {options.alpha:g}"
    )
    return 1 if fallen else 0


def _export(arguments: Sequence[str]) -> int:
    parser = _parser(" export", EXPORT)
    parser.add_argument("study")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--to", type=Path, metavar="FILE", help="a .csv or .parquet file")
    target.add_argument("--mlflow", metavar="URI", help="a tracking URI")
    options = parser.parse_args(arguments)
    from bench.reports import export
    from bench.studies.store import Store

    store = Store(options.results / options.study)
    _warn_of_unreadable(store)
    if options.mlflow is not None:
        cells, there = export.to_mlflow(store, options.mlflow)
        tell(f"{cells} runs in {options.mlflow}, {there} of them there already")
        return 0
    frame = export.tidy(store)
    export.save(frame, options.to)
    tell(f"{options.to}: {len(frame):,} rows")
    return 0


def _references(arguments: Sequence[str]) -> int:
    parser = _parser(" references", REFERENCES)
    parser.add_argument("study")
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where real datasets lie (default: $BENCH_DATA)"
    )
    options = parser.parse_args(arguments)
    from bench import datasets
    from bench.studies.compared_with import measure_again
    from bench.studies.store import Store

    store = Store(options.results / options.study)
    count = measure_again(store, datasets.data_directory(options.data_dir))
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


def _parser(command: str, description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.report{command}", description=description
    )
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())

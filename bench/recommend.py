"""python -m bench.recommend STUDY SYSTEM: the best items of users, by a trained model.

The study's cells must have kept their models (python -m bench.grid --keep-models).  Users and items
are called by the log's own ids.  FILE is read as the study's own log was, but for --min-count,
unless --columns, --where or --repeats say how.  Exit status: 0 done; 2 bad input.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
import typing
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.datasets.log_options import Reading
from bench.errors import UserError
from bench.grid_options import add_reading
from bench.terminal import Parser, status_of, tell

if typing.TYPE_CHECKING:
    import pandas as pd

    from bench.studies.records import Record


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return status_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        table = _recommended(options)
    for warning in said:
        tell(f"warning: {warning.message}", error=True)
    _hand_out(table, options.out)
    return 0


def _recommended(options: argparse.Namespace) -> pd.DataFrame:
    """A row a user and item."""
    # Who asks for help does not wait for what loads models.
    from bench.models import load_model

    model = load_model(
        options.study,
        options.system,
        dataset=options.dataset,
        backbone=options.backbone,
        objective=options.objective,
        seed=options.seed,
        which=options.model,
        results=options.results,
        device=options.device,
        plugins=options.plugin,
    )
    if options.allow_seen is None and model.ranks_seen:
        tell(
            "note: trained with seen=ranked, so what a user has had is recommended, too; "
            "--no-allow-seen leaves it out",
            error=True,
        )
    if options.users is None:
        if options.columns or options.where or options.repeats:
            raise UserError(
                "--columns, --where and --repeats say how --users is read; leave them out"
            )
        items = [label.strip() for label in next(csv.reader([options.sequence]), [])]
        table = model.table(["-"], [items], options.k, allow_seen=options.allow_seen)
        return table.drop(columns="user")
    users, sequences = _histories(options, model.record)
    return model.table(users, sequences, options.k, allow_seen=options.allow_seen)


def _histories(
    options: argparse.Namespace, record: Record | None
) -> tuple[list[str], list[list[str]]]:
    """Users and what each has had, of the file that was given."""
    from bench.datasets.reading.readers import read_log

    reading = Reading.of(options.columns, options.where, repeats=options.repeats)
    given = bool(options.columns or options.where or options.repeats)
    trained = Reading() if record is None else record.reading
    if not given:
        reading = replace(trained, min_count=1)  # a user of few items has a history, too
    try:
        return read_log(options.users, reading=reading).by_user()
    except UserError as error:
        if given or not reading.words():
            raise
        raise UserError(
            f"{error} (it is read as the study's log, by {shlex.join(reading.words())}; say "
            "otherwise with --columns, --where or --repeats)"
        ) from error


def _hand_out(table: pd.DataFrame, path: Path | None) -> None:
    """Write it, or print it where no file is named."""
    from bench.reports.export import save
    from bench.studies.spreadsheet import csv_of

    if path is None:
        tell(csv_of(table).rstrip("\n"))
    else:
        save(table, path, "--out")
        tell(f"{path}: {len(table):,} rows")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.recommend", description=__doc__)
    add = parser.add_argument
    add("study", metavar="STUDY", help="folder under results")
    add("system", metavar="SYSTEM", help="a sampler as tables call it, or a cell's key")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--users", type=Path, metavar="FILE",
        help="what each user has had: a log in any format that --datasets of bench.grid takes",
    )  # fmt: skip
    given.add_argument(
        "--sequence", metavar="ITEMS", help="what one user has had, oldest first: a,b,c"
    )
    add("--k", type=int, default=20, metavar="COUNT", help="items for a user (default: 20)")
    add("--out", type=Path, metavar="FILE", help=".csv or .parquet (default: printed as CSV)")
    add(
        "--allow-seen", action=argparse.BooleanOptionalAction,
        help="recommend what a user has had, too (default: as trained, --set seen=)",
    )  # fmt: skip
    add_reading(parser, min_count=False)
    add(
        "--dataset",
        metavar="NAME",
        help="where cells of several match; likewise the next three",
    )
    add("--backbone", metavar="NAME")
    add("--objective", metavar="NAME")
    add("--seed", type=int, metavar="NUMBER")
    add(
        "--model", choices=("self", "peer", "ensemble"), default="self",
        help="where two were trained: the one under test (default), the other, both added up",
    )  # fmt: skip
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--results", type=Path, default=Path("results"), metavar="DIR")
    add("--plugin", action="append", default=[], metavar="FILE|MODULE", help="your own components")
    return parser


if __name__ == "__main__":
    sys.exit(main())

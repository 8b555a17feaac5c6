"""The options of ``python -m bench.grid``."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.cell import PRESETS
from bench.datasets.log_options import REPEATS, Reading
from bench.errors import UserError
from bench.studies.limits import BACKBONE, LARGE_DISK, LARGE_HOURS, SEEDS, SETTINGS, TABLES
from bench.studies.units import seconds_of
from bench.terminal import Parser, positive


def parser(kind: type[Parser] = Parser) -> Parser:
    """All of them, in groups."""
    made = kind(
        prog="python -m bench.grid",
        description="Train and compare negative samplers. What is finished is skipped; a run "
        "that was stopped or killed goes on where it was.",
    )
    _add_what(made.add_argument_group("what is crossed"))
    _add_data(made.add_argument_group("data and results"))
    _add_where(made.add_argument_group("where it runs"))
    _add_how(made.add_argument_group("what is done with it"))
    return made


def _add_what(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    whole = group.add_mutually_exclusive_group().add_argument
    whole(
        "--all",
        action="store_true",
        help="every sampler and backbone on the preset's datasets (of demo four and one)",
    )
    whole(
        "--from",
        dest="file",
        type=Path,
        metavar="FILE",
        help="a .toml that holds options (docs/study.toml), beside which others may be given; or "
        "exactly the cells of a study.json, which every study has in its folder: of the other "
        "options here only --datasets (paths of your own logs) and --plugin go with it",
    )
    whole(
        "--table",
        type=int,
        choices=TABLES,
        help="the cells of a table of the paper, in place of what is not chosen otherwise",
    )
    add("--datasets", nargs="+", metavar="NAME", help="registered names, or paths of your own logs")
    add("--backbones", nargs="+", metavar="NAME")
    add("--samplers", nargs="+", metavar="NAME")
    add("--objectives", nargs="+", metavar="NAME", help="default: bce")
    add("--seeds", type=positive, metavar="COUNT", help="how many seeds, 0 .. COUNT-1")
    add(
        "--splits",
        type=positive,
        metavar="COUNT",
        help="so many seeds, each with users of its own to train and to test on: means are then "
        "over draws of the users",
    )
    add(
        "--preset",
        choices=PRESETS,
        help="default: quick, but standard with real data; with --table: paper",
    )
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="OPTION=VALUE",
        help="a hyper-parameter (mdcns.gamma=1.5, sasrec.dropout=0.2, '*.dropout=0.2' wherever it "
        "exists) or a setting of the protocol (epochs=20; gru4rec.lr=0.01 for one backbone alone); "
        "of several values of hyper-parameters (mdcns.gamma=0.5,1,2) every combination is trained, "
        "those with commas written as a JSON list",
    )
    add(
        "--grid",
        action="store_true",
        help="train every setting of each sampler's search space; of more than "
        f"{SETTINGS}, so many drawn at random, always the same",
    )
    add("--plugin", action="append", default=[], metavar="FILE|MODULE", help="your own components")


def _add_data(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--split",
        metavar="NAME",
        help="user (default), authors, user-prefixes, leave-one-out or temporal; with --table "
        "LastFM has user-prefixes, and Beauty authors where the data directory has their file",
    )
    add("--split-file", type=Path, metavar="FILE", help="lines 'user train|val|test'")
    add("--data-dir", metavar="DIR", help="where real datasets lie (default: $BENCH_DATA)")
    add_reading(group)
    add("--results", type=Path, default=Path("results"), metavar="DIR")
    add("--reports", type=Path, default=Path("reports"), metavar="DIR")
    add(
        "--study",
        metavar="NAME",
        help="folder under results and reports (default: the preset, paper-protocol for paper; "
        "PRESET-tuned with --tune, PRESET-splits with --splits, DATASET-budget with --budget; with "
        "--from the folder of the study.json, or the name of the .toml)",
    )


def add_reading(group: argparse._ActionsContainer, min_count: bool = True) -> None:
    """How logs of one's own are read; see `bench.datasets.Reading`.

    Args:
        group: to add options to.
        min_count: whether ``--min-count`` is one.
    """
    add = group.add_argument
    add(
        "--columns",
        metavar="user=NAME,item=NAME,time=NAME",
        help="of your own logs, where they have no usual names; in place of a name its number from "
        "0, which is all there is without a header",
    )
    add(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="of your own logs, rows that meet it: event=purchase, 'rating>=4' (=, !=, >=, <=, >, "
        "<; 'COLUMN!=' for rows that have a value); all of several",
    )
    if min_count:
        add(
            "--min-count",
            type=positive,
            metavar="COUNT",
            help="of your own logs, leave out users and items with fewer interactions, again and "
            "again, until all that are left have as many (default: keep all)",
        )
    add(
        "--repeats",
        choices=REPEATS,
        help="of your own logs, which interactions of a user with one item stay: all (keep, the "
        "default), all but those right after another (drop-consecutive), or the first; whether "
        "what a user has had is ranked again is --set seen=masked (default) or ranked",
    )


def reading_of(options: argparse.Namespace) -> Reading:
    """What the options of `add_reading` say.

    Raises:
        UserError: impossible values.
    """
    return Reading.of(options.columns, options.where, options.min_count, options.repeats)


def _add_where(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--workers",
        type=positive,
        help="cells at a time (default: as many as there are processors, 1 with --device cuda, or "
        "as many as a cluster has workers)",
    )
    add("--threads", type=positive, default=1, help="of each cell")
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--gpus", metavar="NUMBERS", help="several GPUs of this machine, such as 0,1")
    add("--cells-per-gpu", type=positive, metavar="COUNT", help="at a time (default: 1)")
    add(
        "--executor",
        choices=("here", "dask", "ray"),
        default="here",
        help="this machine (default), or a cluster",
    )
    add("--address", metavar="URL", help="of the cluster; without, ray starts one here")


def _add_how(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--tune",
        type=positive,
        metavar="COUNT",
        help="first give every sampler, with its backbone and objective, so many trials, and go on "
        "with the best on validation",
    )
    add(
        "--budget",
        type=time,
        metavar="TIME",
        help="which sampler for my data? the best that can be found in so much time (2h, 1h30m, "
        "90s) of one dataset's systems: all are begun, on validation the best go on, the "
        "finalists are trained at several seeds (at most --seeds, "
        f"{SEEDS} by default) and tested; without --backbones all are with {BACKBONE}",
    )
    add(
        "--test-trials",
        action="store_true",
        help="of a study that --tune has finished: test every trial, for the report alone",
    )
    add(
        "--keep-models",
        action="store_true",
        help="keep trained weights under results/STUDY/models, for python -m bench.recommend; what "
        "is finished without is trained again for them, and keeps its numbers",
    )
    add("--force-stale", action="store_true", help="redo cells trained by other code")
    add(
        "--list",
        nargs="*",
        metavar="NAME",
        help="print what is registered, with defaults, or all that is known of these, and stop",
    )
    add("--dry-run", action="store_true", help="show the plan and its estimate, train nothing")
    add(
        "--yes",
        action="store_true",
        help=f"do not ask before a large run (over {LARGE_HOURS} hours or {LARGE_DISK / 1e9:.0f} "
        "GB of disk, or more memory or disk than there is); asked on a terminal only",
    )


def time(text: str) -> float:
    """Seconds of ``2h``, ``1h30m`` or ``90s``."""
    try:
        return seconds_of(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from error

"""python -m bench.report evaluate STUDY FILE: another library's model under this evaluator.

``python -m bench.data export`` writes the split that it is to be trained on, and whom to predict.
FILE holds its recommendations: a .csv or .tsv with columns of users, items and scores or ranks, or
an .npz with scores [users, items] or lists [users, k], with users and, for scores, items.  What
users have had is masked, ties count half.  The system is kept in the study; the next report shows
it in its tables and tests, marked as external.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.metrics import METRICS
from bench.terminal import Parser, tell

OF_SEVERAL = ("dataset", "split", "split_seed", "split_file", "data_dir")


def main(arguments: Sequence[str]) -> int:
    """Evaluate a file, keep the system and say how it does.

    Raises:
        UserError: see `bench.evaluate`.
    """
    options = _parser().parse_args(arguments)
    from bench.api import Study
    from bench.models import evaluate  # who asks for help does not wait for these

    study = Study(options.study, results=options.results)
    given = {name: getattr(options, name) for name in (*OF_SEVERAL, "seed", "seconds", "complete")}
    made = evaluate(study, options.name, options.file, **given)
    users = f"{made.data['test_users']:,} test users"
    tell(f"{made.label} on {users} of {made.dataset}, split {made.split}")
    for metric, value in made.test.items():
        tell(f"  {metric:<14} {value:.4f}")
    if missing := [metric for metric in METRICS if metric not in made.test]:
        tell(f"  not known: {', '.join(missing)}; of somebody only {made.depth} ranks are listed")
    where = study.store.root
    tell(f"kept in {where}; python -m bench.report {study.name} shows it beside the others")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m bench.report evaluate", description=__doc__)
    add = parser.add_argument
    add("study", metavar="STUDY", help="with finished cells on the same data and split")
    add("file", metavar="FILE", type=Path)
    add("--name", required=True, help="what tables call it, such as 'RecTools SASRec'")
    add(
        "--dataset",
        metavar="NAME",
        help="your own log's path, read as it was for the study; a name, if of several",
    )
    add("--split", metavar="NAME", help="if of several")
    add("--split-seed", type=int, metavar="NUMBER", help="if of several")
    add("--split-file", type=Path, metavar="FILE", help="that the study's cells were split by")
    add("--data-dir", metavar="DIR", help="where real datasets lie (default: $BENCH_DATA)")
    add("--seed", type=int, default=0, metavar="NUMBER", help="which training of it (default: 0)")
    add("--seconds", type=float, help="that its training took; without, none are shown")
    add(
        "--complete",
        action="store_true",
        help="it never recommends what is not in its lists: a target that is not there is a miss",
    )
    add("--results", type=Path, default=Path("results"), metavar="DIR")
    return parser

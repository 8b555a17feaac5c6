"""python -m bench.speed: what each sampler costs, as ratios within one run on one machine.

All systems take turns, round by round, so that whatever else the machine does hits them alike;
a figure is the median over rounds.  Three yardsticks stand beside the systems:

* floor: the same loop with one uniform negative a target drawn ahead of time, which is what the
  backbone alone costs;
* plain: the loop of most published code, one padded prefix a row, candidates gathered and
  multiplied, with the same backbone and one uniform negative;
* for evaluation: the bare product of states and item table with its top 20.

What a candidate pool takes is said in microseconds of a target.

With ``--growth DIR`` it shows instead how the cost of a step grows (see `bench.costs.growth`), with
``--cells COUNT`` how the cost of a cell grows with the study (see `bench.costs.study_size`), with
``--parallel`` whether cells are best trained one by one or side by side.  With ``--study DIR ...``
the systems are those of stored studies, whose reports then go by what is measured: the seconds
that a cell took say something of its machine, too, and of that hour.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.cell import PRESETS
from bench.terminal import Parser, positive, status_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status (2 for bad input)."""
    options = _parser().parse_args(arguments)
    return status_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    from bench import speed_run  # who asks for help does not wait for it

    speed_run.run(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m bench.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--datasets", nargs="+", metavar="NAME", help="default: those of the preset")
    add(
        "--long-histories",
        action="store_true",
        help="in place of datasets: a made log of 6,000 users with 165 of 3,400 items each, on "
        "average, and up to 2,300 (the size of MovieLens-1M)",
    )
    add("--backbones", nargs="+", metavar="NAME", help="default: sasrec")
    add("--samplers", nargs="+", metavar="NAME", help="default: all")
    add("--preset", choices=PRESETS, default="paper", help="default: paper")
    add("--set", nargs="+", action="extend", default=[], metavar="OPTION=VALUE")
    add(
        "--study",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="in place of these: every system that results/STUDY has cells of; reports of these "
        "studies then have the costs that are measured here (costs.json)",
    )
    add("--data-dir", metavar="DIR", help="where real datasets lie (default: $BENCH_DATA)")
    add("--rounds", type=positive, default=5, help="turns of each system (default: 5)")
    add("--batches", type=positive, default=20, help="of each turn (default: 20)")
    add("--threads", type=positive, default=1)
    add("--device", default="cpu", help="cpu (default) or cuda")
    add("--memory", action="store_true", help="peak memory too: an epoch each, in its own process")
    add(
        "--growth",
        type=Path,
        metavar="DIR",
        help="instead: how a step's cost grows with items, N and interactions; table and plot",
    )
    add(
        "--cells",
        type=positive,
        metavar="COUNT",
        help="instead: what a cell costs to plan, train, store and report in a study of so many",
    )
    add(
        "--parallel",
        action="store_true",
        help="instead: one worker on all cores against a worker on each",
    )
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())

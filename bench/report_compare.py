"""python -m bench.report compare A B: two studies side by side, for someone who changed a
sampler.

Systems found in both studies are compared user by user.  The exit status is 1 when the metric of
one falls from A to B by more than a given share, significantly so; 2 is bad input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from bench.metrics import FROM_RANKS, HEADLINE
from bench.report_options import warn_of_unreadable
from bench.terminal import Parser, tell

HEADER = ("system", "A", "B", "change %", "Holm p", "users", "common seeds", "")


def main(arguments: Sequence[str]) -> int:
    """Print what changed; returns 1 where something fell, else 0.

    Raises:
        UserError: a study is not there, or the two have no system in common.
    """
    parser = Parser(prog="python -m bench.report compare", description=__doc__)
    add = parser.add_argument
    add("a", metavar="A", help="a study, as it was")
    add("b", metavar="B", help="a study, as it is now")
    add("--metric", choices=FROM_RANKS, default=HEADLINE, help=f"default: {HEADLINE}")
    add("--fall", type=float, default=2.0, metavar="PERCENT", help="tolerated (default: 2)")
    add("--alpha", type=float, default=0.05, help="level of significance (default: 0.05)")
    add("--results", type=Path, default=Path("results"), metavar="DIR")
    options = parser.parse_args(arguments)
    from bench.analysis.compare_studies import compare
    from bench.reports.tables import markdown_table
    from bench.studies.store import Store

    a, b = (Store(options.results / name) for name in (options.a, options.b))
    changes, alone = compare(a, b, options.metric)
    for store in (a, b):
        warn_of_unreadable(store)
    fallen = [change for change in changes if change.fell(options.fall / 100, options.alpha)]
    rows = [
        [c.system, f"{c.before:.4f}", f"{c.after:.4f}", _percent(c.share), f"{c.p:.3g}",
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


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:+.1f}"

"""Give stored cells the digest that the code which trained them has by now.

For a change of code that altered no number, or of how digests are made: a cell that was current
before is current after.  From the top of the repository, with a checkout of the commit before:

    git worktree add /tmp/before COMMIT
    python tools/reseal.py --before /tmp/before results/*

Cells whose old digest was not current keep it, and stay stale; so do broken cells.  ``--dry-run``
says what would be done.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.cell import Cell
from bench.errors import UserError
from bench.studies.cell_files import seal
from bench.studies.code import code_digest
from bench.studies.store import Store

ASK = """
import json, sys
from bench.cell import Cell
from bench.errors import UserError
from bench.studies.code import code_digest

def digest(config):
    try:
        return code_digest(Cell.from_config(config))
    except UserError:  # it did not know a component
        return None

json.dump([digest(config) for config in json.load(sys.stdin)], sys.stdout)
"""


def old_digests(before: Path, cells: Sequence[Cell]) -> list[str | None]:
    """What the old code says of cells; None where it does not know a component."""
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=before, input=json.dumps([cell.config() for cell in cells]),
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    digests: list[str | None] = json.loads(run.stdout)
    return digests


def reseal(folder: Path, old: str, new: str) -> None:
    """Write another digest into a cell, and nothing else, and seal it again."""
    path = folder / "cell.json"
    before, after = (f'\n "code": "{code}",\n' for code in (old, new))
    text = path.read_bytes().decode()
    assert text.count(before) == 1, path
    path.write_bytes(text.replace(before, after).encode())
    seal(folder)


def reseal_study(root: Path, before: Path, dry_run: bool) -> Counter[tuple[str, str]]:
    """Reseal the cells of one study that were current.

    Returns:
        How many cells became what, by fate and sampler.
    """
    store, keys = Store(root), sorted(path.name for path in (root / "cells").glob("[!.]*"))
    counts: Counter[tuple[str, str]] = Counter()
    sound: dict[str, Any] = {}
    for key in keys:
        try:
            sound[key] = store.load(key)
        except UserError as error:
            counts["broken", str(error)] += 1
    old = old_digests(before, [record.cell for record in sound.values()])
    for (key, record), digest in zip(sound.items(), old, strict=True):
        sampler = record.cell.sampler.name
        if digest is None or record.code != digest:
            counts["left stale", sampler] += 1
            continue
        counts["sealed", sampler] += 1
        if not dry_run:
            reseal(root / "cells" / key, digest, code_digest(record.cell))
    return counts


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY", help="results/<study>")
    parser.add_argument("--before", required=True, type=Path, help="checkout of the old commit")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args(arguments)
    for root in options.studies:
        if not (root / "cells").is_dir():
            continue
        counts = reseal_study(root, options.before, options.dry_run)
        print(f"{root}: {sum(counts.values())} cells")
        for (fate, sampler), count in sorted(counts.items()):
            print(f"  {count:>4} {fate}: {sampler}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m bench.check: everything a change must pass: lint, format, types, tests.

Exit status 0 when all of it passed.  Arguments go to pytest (``python -m bench.check -m slow``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("pytest", "-n", "auto"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks, even after one has failed; 1 if any has."""
    _, for_pytest = _parser().parse_known_args(arguments)
    root = Path(__file__).resolve().parent.parent
    failed = []
    for check in CHECKS:
        command = [*check, *for_pytest] if check[0] == "pytest" else list(check)
        line = " ".join(command)
        print(f"$ {line}", flush=True)
        if subprocess.run([sys.executable, "-m", *command], cwd=root).returncode != 0:
            failed.append(line)
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    """It knows ``--help`` alone; whatever else is given goes to pytest."""
    return argparse.ArgumentParser(
        prog="python -m bench.check",
        usage="%(prog)s [-h] [ARGUMENT OF PYTEST ...]",
        description=__doc__,
        allow_abbrev=False,
    )


if __name__ == "__main__":
    sys.exit(main())

"""python -m bench.check: everything a change must pass: lint, format, types, tests.

Exit status 0 when all of it passed.  Arguments go to pytest (``python -m bench.check -m slow``).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINT = (("ruff", "check", "."), ("ruff", "format", "--check", "."))
TYPES = ("mypy",)
TESTS = ("pytest", "-n", "auto", "--dist", "worksteal")
"""Each worker begins with tests that follow each other, and have their modules' fixtures in common.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks, even after one has failed; 1 if any has."""
    _, for_pytest = _parser().parse_known_args(arguments)
    failed = [_line(check) for check in LINT if not _passes(check)]
    # Types have one process, and tests do not keep all processors busy to their end.
    with ThreadPoolExecutor(max_workers=1) as beside:
        types = beside.submit(_run, TYPES, kept=True)
        tests = (*TESTS, *for_pytest)
        passed = _passes(tests)
        print(f"$ {_line(TYPES)}\n{types.result().stdout}", end="", flush=True)
    failed += [] if types.result().returncode == 0 else [_line(TYPES)]
    failed += [] if passed else [_line(tests)]
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


def _passes(check: Sequence[str]) -> bool:
    print(f"$ {_line(check)}", flush=True)
    return _run(check).returncode == 0


def _run(check: Sequence[str], kept: bool = False) -> subprocess.CompletedProcess[str]:
    """Run it; what it prints goes to the terminal, or is kept as ``stdout``."""
    out, errors = (subprocess.PIPE, subprocess.STDOUT) if kept else (None, None)
    command = [sys.executable, "-m", *check]
    return subprocess.run(command, cwd=ROOT, text=True, stdout=out, stderr=errors)


def _line(check: Sequence[str]) -> str:
    return " ".join(check)


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

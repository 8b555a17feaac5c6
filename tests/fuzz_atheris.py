"""Fuzzing guided by coverage: ``python tests/fuzz_atheris.py [libFuzzer's options]``.

Its targets are those of ``tests/fuzz``, less those that write a study each time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["bench.datasets", "bench.studies.cell_files", "bench.json_shape"]
):
    from support.hostile import attempt
    from support.targets import STUDIES, TARGETS

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
CHOSEN = [t for t in TARGETS.values() if t.use not in STUDIES]


def one_input(data: bytes) -> None:
    """The first byte chooses the target, the second whether the rest is packed."""
    if len(data) < 2:
        return
    target = CHOSEN[data[0] % len(CHOSEN)]
    attempt(target, target.pack(data[2:]) if data[1] % 4 else data[2:], FOLDER)


if __name__ == "__main__":
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for place, target in enumerate(CHOSEN):
        (corpus / target.name).write_bytes(bytes([place, 1]) + target.content)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()

"""Damaging files, handing them to what reads them, and watching what that takes."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import UserError

NASTY = [
    b"", b"\n", b"\n\n", b"\r", b"\r\n", b",", b"\t", b" ", b'"', b"'", b"\0", b"-", b"-1", b"0",
    b"1e400", b"nan", b"inf", b"1_0", b"0x1", b"9" * 20, b"9" * 5000, b"-9223372036854775808",
    b"2147483648", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", "\u2028١é".encode(), b"user",
    b"user,user", b"timestamp", b"../../etc/x", b"/etc/passwd", b"{", b"[" * 3000, b"<script>",
    b'"\\ud800"', b"true", b"null", b"Infinity", b",x" * 11_000,
]  # fmt: skip
EDITS = st.lists(
    st.tuples(
        st.integers(0, 2**12), st.integers(0, 12), st.sampled_from(NASTY) | st.binary(max_size=9)
    ),
    min_size=1,
    max_size=5,
)

TRIED = Counter()
"""Inputs by target, and refused ones."""


def edited(content, edits):
    """Content with pieces taken out and others put in."""
    data = bytearray(content)
    for place, length, new in edits:
        start = place % (len(data) + 1)
        data[start : start + length] = new
    return bytes(data)


def attempt(target, content, folder):
    """Let a target have this content; any error but the documented one is a failure."""
    path = folder / target.name
    path.write_bytes(content)
    TRIED[target.name] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, about what an NPY header says
        try:
            target.use(path)
        except UserError as error:
            TRIED[f"{target.name} refused"] += 1
            assert len(str(error)) > 20
            assert len(str(error)) < 2000


def fuzz(target, examples, folder):
    """Edit the good content, before or after packing, or take any bytes at all."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.one_of(
            EDITS.map(lambda edits: target.pack(edited(target.content, edits))),
            EDITS.map(lambda edits: edited(target.pack(target.content), edits)),
            st.binary(max_size=200),
        )
    )
    def run(content):
        attempt(target, content, folder)

    run()


@contextmanager
def watched():
    """Yields what gives the growth of the process's memory at its peak, in MB, and seconds."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before, started = _peak_mb(), time.perf_counter()
    yield lambda: (_peak_mb() - before, time.perf_counter() - started)


def _peak_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

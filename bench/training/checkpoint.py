"""Where training stands, kept on disk between epochs so that a killed cell goes on.

Streams of random numbers are reseeded every step from the step's number, so the weights, the
optimiser's and the sampler's memory, and the epochs so far are all there is to keep: a run that
was stopped and goes on gives the numbers of one that was not.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from bench.files import replace

EVERY_S = 60.0
"""Seconds of training between two checkpoints: about what a kill may cost."""


class Checkpoint:
    """A file with the state of one cell in training.

    A SHA-256 digest, then tensors, numbers and strings only, read with ``weights_only``: a file
    from elsewhere is data, and a damaged one is not used.

    Attributes:
        before: seconds, of the clock and of the processor, that went into the state that was
            loaded, in processes that are no more.
        loaded: the file that the state was loaded from; before that, ``path``.
        keep: where the state at the end of training is kept, or None.
    """

    def __init__(
        self, path: Path, made_by: str, start: Path | None = None, keep: Path | None = None
    ) -> None:
        """
        Args:
            path: of the file.
            made_by: digest of the code that trains; a checkpoint by other code is not used.
            start: a state that the same training was kept at, with a lower limit of epochs: what
                it goes on from where ``path`` has nothing.
            keep: where to keep the state that training ends with, to go on from with a higher one.
        """
        self.path, self._made_by = path, made_by
        self._start, self.keep, self.loaded = start, keep, path
        self.before = [0.0, 0.0]
        self._started = _clocks()
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last one is long enough ago."""
        return time.monotonic() - self._saved >= EVERY_S

    def save(self, state: dict[str, Any]) -> None:
        """Write the state in place of the former one; a kill leaves the one or the other.

        Where it cannot be written (a full disk), training goes on without.
        """
        self._write(self.path, state)

    def end(self, state: dict[str, Any]) -> None:
        """Keep the state that training ends with, where that is asked for."""
        if self.keep is not None:
            self._write(self.keep, state)

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        now = zip(self.before, self._started, _clocks(), strict=True)
        content = packed(state, self._made_by, [old + end - start for old, start, end in now])
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, content)
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state; None where there is none, or none that can be used."""
        for path in (self.path, self._start):
            if path is not None and (state := self._read(path)) is not None:
                self.loaded = path
                return state
        return None

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            stored_bytes = path.read_bytes()
            content = stored_bytes[32:]
            if hashlib.sha256(content).digest() != stored_bytes[:32]:
                return None
            # PyTorch stores what it saves uncompressed: what is compressed may be a bomb.
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                if any(info.compress_type != zipfile.ZIP_STORED for info in packed.infolist()):
                    return None
            stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if stored["made_by"] != self._made_by:
                return None
            state: dict[str, Any] = stored["state"]
            wall_s, cpu_s = stored["seconds"]
            self.before = [float(wall_s), float(cpu_s)]
            return state
        except Exception:  # whatever it is, PyTorch raises a dozen kinds of them
            return None


def _clocks() -> list[float]:
    return [time.perf_counter(), time.process_time()]


def packed(state: dict[str, Any], made_by: str, seconds: list[float]) -> bytes:
    """What a checkpoint's file holds: a SHA-256 digest, then what it is of."""
    content = io.BytesIO()
    torch.save({"made_by": made_by, "state": state, "seconds": seconds}, content)
    return hashlib.sha256(content.getbuffer()).digest() + content.getbuffer()

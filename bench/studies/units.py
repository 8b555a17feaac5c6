"""Seconds and bytes as people read them."""

from __future__ import annotations

import re
from datetime import timedelta

from bench.errors import UserError


def duration(seconds: float) -> str:
    """``1:02:03``; days when there are any, up to a million."""
    return str(timedelta(seconds=round(min(seconds, 86_400e6))))


def seconds_of(text: str) -> float:
    """``2h``, ``1h30m``, ``90s`` as seconds.

    Raises:
        UserError: it is none of these.
    """
    match = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise UserError(f"{text!r} is no time; expected such as 2h, 1h30m, 30m or 90s")
    return float(total)


def shortly(seconds: float) -> str:
    """``1h30m``: the inverse of `seconds_of`, to the second."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if n]
    return "".join(parts) or "0s"


def size(n: float) -> str:
    """Bytes in MB or, from 1,000 of them on, GB."""
    return f"{max(1, n / 1e6):,.0f} MB" if n < 1e9 else f"{n / 1e9:,.1f} GB"

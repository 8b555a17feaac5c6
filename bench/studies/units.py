"""Seconds and bytes as people read them."""

from __future__ import annotations

from datetime import timedelta


def duration(seconds: float) -> str:
    """``1:02:03``; days when there are any, up to a million."""
    return str(timedelta(seconds=round(min(seconds, 86_400e6))))


def size(n: float) -> str:
    """Bytes in MB or, from 1,000 of them on, GB."""
    return f"{max(1, n / 1e6):,.0f} MB" if n < 1e9 else f"{n / 1e9:,.1f} GB"

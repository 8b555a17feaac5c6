"""Samplers that are one method with a loss of their own."""

from __future__ import annotations

import samplers
from bench.errors import UserError


def has_own_loss(sampler: str) -> bool:
    """Whether it goes with one loss alone; a plug-in that is not loaded counts as free."""
    try:
        return samplers.registry.get(sampler).objective is not None
    except UserError:
        return False

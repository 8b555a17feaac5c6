"""No test of this folder looks at pictures."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def without_pictures(sketches_throughout):
    """Reports have blank ones."""

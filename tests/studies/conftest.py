"""No test of this folder looks at pictures; a machine that is made up."""

from __future__ import annotations

import pytest
from support.machine import machine  # noqa: F401  a fixture


@pytest.fixture(autouse=True, scope="module")
def without_pictures(sketches_throughout):
    """Reports have blank ones."""

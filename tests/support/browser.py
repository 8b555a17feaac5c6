"""A browser of this system, and the checker of accessibility that some tests run in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = "AXE_CORE"
"""Environment variable: the path of ``axe.min.js``."""


@pytest.fixture
def chromium():
    """A headless browser of this system."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
    if found is None:
        pytest.skip("no Chromium found (on Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright (pip install -e '.[browser]')"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture
def axe():
    """The script of axe-core, which is no part of this project."""
    path = Path(os.environ.get(AXE, ROOT / "node_modules/axe-core/axe.min.js"))
    if not path.is_file():
        pytest.skip(f"no axe-core at {path} (npm install --no-save axe-core, or set {AXE})")
    return path.read_text(encoding="utf-8")

"""The API reference builds, and what the texts point to is there."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import backbones
import bench
import samplers

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (bench, samplers, backbones)
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *(ROOT / folder / "README.md" for folder in ("results", "reports", "bench/studies/published")),
]
OURS = r"(?:bench|samplers|backbones|tests|tools|docs)"
UNKNOWN_TO_PANDAS = "type 'Series' is not subscriptable"
"""`pd.Series[float]` is a type of its stubs alone."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The API reference as docs/index.md has it built, and what pdoc could not make out."""
    folder = tmp_path_factory.mktemp("api")
    options = ["-W", "always::UserWarning"]
    build = [sys.executable, *options, "docs/reference.py", str(folder), "--no-source"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder, re.findall(r"UserWarning: (.*)", run.stderr)


def test_the_reference_has_a_page_for_every_module(reference):
    folder, _ = reference
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            assert (folder / f"{module.name.replace('.', '/')}.html").is_file(), module.name


def test_every_type_in_a_signature_is_found(reference):
    _, messages = reference
    assert [text for text in messages if UNKNOWN_TO_PANDAS not in text] == []


def test_every_name_of_ours_in_a_docstring_is_found(reference):
    """pdoc makes a link of a dotted name in backticks; one that leads nowhere stays plain."""
    folder, _ = reference
    plain = re.compile(r"<code>((?:bench|samplers|backbones)(?:\.\w+)+)</code>")
    pages = {
        str(path.relative_to(folder)): plain.findall(path.read_text(encoding="utf-8"))
        for path in folder.rglob("*.html")
    }
    assert {name: found for name, found in pages.items() if found} == {}


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_file_name_in_a_text_leads_somewhere(text):
    content = text.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", content):
        if "://" not in target:
            name, _, heading = target.partition("#")
            linked = text.parent / name if name else text
            assert linked.exists(), target
            assert not heading or heading in headings(linked), target
    for name in re.findall(rf"(?<![\w./-]){OURS}/[\w./+-]*\w", content):
        assert "NAME" in name or (ROOT / name).exists(), name
    for name in re.findall(r"`bench((?:\.\w+)+)`", content):
        found = pkgutil.resolve_name(f"bench{name}")
        assert found is not None


def headings(text):
    """Anchors of a Markdown file, as its viewers make them."""
    lines = re.findall(r"^#+ (.*)$", text.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}

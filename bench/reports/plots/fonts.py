"""Fonts for names in any script: matplotlib's own font has Latin, Greek and Cyrillic letters, but
no Chinese, Japanese, Korean or Thai ones, and draws boxes in their place."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Iterator

from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

# Matplotlib warns of every such character in every plot; we do once, in our words.
warnings.filterwarnings("ignore", "Glyph .* missing from font")


def choose(figure: Figure) -> None:
    """Give the texts that the usual font cannot show fonts of this machine that can.

    Texts that it can show, so nearly all, are drawn as they were.  What no font has is said once.
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        lacking = sorted(set(text.get_text()) - _characters(_usual()) - {"\n"})
        if lacking:
            families = dict.fromkeys(filter(None, map(_family_with, lacking)))
            text.set_fontfamily([*rcParams["font.family"], *families])


def _usual() -> str:
    return font_manager.findfont(font_manager.FontProperties())


@functools.cache
def _characters(path: str) -> frozenset[str]:
    """All that a font has."""
    return frozenset(map(chr, FT2Font(path).get_charmap()))


@functools.cache
def _family_with(character: str) -> str | None:
    """The first family by its name, of those with this character, in the usual style."""
    families = {name for name, path in _upright() if character in _characters(path)}
    if not families:
        _say_missing()
    return min(families, default=None)


def _upright() -> Iterator[tuple[str, str]]:
    """Name and file of this machine's fonts; not of the one that has a box for everything."""
    for font in font_manager.fontManager.ttflist:
        if font.style == "normal" and font.weight in (400, "normal") and "Last" not in font.name:
            yield font.name, font.fname


@functools.cache
def _say_missing() -> None:
    """Once, not for every character of every plot."""
    print(
        "warning: names have characters that no font of this machine has; plots show boxes in "
        "their place, tables and pages are not touched (Noto Sans of that script helps)",
        file=sys.stderr,
    )

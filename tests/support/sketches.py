"""Figures that are composed and not rendered, for tests that look at everything else of a report.

Matplotlib takes most of a small report's time.  What is drawn, and that it can be read, is for
`tests/reports/test_plots.py` and those beside it, which do render.
"""

from __future__ import annotations

import contextlib
import io
from unittest import mock

from PIL import Image

from bench.reports.plots import style
from bench.reports.presentation import Presentation


def _pixel():
    content = io.BytesIO()
    Image.new("L", (1, 1)).save(content, format="PNG")
    return content.getvalue()


BLANK = {
    "png": _pixel(),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>\n',
    "pdf": b"%PDF-1.4\n",
}
"""Contents of files, by format."""


@contextlib.contextmanager
def sketched():
    """Every figure's files are blank within."""
    with mock.patch.object(style, "rendered", _blank):
        yield


def _blank(_):
    presentation = style._presentation.get() or Presentation()
    return {each: BLANK[each] for each in presentation.figures}

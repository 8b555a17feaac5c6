"""Pages from templates: one file each, which asks for nothing over the network.

Its Content-Security-Policy forbids it to: pictures are embedded, style and script are part of the
page.  Whatever is shown is text, escaped by the template.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bench.reports.alt_texts import Described
from bench.reports.document import (
    Bullets,
    Code,
    Document,
    Emphasis,
    Heading,
    Paragraph,
    Part,
    Picture,
    Table,
    pieces,
)
from bench.reports.facets import NONE, Facets, about
from bench.reports.tables import after

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("tables.js", "filters.js", "costs.js", "reading.js")
"""Parts of a page's one script, in their order."""

KINDS = {
    "heading": Heading,
    "paragraph": Paragraph,
    "bullets": Bullets,
    "table": Table,
    "picture": Picture,
    "code": Code,
    "emphasis": Emphasis,
}
"""What the templates ask of a part or of a piece of text."""


@dataclass
class Anchors:
    """The headings of a page, by which the table of contents finds them.

    Attributes:
        listed: level, text and id of each, in their order.
    """

    listed: list[tuple[int, str, str]] = field(default_factory=list)
    _taken: Counter[str] = field(default_factory=Counter)

    def add(self, level: int, text: str, within: str = "") -> str:
        """An id for a heading, and its place in the list.

        Args:
            level: of the heading.
            text: of the heading.
            within: what the id starts with: headings of several sections have one text.
        """
        plain = re.sub(r"[^a-z0-9]+", "-", f"{within} {text}".lower()).strip("-") or "part"
        self._taken[plain] += 1
        name = plain if self._taken[plain] == 1 else f"{plain}-{self._taken[plain]}"
        self.listed.append((level, text, f"at-{name}"))
        return f"at-{name}"


def rendered(
    template: str,
    facets: Facets = NONE,
    described: Mapping[str, Described] | None = None,
    **shown: Any,
) -> str:
    """A page of a template, with style, script and policy.

    Args:
        template: its file.
        facets: what its tables can be filtered by.
        described: name of a picture to what it shows; of others captions say it.
        shown: what else the template asks for.
    """
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    jinja = _environment(facets, described or {})
    return jinja.get_template(template).render(
        style=Markup(style), script=Markup(script), policy=_policy(style, script), **shown
    )


def _environment(facets: Facets, described: Mapping[str, Described]) -> jinja2.Environment:
    """Templates in which all is escaped, with tests for the kinds of parts."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name, kind in KINDS.items():
        jinja.tests[name] = lambda part, kind=kind: isinstance(part, kind)
    jinja.globals |= {"facets": facets, "anchors": Anchors(), "about": about}
    jinja.filters |= {
        "pieces": pieces,
        "after": after,
        "opening": _opening,
        "details": lambda document: document.parts[len(_opening(document)) :],
        "embedded": lambda content: base64.b64encode(content).decode(),
        "described": lambda picture: described.get(picture.name, Described("")),
    }
    return jinja


def _policy(style: str, script: str) -> str:
    """No network, and no style or script but the page's own."""
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (style, script)
    ]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; "
        f"script-src 'sha256-{digests[1]}'; base-uri 'none'; form-action 'none'"
    )


def _opening(document: Document) -> Sequence[Part]:
    """What comes before the first heading."""
    for place, part in enumerate(document.parts):
        if isinstance(part, Heading):
            return document.parts[:place]
    return document.parts

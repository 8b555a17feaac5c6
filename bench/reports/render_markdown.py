"""A document as Markdown, in which HTML is text but for the ``<u>`` of the second best."""

from __future__ import annotations

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
    Text,
    Warned,
    pieces,
)
from bench.reports.tables import markdown_table, plain


def markdown(document: Document) -> str:
    """The document's Markdown file; its pictures are those beside it."""
    first = [Bullets(document.verdict)] if document.verdict else []
    blocks = [f"# {plain(document.title)}", *map(_block, [*first, *document.parts])]
    return "\n\n".join(blocks) + "\n"


def _block(part: Part) -> str:
    match part:
        case Heading(text, level):
            return f"{'#' * level} {plain(text)}"
        case Paragraph(text):
            return _inline(text)
        case Warned(text):
            return f"WARNING: {plain(text)}"
        case Bullets(items):
            return "\n".join(f"- {_inline(item)}" for item in items)
        case Table():
            return "\n".join(markdown_table(part.header, part.rows, part.n_text, part.last_is_text))
        case Picture(caption=caption):
            return f"![{plain(caption)}]({next(iter(part.files))})"


def _inline(text: Text) -> str:
    return "".join(map(_piece, pieces(text)))


def _piece(piece: str | Code | Emphasis) -> str:
    match piece:
        case Code(text):
            return f"`{plain(text)}`"
        case Emphasis(text):
            return f"*{plain(text)}*"
        case str():
            return plain(piece)

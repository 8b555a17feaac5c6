"""A document with its names as they are printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.reports.document import (
    Bullets,
    Document,
    Emphasis,
    Heading,
    Paragraph,
    Part,
    Picture,
    Print,
    Table,
    Text,
    Value,
    Warned,
    pieces,
)
from bench.reports.names import Names


def renamed(document: Document, names: Names) -> Document:
    """A document with its names as they are printed; its data and its files keep theirs."""
    write = names.text
    return replace(
        document,
        title=write(document.title),
        parts=[_part(part, write) for part in document.parts],
        verdict=[write(sentence) for sentence in document.verdict],
    )


def _part(part: Part, write: Callable[[str], str]) -> Part:
    match part:
        case Heading(text):
            return replace(part, text=write(text))
        case Paragraph(text):
            return Paragraph(_text(text, write))
        case Warned(text):
            return Warned(write(text))
        case Bullets(items):
            return Bullets([_text(item, write) for item in items])
        case Picture(caption=caption):
            return replace(part, caption=write(caption))
        case Table():
            return replace(
                part,
                caption=write(part.caption),
                header=[write(name) for name in part.header],
                rows=[[_value(value, write) for value in row] for row in part.rows],
                keys=[tuple(map(write, key)) for key in part.keys],
                printed=part.printed and _print(part.printed, write),
            )


def _print(printed: Print, write: Callable[[str], str]) -> Print:
    return Print(write(printed.caption), printed.header, [write(note) for note in printed.notes])


def _text(text: Text, write: Callable[[str], str]) -> Text:
    if isinstance(text, str):
        return write(text)
    return tuple(
        write(piece)
        if isinstance(piece, str)
        else replace(piece, text=write(piece.text))
        if isinstance(piece, Emphasis)
        else piece  # the name of a file
        for piece in pieces(text)
    )


def _value(value: Value, write: Callable[[str], str]) -> Value:
    return write(value) if isinstance(value, str) else value

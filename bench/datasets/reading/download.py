"""Downloads: progress, resume, checksums, and no surprises from the server."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from bench.errors import UserError
from bench.files import why

MAX_BYTES = 2**31
CHUNK = 2**18
NOTHING_BEYOND = 416
"""The status by which a server says that a file has no bytes from the offset asked for on."""
TIMEOUT = 30
"""Seconds without a byte after which a server counts as gone."""


def download(url: str, target: Path, md5: str | None = None) -> Path:
    """Fetch ``url`` to ``target``, going on where an earlier attempt stopped.

    The file appears under its name only when complete and verified.  Where the source publishes
    no checksum the first download is pinned: ``<target>.sha256`` is written beside it, and a file
    that no longer matches it is refused.

    Args:
        url: http or https.
        target: where to put it; its directory is made.
        md5: the checksum that the source publishes, if it does.

    Returns:
        ``target``.

    Raises:
        UserError: unreachable, refused, cut short, too long, redirected to another scheme, or
            not the file it should be; says what to do.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        if urlsplit(url).scheme not in ("http", "https"):
            raise UserError(f"{url}: only http and https are fetched")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _receive(url, part)
            _verify(part, target, md5)
            part.replace(target)
            _validator(part).unlink(missing_ok=True)
        else:
            _verify(target, target, md5)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{url}: {reason}; run the command again to go on, give --mirror, or put the file at "
            f"{target} by hand"
        ) from error
    except ValueError as error:  # of an address or a header
        raise UserError(f"{url}: not an address, or redirected to none ({error})") from error
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({why(error)})") from error
    return target


def _receive(url: str, part: Path) -> None:
    """Bring ``part`` to its full length."""
    have = part.stat().st_size if part.exists() else 0
    validator = _validator(part)
    tag = _usable(_note(validator)) if validator.is_file() else ""
    request = urllib.request.Request(url)
    if have and tag:
        # Unless the server still has the very same file, If-Range makes it send all of it.
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag)
    opener = urllib.request.build_opener(_SameScheme)
    try:
        response = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != NOTHING_BEYOND or not request.has_header("Range"):
            raise
        error.close()
        if error.headers.get("Content-Range", "").endswith(f"*/{have}"):
            return  # An earlier attempt ended after the last byte, before the file had its name.
        part.unlink()
        _receive(url, part)
        return
    with response:
        start = _start(response)
        if start not in (0, have):
            raise UserError(f"{url}: the server resumes at byte {start}, not {have}; delete {part}")
        length = _whole_number(response.headers.get("Content-Length", ""))
        total = None if length is None else start + length
        if total is not None and total > MAX_BYTES:
            raise UserError(f"{url}: {total} bytes are more than the limit of {MAX_BYTES}")
        _remember(validator, response)
        size = _copy(response, part, start, total)
    if total is not None and size < total:
        raise UserError(
            f"{url}: ended after {size} of {total} bytes; run the command again to go on"
        )


def _copy(response: HTTPResponse, part: Path, start: int, total: int | None) -> int:
    """Append the response to the first ``start`` bytes of ``part``; the size reached."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with (
        part.open("ab") as file,
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
    ):
        file.truncate(start)
        task = progress.add_task(part.stem, total=total, completed=start)
        size = start
        while chunk := response.read(CHUNK):
            size += len(chunk)
            if size > MAX_BYTES:
                raise UserError(f"{response.url}: longer than the limit of {MAX_BYTES} bytes")
            file.write(chunk)
            progress.update(task, completed=size)
    return size


def _start(response: HTTPResponse) -> int:
    """The offset at which the response begins."""
    if response.status != 206:
        return 0
    given = response.headers.get("Content-Range", "")
    first = _whole_number(given.removeprefix("bytes ").partition("-")[0])
    return -1 if first is None else first


def _whole_number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _note(path: Path) -> str:
    """What is noted beside a download, damaged or not."""
    return path.read_text(encoding="utf-8", errors="replace")


def _validator(part: Path) -> Path:
    return part.with_name(f"{part.name}.validator")


def _remember(validator: Path, response: HTTPResponse) -> None:
    """Keep what tells this version of the file from another; weak tags do not."""
    tag = _usable(response.headers.get("ETag", ""))
    if not tag or tag.startswith("W/"):
        tag = _usable(response.headers.get("Last-Modified", ""))
    if tag:
        validator.write_text(tag, encoding="utf-8")
    else:
        validator.unlink(missing_ok=True)


def _usable(tag: str) -> str:
    """A tag that can be sent back in a header; else none."""
    return tag if tag.isascii() and tag.isprintable() else ""


def _verify(path: Path, target: Path, md5: str | None) -> None:
    """Hold ``path`` against the published checksum, or the pinned one, or pin it."""
    pin = target.with_name(f"{target.name}.sha256")
    kind = "sha256" if md5 is None else "md5"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if md5 is None and not pin.is_file():
        pin.write_text(f"{found}  {target.name}\n", encoding="utf-8")
        return
    wanted = md5 if md5 is not None else _note(pin).partition(" ")[0]
    if found != wanted:
        if path != target:  # going on from it would never end well
            path.unlink()
            _validator(path).unlink(missing_ok=True)
        raise UserError(
            f"{target}: its {kind} is {found}, expected {wanted[:64]}"
            + (f"; delete {target} to fetch it again" if path == target else "; fetch it again")
            + ("" if md5 else f", and {pin} too if the source has published another version")
        )


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Redirects within one scheme only: https never becomes http, nor either a file."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != urlsplit(req.full_url).scheme:
            raise UserError(
                f"{req.full_url}: redirected to {newurl}, another scheme, which is not followed; "
                "give --mirror, or fetch the file by hand"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)

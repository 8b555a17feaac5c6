"""Downloads from a server on this machine: whole, cut, changed, hostile."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.sources import amazon_file, assert_same, five_core_sequences, random_events

from bench import data
from bench.datasets import registry, resolve_dataset
from bench.datasets.reading import download as module
from bench.datasets.reading.download import download
from bench.errors import UserError

CONTENT = bytes(range(256)) * 2_000


class Server:
    """Serves ``files``; keeps what was asked for; misbehaves as told."""

    def __init__(self):
        self.files, self.requests, self.cut, self.redirect = {}, [], None, None
        self.ranges, self.headers, self.says_length = True, {}, True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, request):
        asked = request.headers.get("Range")
        self.requests.append((request.path, asked))
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        content = self.files.get(request.path.lstrip("/"))
        if content is None:
            request.send_error(404)
            return
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        if asked and self.ranges and request.headers.get("If-Range") == tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                request.send_response(416)
                if self.says_length:
                    request.send_header("Content-Range", f"bytes */{len(content)}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        sent = {"ETag": tag, "Content-Length": str(len(content) - start)} | self.headers
        for name, value in sent.items():
            request.send_header(name, value)
        request.end_headers()
        end = len(content) if self.cut is None else self.cut
        request.wfile.write(content[start:end])


@pytest.fixture
def server():
    made = Server()
    made.files["file.bin"] = CONTENT
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_is_pinned(server, tmp_path):
    target = download(f"{server.url}/file.bin", tmp_path / "raw" / "file.bin")
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["file.bin", "file.bin.sha256"]
    assert hashlib.sha256(CONTENT).hexdigest() in (tmp_path / "raw/file.bin.sha256").read_text()
    download(f"{server.url}/file.bin", target)
    assert len(server.requests) == 1  # what is there is verified, not fetched again


def test_a_pinned_file_that_changed_is_refused(server, tmp_path):
    target = download(f"{server.url}/file.bin", tmp_path / "file.bin")
    target.write_bytes(b"tampered")
    with pytest.raises(UserError, match=r"its sha256 is .*delete .*file.bin to fetch it again"):
        download(f"{server.url}/file.bin", target)
    target.unlink()
    server.files["file.bin"] = b"another version"
    with pytest.raises(UserError, match="another version"):
        download(f"{server.url}/file.bin", target)
    assert not target.exists()


def test_a_cut_download_goes_on_where_it_stopped(server, tmp_path):
    target = tmp_path / "file.bin"
    server.cut = 300_000
    with pytest.raises(UserError, match="run the command again to go on"):
        download(f"{server.url}/file.bin", target)
    assert not target.exists()
    server.cut = None
    have = (tmp_path / "file.bin.part").stat().st_size
    assert 0 < have <= 300_000
    assert download(f"{server.url}/file.bin", target).read_bytes() == CONTENT
    assert server.requests[-1][1] == f"bytes={have}-"
    assert names(tmp_path) == ["file.bin", "file.bin.sha256"]


@pytest.mark.parametrize(
    ("part", "says_length", "asked_for"),
    [
        (CONTENT, True, [f"bytes={len(CONTENT)}-"]),
        (CONTENT, False, [f"bytes={len(CONTENT)}-", None]),
        (CONTENT + b"more", True, [f"bytes={len(CONTENT) + 4}-", None]),
    ],
)
def test_a_download_killed_after_its_last_byte_is_finished(
    server, tmp_path, part, says_length, asked_for
):
    (tmp_path / "file.bin.part").write_bytes(part)
    tag = f'"{hashlib.md5(CONTENT).hexdigest()}"'
    (tmp_path / "file.bin.part.validator").write_text(tag, encoding="utf-8")
    server.says_length = says_length
    assert download(f"{server.url}/file.bin", tmp_path / "file.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == asked_for
    assert names(tmp_path) == ["file.bin", "file.bin.sha256"]


def test_a_whole_part_that_is_not_the_published_file_is_fetched_again(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[::-1])
    tag, md5 = f'"{hashlib.md5(CONTENT).hexdigest()}"', hashlib.md5(CONTENT).hexdigest()
    (tmp_path / "file.bin.part.validator").write_text(tag, encoding="utf-8")
    with pytest.raises(UserError, match="; fetch it again"):
        download(f"{server.url}/file.bin", tmp_path / "file.bin", md5)
    assert download(f"{server.url}/file.bin", tmp_path / "file.bin", md5).read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_fetched_from_the_start(server, tmp_path):
    server.cut = 300_000
    with pytest.raises(UserError):
        download(f"{server.url}/file.bin", tmp_path / "file.bin")
    server.cut, server.files["file.bin"] = None, CONTENT[::-1]
    assert download(f"{server.url}/file.bin", tmp_path / "file.bin").read_bytes() == CONTENT[::-1]


def test_a_server_that_cannot_resume_sends_all_of_it(server, tmp_path):
    server.cut, server.ranges = 300_000, False
    with pytest.raises(UserError):
        download(f"{server.url}/file.bin", tmp_path / "file.bin")
    server.cut = None
    assert download(f"{server.url}/file.bin", tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_published_checksum_is_held_to(server, tmp_path):
    good = hashlib.md5(CONTENT).hexdigest()
    download(f"{server.url}/file.bin", tmp_path / "good.bin", md5=good)
    with pytest.raises(UserError, match=f"its md5 is {good}, expected {'0' * 32}; fetch it again"):
        download(f"{server.url}/file.bin", tmp_path / "bad.bin", md5="0" * 32)
    assert not list(tmp_path.glob("bad.bin*"))


@pytest.mark.parametrize("location", ["https://127.0.0.1/x", "ftp://127.0.0.1/x", "file:///etc/x"])
def test_a_redirect_to_another_scheme_is_not_followed(server, tmp_path, location):
    server.redirect = location
    with pytest.raises(UserError, match=r"another scheme|is not allowed"):
        download(f"{server.url}/file.bin", tmp_path / "file.bin")
    assert names(tmp_path) == []


def test_a_redirect_within_the_scheme_is_followed(server, tmp_path):
    other = Server()
    other.redirect = f"{server.url}/file.bin"
    assert download(f"{other.url}/moved", tmp_path / "file.bin").read_bytes() == CONTENT
    other.server.shutdown()
    other.server.server_close()


def test_too_long_is_refused(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1_000)
    with pytest.raises(UserError, match="more than the limit of 1000"):
        download(f"{server.url}/file.bin", tmp_path / "file.bin")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "many"},
        {"Content-Length": "-1"},
        {"Content-Length": "9" * 5000},
        {"ETag": '"a\r\n b"'},
        {"ETag": "\xe9"},
        {"Content-Range": "bytes \xb2-5/6"},
    ],
)
def test_headers_that_say_nothing_are_not_relied_on(server, tmp_path, headers):
    server.headers, server.cut = headers, 300_000
    for _ in range(2):
        try:
            download(
                f"{server.url}/file.bin", tmp_path / "file.bin", hashlib.md5(CONTENT).hexdigest()
            )
        except UserError as error:
            assert "file.bin" in str(error)
        server.headers, server.cut = {}, None
    target = tmp_path / "file.bin"
    assert download(f"{server.url}/file.bin", target).read_bytes() == CONTENT


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b"\n"])
def test_damaged_notes_beside_a_download(server, tmp_path, junk):
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1000])
    (tmp_path / "file.bin.part.validator").write_bytes(junk)
    target = download(f"{server.url}/file.bin", tmp_path / "file.bin")
    assert target.read_bytes() == CONTENT
    (tmp_path / "file.bin.sha256").write_bytes(junk)
    with pytest.raises(UserError, match="its sha256 is"):
        download(f"{server.url}/file.bin", target)


@pytest.mark.parametrize(
    "location", ["http://[", "http://a b/", "http://127.0.0.1:x/", "http://\xe9/"]
)
def test_a_redirect_to_no_address(server, tmp_path, location):
    server.redirect = location
    with pytest.raises(UserError):
        download(f"{server.url}/file.bin", tmp_path / "file.bin")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("SERVER/absent", "Not Found.*--mirror"),
        ("http://127.0.0.1:9/x", "refused.*put the file at"),
        ("file:///etc/hostname", "only http and https"),
        ("http://[", "not an address"),
    ],
)
def test_what_cannot_be_fetched_says_what_to_do(server, tmp_path, url, message):
    with pytest.raises(UserError, match=message):
        download(url.replace("SERVER", server.url), tmp_path / "file.bin")


def test_fetch_turns_a_raw_download_into_a_dataset(server, tmp_path, capsys):
    events = random_events(seed=3)
    raw = amazon_file(tmp_path / "reviews.json.gz", events)
    server.files["reviews_Beauty_5.json.gz"] = raw.read_bytes()
    folder = tmp_path / "data"
    command = ["fetch", "beauty", "--data-dir", str(folder), "--mirror", server.url]
    assert data.main(command) == 0
    out = capsys.readouterr().out
    assert "beauty: UNEXPECTED: this harness knows it with 22,363 users" in out
    expected = five_core_sequences(events)
    dataset = resolve_dataset("beauty", folder)
    assert dataset.n_users == len(expected)
    assert_same(registry.get("beauty")().convert(raw), expected)
    converted = registry.get("beauty")().convert(raw)
    assert dataset.fingerprint == converted.fingerprint  # times included
    before = (folder / "beauty.txt.gz").read_bytes()
    assert data.main(command) == 0
    assert "is there already" in capsys.readouterr().out
    (folder / "beauty.txt.gz").unlink()
    assert data.main(command) == 0
    assert (folder / "beauty.txt.gz").read_bytes() == before
    assert len(server.requests) == 1


def test_fetch_without_a_network_ends_in_one_line(tmp_path, capsys):
    command = ["fetch", "toys", "--data-dir", str(tmp_path / "d"), "--mirror", "http://127.0.0.1:9"]
    assert data.main(command) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1

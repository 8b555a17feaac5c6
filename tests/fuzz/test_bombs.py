"""Small files that stand for large ones, and archives that would write elsewhere."""

from __future__ import annotations

import gzip
import zipfile

import pandas as pd
import pytest
from support.hostile import watched
from support.targets import KUAIRAND, LASTFM, REVIEWS, TEXT, tarred, zipped

from bench.datasets import registry
from bench.datasets.kuairand import MEMBERS
from bench.datasets.lastfm import MEMBER
from bench.datasets.reading import archives, files
from bench.datasets.reading.archives import read_member
from bench.datasets.reading.readers import read_log
from bench.errors import UserError

ZEROS = gzip.compress(bytes(2**24))
BOMBS = {
    "10 GB of zeros": ("x.txt.gz", lambda: ZEROS * 640, "line 1: not UTF-8"),
    "10 GB of one line": (
        "x.txt.gz",
        lambda: gzip.compress(b"1 " * 2**23) * 640,
        "more than 100 times its size",
    ),
    "10 GB of a table": (
        "x.csv.gz",
        lambda: gzip.compress(b"user,item\n") + gzip.compress(b"a,b\n" * 2**22) * 640,
        "more than 100 times its size",
    ),
    "10 GB of reviews": (
        "x.json.gz",
        lambda: gzip.compress(REVIEWS * 2**15) * 3000,
        "more than 100 times its size",
    ),
    "a review of 10 MB": ("x.json.gz", lambda: gzip.compress(b"[1," * 2**22), "longer than 262144"),
    "a line of 16 MB": ("x.txt", lambda: b"1 " * 2**23, "line 1: longer than 4194304"),
    "a line of 500 MB": ("x.txt", lambda: b"1 " * 250_000_000, "line 1: longer than 4194304"),
    "a million columns": ("x.csv", lambda: b",".join([b"c"] * 10**6), "more than 10000 columns"),
    "a row of a million": ("x.csv", lambda: b"user,item\n" + b"," * 10**6, "line 2: more fields"),
    "no end of a quotation": (
        "x.csv",
        lambda: b'user,item\na,"' + b"x\n" * 2**24,
        "field larger than field limit",
    ),
    "one long user id": (
        "x.txt",
        lambda: b"u" * 2**20 + b" 1\n" + b"".join(b"%d 1\n" % i for i in range(3000)),
        "one of them of 1048576 characters; number the users",
    ),
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow if "500" in kind else ()) for kind in BOMBS],
)
def test_bombs_are_refused_in_little_time_and_memory(kind, tmp_path):
    name, made, message = BOMBS[kind]
    path = tmp_path / name
    path.write_bytes(made())
    read = registry.get("beauty")().events if ".json" in name else read_log
    with watched() as spent:
        with pytest.raises(UserError, match=message) as caught:
            read(path)
        grown, seconds = spent()
    assert str(path) in str(caught.value) or name.startswith("x.txt")
    assert grown < 200
    assert seconds < 10


def test_a_parquet_file_that_repeats_a_long_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 2**26)
    frame = pd.DataFrame({"user": ["u" * 100_000] * 1000, "item": ["x"] * 1000})
    frame.to_parquet(tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 2**20
    del frame
    with watched() as spent:
        with pytest.raises(UserError, match="longer than 67108864 bytes unpacked"):
            read_log(tmp_path / "x.parquet")
        assert spent()[0] < 400


def test_zip_bombs_and_lying_headers(tmp_path):
    path = tmp_path / "x.zip"
    lastfm = registry.get("lastfm")()
    good = zipped(LASTFM + b"1\t2\t3\t4000\r\n" * 2**18)
    path.write_bytes(good)
    with watched() as spent:
        with pytest.raises(UserError, match="more than 100 times its size"):
            lastfm.events(path)
        assert spent()[0] < 200
    with zipfile.ZipFile(path) as archive:
        size = archive.infolist()[1].file_size.to_bytes(4, "little")
    for lie in (b"\x09\0\0\0", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):
        path.write_bytes(good.replace(size, lie))
        with pytest.raises(UserError):
            lastfm.events(path)


def test_archives_give_no_member_that_is_a_link_and_unpack_nothing(tmp_path):
    path = tmp_path / "data" / "x.tar.gz"
    path.parent.mkdir()
    path.write_bytes(tarred(KUAIRAND))  # a link of that name, then ../../<name>
    assert read_member(path, MEMBERS[0], ["user_id"], ",")["user_id"].tolist() == [1]
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "x.tar.gz"]


def test_an_archive_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    for name, content in (("x.zip", zipped(LASTFM)), ("x.tar.gz", tarred(LASTFM, MEMBER))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="more than 1 files"):
            read_member(tmp_path / name, MEMBER, ["userID"], "\t")


def test_a_file_name_that_tables_cannot_show_is_refused(tmp_path):
    for name in ("a\nb.txt", "a\x1bb.csv"):
        (tmp_path / name).write_bytes(TEXT)
        with pytest.raises(UserError, match="rename the file"):
            read_log(tmp_path / name)

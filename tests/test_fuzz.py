"""Hostile input: whatever a file holds, it is read or refused by a `UserError`, in little memory.

The default suite tries some dozens of inputs a target; ``-m slow -s`` thousands, and prints how
many and the peak of memory; with Atheris (extra ``fuzz``) guided by coverage as well.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import importlib.util
import io
import itertools
import json
import os
import pickle
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import cell_of, dataset_of
from support.results import costed, result_of

from bench.analysis.comparison import comparisons
from bench.cell import Component
from bench.datasets import archives, files, registry
from bench.datasets.archives import read_member
from bench.datasets.kuairand import MEMBERS
from bench.datasets.lastfm import MEMBER
from bench.datasets.readers import read_exposures, read_log
from bench.datasets.splits import make_split
from bench.errors import UserError
from bench.reports import comparison_report, export
from bench.reports import tuning as tuning_report
from bench.reports.document import Picture
from bench.reports.study_report import Compared, StudyReport
from bench.reports.writing import files_of, write
from bench.studies import tuning
from bench.studies.log import FILE, Log
from bench.studies.status import status
from bench.studies.store import Store, seal
from bench.training.checkpoint import Checkpoint

NASTY = [
    b"", b"\n", b"\n\n", b"\r", b"\r\n", b",", b"\t", b" ", b'"', b"'", b"\0", b"-", b"-1", b"0",
    b"1e400", b"nan", b"inf", b"1_0", b"0x1", b"9" * 20, b"9" * 5000, b"-9223372036854775808",
    b"2147483648", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", "\u2028١é".encode(), b"user",
    b"user,user", b"timestamp", b"../../etc/x", b"/etc/passwd", b"{", b"[" * 3000, b"<script>",
    b'"\\ud800"', b"true", b"null", b"Infinity", b",x" * 11_000,
]  # fmt: skip
EDITS = st.lists(
    st.tuples(
        st.integers(0, 2**12), st.integers(0, 12), st.sampled_from(NASTY) | st.binary(max_size=9)
    ),
    min_size=1,
    max_size=5,
)
DATASET = dataset_of([[3, 1, 9], [2, 3], [4, 5, 6, 7]])
CELL = cell_of("dns")


def edited(content, edits):
    """Content with pieces taken out and others put in."""
    data = bytearray(content)
    for place, length, new in edits:
        start = place % (len(data) + 1)
        data[start : start + length] = new
    return bytes(data)


def zipped(content, name=MEMBER):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/escape.txt", "outside")
        archive.writestr(f"/absolute/{name}", content)
    return packed.getvalue()


def tarred(content, name=MEMBERS[0]):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo(f"link/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        info = tarfile.TarInfo(f"../../{name}")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def parquet():
    frame = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "timestamp": [1.0, 2.0]})
    content = io.BytesIO()
    frame.to_parquet(content)
    return content.getvalue()


def saved_store(folder):
    store = Store(Path(folder) / "study")
    result = costed(CELL, 0.25)
    result.data["references"] = {"popularity": {"ndcg@10": 0.05}}
    result.buckets["length:1-5"] = {"users": 2, "ndcg@10": 0.2}
    store.save(result)
    return store


def stored(name):
    """What a sound cell has in one of its files."""
    with tempfile.TemporaryDirectory() as folder:
        return (saved_store(folder).root / "cells" / CELL.key / name).read_bytes()


def checkpointed():
    content = io.BytesIO()
    state = {"step": 3, "w": torch.zeros(4)}
    torch.save({"made_by": "code", "state": state, "seconds": [2.0, 1.0]}, content)
    return content.getvalue()


def use_study(path):
    """All that reads a study, whose ``cell.json``, ``ranks.npz`` or ``epochs.csv`` this is."""
    store = saved_store(path.parent)
    (store.root / "cells" / CELL.key / path.name).write_bytes(path.read_bytes())
    seal(store.root / "cells" / CELL.key)  # whoever made it can do that, too
    assert store.status(CELL, "c" * 16) in ("done", "stale", "broken")
    store.frame()
    use_report(store)  # a UserError where the only cell is broken
    export.tidy(store)


def use_log(path):
    store = saved_store(path.parent)
    (store.root / FILE).write_bytes(path.read_bytes())
    (store.root / ".progress").mkdir(exist_ok=True)
    (store.root / ".progress" / "x.json").write_bytes(path.read_bytes())
    with_lock = store.claim(CELL)
    list(store.running())
    status(store, datetime.now(UTC))
    list(Log(store).events())
    with_lock.release()


def use_tuning(path):
    store = saved_store(path.parent)
    (store.root / tuning.FILE).write_bytes(path.read_bytes())
    use_report(store)


def use_report(store):
    """All renderings, less the pictures, which take long to draw."""
    picture = Picture("x", "x", b"", b"")
    compared = [
        Compared(each, comparison_report.document(each, picture)) for each in comparisons(store)
    ]
    files_of(StudyReport(store, compared, tuned=tuning_report.documents(store.root)))


def use_checkpoint(path):
    content = path.read_bytes()
    path.write_bytes(hashlib.sha256(content).digest() + content)
    Checkpoint(path, "code").load()


def same(content):
    return content


@dataclass(frozen=True)
class Target:
    """What reads a file, and a good one: its name, its content, and what packs it."""

    name: str
    use: object
    content: bytes
    pack: object = same


LOG = json.dumps({"event": "start", "time": "2026-01-01T00:00:00+00:00", "workers": 2,
                  "estimates": {CELL.key: 3.0, "other": 4.0}}).encode()  # fmt: skip
TUNING = json.dumps({"systems": [{
    "dataset": "made-up", "fingerprint": "f", "split_digest": "d", "backbone": "sasrec",
    "sampler": "dns", "objective": "bce", "protocol": CELL.config()["protocol"],
    "synthetic": True, "budget": 2, "space": {"dns.M": [1, 2]}, "exhausted": False,
    "trials": [{"key": "k", "values": {"dns.M": 1}, "status": "done",
                "valid": {"ndcg@20": 0.1}}],
    "chosen": {"dns.M": 1}, "cells": [CELL.key], "optuna": "5",
}]}).encode()  # fmt: skip
TEXT = b"1 3 1 9\n2 2 3\n3 4 5 6 7\n"
TABLE = b'user,item,timestamp,note\na,x,3,\na,y,2.5,n\nb,x,1,"q, r"\n'
REVIEWS = b'{"reviewerID": "U", "asin": "I", "unixReviewTime": 7}\n' * 2
LASTFM = b"userID\tartistID\ttagID\ttimestamp\r\n1\t2\t3\t4000\r\n2\t2\t3\t5000\r\n"
KUAIRAND = b"user_id,video_id,date,time_ms,long_view\n1,2,20220501,4000,1\n"


def uses():
    return [
        Target("log.txt", read_log, TEXT),
        Target("log.txt.gz", read_log, TEXT, gzip.compress),
        Target("log.csv", read_log, TABLE),
        Target("log.csv.gz", read_log, TABLE, gzip.compress),
        Target("log.inter", read_log, TABLE.replace(b"q, r", b"").replace(b",", b"\t")),
        Target("log.parquet", read_log, parquet()),
        Target("times.txt", lambda p: read_log(_good_log(p), p), b"1 1 2 2\n2 5 6\n3 1 2 3 4\n"),
        Target("shown.txt", lambda p: read_exposures(p, DATASET),
               b"1 +3 -2 +1 +9\n2 +2 +3 -5\n3 +4 +5 +6 -1 +7\n"),
        Target("split.txt.gz", lambda p: make_split(DATASET, "user", 0, p),
               b"1 train\n2 val\n3 test\n", gzip.compress),
        Target("reviews.json.gz", registry.get("beauty")().convert, REVIEWS, gzip.compress),
        Target("lastfm.zip", registry.get("lastfm")().events, LASTFM, zipped),
        Target("kuairand.tar.gz", lambda p: read_member(p, MEMBERS[0], ["user_id", "time_ms"], ","),
               KUAIRAND, tarred),
        Target("cell.json", use_study, stored("cell.json")),
        Target("ranks.npz", use_study, stored("ranks.npz")),
        Target("epochs.csv", use_study, stored("epochs.csv")),
        Target("log.jsonl", use_log, LOG),
        Target("tuning.json", use_tuning, TUNING),
        Target("cell.pt", use_checkpoint, checkpointed()),
    ]  # fmt: skip


def _good_log(path):
    log = path.with_name("log.txt")
    log.write_bytes(TEXT)
    return log


TARGETS = {target.name: target for target in uses()}
STUDIES = (use_study, use_log, use_tuning)
"""These take a tenth of a second an input."""

TRIED = Counter()


def attempt(target, content, folder):
    """Let a target have this content; any error but the documented one is a failure."""
    path = folder / target.name
    path.write_bytes(content)
    TRIED[target.name] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, about what an NPY header says
        try:
            target.use(path)
        except UserError as error:
            TRIED[f"{target.name} refused"] += 1
            assert len(str(error)) > 20
            assert len(str(error)) < 2000


def fuzz(target, examples, folder):
    """Edit the good content, before or after packing, or take any bytes at all."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.one_of(
            EDITS.map(lambda edits: target.pack(edited(target.content, edits))),
            EDITS.map(lambda edits: edited(target.pack(target.content), edits)),
            st.binary(max_size=200),
        )
    )
    def run(content):
        attempt(target, content, folder)

    run()


@contextmanager
def watched():
    """Yields what gives the growth of the process's memory at its peak, in MB, and seconds."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before, started = _peak_mb(), time.perf_counter()
    yield lambda: (_peak_mb() - before, time.perf_counter() - started)


def _peak_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


@pytest.mark.parametrize("name", TARGETS)
def test_the_good_files_are_good(name, tmp_path):
    target = TARGETS[name]
    path = tmp_path / name
    path.write_bytes(target.pack(target.content))
    try:
        target.use(path)
    except UserError as error:
        assert name in ("reviews.json.gz",)
        assert "nothing is left" in str(error)  # two reviews are no 5-core


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    fuzz(TARGETS[name], 10 if TARGETS[name].use in STUDIES else 30, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_damaged_files_are_read_or_refused(name, tmp_path, record_property):
    with watched() as spent:
        fuzz(TARGETS[name], 400 if TARGETS[name].use in STUDIES else 4000, tmp_path)
        grown, seconds = spent()
    tried, refused = TRIED[name], TRIED[f"{name} refused"]
    line = f"{name}: {tried} inputs, {refused} refused, +{grown:.0f} MB at peak, {seconds:.0f} s"
    record_property("fuzz", line)
    print(f"\n{line}")
    assert grown < 500


@pytest.mark.slow
def test_coverage_guided(tmp_path):
    """Atheris, a minute long, on all targets but those that write whole studies."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (pip install -e '.[fuzz]'; Linux wheels only)")
    here = Path(__file__).parent
    command = [sys.executable, str(here / "fuzz_atheris.py"), "-max_total_time=60", "-max_len=400"]
    command += ["-rss_limit_mb=2048", f"-artifact_prefix={tmp_path}/"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here.parent), str(here)])}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    print("\n" + "\n".join(ran.stderr.splitlines()[-3:]))
    assert ran.returncode == 0, ran.stderr[-4000:]


# Bombs: small files that stand for large ones.

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


# Results from elsewhere.


def places_of(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for name, part in inner:
        yield from places_of(part, (*path, name))


def put(value, path, new):
    """A JSON value with another at one place; without it where ``new`` is `KeyError`."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    parent = changed
    for name in path[:-1]:
        parent = parent[name]
    if new is KeyError:
        del parent[path[-1]]
    else:
        parent[path[-1]] = new
    return changed


WRONG = [
    KeyError, None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "x", "\ud800",
    "<script>alert(1)</script>", "a|b\n# c", "../../x", "$\\frac{", "n" * 5000, [], [1], {},
    {"a": 1}, {"a": {"b": []}}, [[]] * 3,
]  # fmt: skip


@pytest.mark.parametrize("name", ["cell.json", "tuning.json", "log.jsonl"])
def test_json_of_another_shape(name, tmp_path):
    wrong_json(TARGETS[name], 15, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cell.json", "tuning.json", "log.jsonl"])
def test_every_place_of_json_with_every_wrong_value(name, tmp_path):
    wrong_json(TARGETS[name], None, tmp_path)
    print(f"\n{name}: {TRIED[name]} inputs, {TRIED[f'{name} refused']} refused")


def wrong_json(target, count, folder):
    good = json.loads(target.content)
    pairs = [
        (path, new)
        for path, new in itertools.product(places_of(good), WRONG)
        if path or new is not KeyError
    ]
    for path, new in pairs if count is None else random.Random(0).sample(pairs, count):
        attempt(target, json.dumps(put(good, path, new)).encode(), folder)


def npz(**arrays):
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def lying_npy(shape):
    """An NPY file that says to be of this shape and holds three numbers."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        content, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("rank", "user"):
            archive.writestr(f"{name}.npy", content.getvalue() + bytes(24))
    return packed.getvalue()


USER = np.arange(2)
BROKEN = {
    "ranks.npz": [
        npz(rank=np.array([{}, {}], dtype=object), user=USER),
        npz(rank=np.array([1.0, np.nan]), user=USER),
        npz(rank=np.array([1.0, 0.0]), user=USER),
        npz(rank=np.array([1.0]), user=USER),
        npz(rank=np.ones((2, 2)), user=USER),
        npz(rank=np.array(["a", "b"]), user=USER),
        npz(rank=np.array([]), user=np.array([], dtype=int)),
        npz(rank=np.ones(2)),
        npz(rank=np.zeros(2**26), user=np.zeros(2**26, dtype=int)),  # a bomb of a gigabyte
        lying_npy((10**12,)),
        lying_npy((10**9,)),
        lying_npy((-1,)),
        pickle.dumps(np.ones(2)),
        b"",
    ],
    "epochs.csv": [
        b"",
        b"\n",
        b"epoch,loss\n",
        b"loss\n1\n",
        b"epoch,loss\n1,<script>\n",
        b"epoch,loss\nx,1\n",
        b"epoch,loss\n1,inf\n",
        b"epoch,loss\n1,1,1,1\n1,1\n",
        b"epoch,loss\n" + b"9" * 400 + b",1\n",
        b",".join([b"epoch"] * 10**6),
        b"epoch\n" + b"," * 10**6,
        b"\xff\xfe",
        b'epoch,loss\n1,"',
    ],
    "cell.json": [b"", b"[]", b"3", b"null", b"[" * 10**5, b"{}", b"9" * 10**5, b" " * 2**21],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_make_a_cell_broken(name, tmp_path):
    store = saved_store(tmp_path)
    path = store.root / "cells" / CELL.key / name
    for content in BROKEN[name]:
        path.write_bytes(content)
        seal(path.parent)
        with watched() as spent, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert store.status(CELL, "c" * 16) == "broken", content[:60]
            assert spent()[0] < 200
            assert spent()[1] < 5
        assert list(store.records()) == []


def test_reports_are_written_of_what_is_sound_and_stay_in_their_folder(tmp_path):
    store = Store(tmp_path / "results" / "study")
    evil = "../../../x <script>alert(1)</script> | $a_{"
    for name in ("uniform", evil, "n" * 64):
        cell = replace(cell_of(), dataset=evil, sampler=Component(name, {name: evil}))
        cell = replace(cell, backbone=Component(evil, {}), objective=Component(evil, {}))
        result = result_of(replace(cell, peer=Component(evil, {})), 0.1)
        result.data["notes"] = [evil]
        store.save(result)
    for seed, damage in enumerate([b"[]", b"{}", b"7", b'{"schema": 1}'], 100):
        cell = cell_of("dns", seed=seed)
        store.save(result_of(cell))
        (store.root / "cells" / cell.key / "cell.json").write_bytes(damage)
        seal(store.root / "cells" / cell.key)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    written = write(store.root, tmp_path / "reports" / "study")
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.parent for path in after - before} == {tmp_path / "reports" / "study"}
    html = (tmp_path / "reports" / "study" / "index.html").read_text()
    assert html.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in html
    for path in written:
        if path.suffix == ".md":
            assert "<script" not in path.read_text()


def test_a_compressed_checkpoint_is_not_used(tmp_path):
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(checkpointed())) as good,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as again,
    ):
        for info in good.infolist():
            again.writestr(info.filename, good.read(info))
    for content, used in ((checkpointed(), True), (packed.getvalue(), False)):
        path = tmp_path / "cell.pt"
        path.write_bytes(hashlib.sha256(content).digest() + content)
        assert (Checkpoint(path, "code").load() is not None) == used

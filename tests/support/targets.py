"""What reads files that nobody vouches for, each with a good one to be damaged."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from bench.analysis.comparison import comparisons
from bench.datasets import Reading, registry
from bench.datasets.kuairand import MEMBERS
from bench.datasets.lastfm import MEMBER
from bench.datasets.reading.archives import read_member
from bench.datasets.reading.readers import read_exposures, read_log
from bench.datasets.splits import make_split
from bench.reports import comparison_report, export
from bench.reports import tuning as tuning_report
from bench.reports.document import Picture
from bench.reports.study_report import Compared, StudyReport
from bench.reports.writing import files_of
from bench.studies import tuning
from bench.studies.cell_files import seal
from bench.studies.log import FILE, Log
from bench.studies.status import status
from bench.studies.store import Store
from bench.training.checkpoint import Checkpoint
from support import cell_of, dataset_of
from support.results import costed

DATASET = dataset_of([[3, 1, 9], [2, 3], [4, 5, 6, 7]])
CELL = cell_of("dns")


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
    result.data["references"] = {"popularity": {"ndcg@10": 0.05}, "markov": {"ndcg@10": 0.06}}
    result.data["reference_choices"] = {
        "markov": {"hyper": {"smoothing": 1.0}, "valid_ndcg@20": 0.07, "cpu_s": 0.5},
        "popularity": {"hyper": {}, "valid_ndcg@20": None, "cpu_s": 0.1},
    }
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
    assert store.status(CELL, "c" * 16) in ("done", "stale", "broken", "newer")
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
    picture = Picture("x", "x", b"-")
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


NUMBERED = Reading.of("user=0,item=1,time=3", where="2>3", repeats="first")


def alone(content):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.csv", content)
    return packed.getvalue()


def uses():
    return [
        Target("log.txt", read_log, TEXT),
        Target("log.txt.gz", read_log, TEXT, gzip.compress),
        Target("log.csv", read_log, TABLE),
        Target("log.csv.gz", read_log, TABLE, gzip.compress),
        Target("log.inter", read_log, TABLE.replace(b"q, r", b"").replace(b",", b"\t")),
        Target("log.parquet", read_log, parquet()),
        Target("log.dat", lambda p: read_log(p, reading=NUMBERED), b"1::7::5::978300760\n" * 3),
        Target("clicks.jsonl", read_log, b'{"user": "a", "item": 7, "time": "2024-01-31"}\n' * 3),
        Target("log16.csv", read_log, TABLE.decode().encode("utf-16")),
        Target("log.zip", read_log, TABLE, alone),
        Target("log.csv.xz", read_log, TABLE, lzma.compress),
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

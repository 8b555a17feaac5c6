"""Results from elsewhere: a broken file makes a cell broken, and reports are of what is sound."""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from support import cell_of
from support.hostile import watched
from support.results import result_of
from support.targets import CELL, checkpointed, saved_store

from bench.cell import Component
from bench.reports.writing import write
from bench.studies.cell_files import seal
from bench.studies.store import Store
from bench.training.checkpoint import Checkpoint


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


def bomb():
    """A gigabyte when unpacked."""
    zeros = np.zeros(2**26)
    return npz(rank=zeros, user=zeros.astype(int))


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
        bomb,  # when asked for only: packing it takes seconds
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
    for each in BROKEN[name]:
        content = each() if callable(each) else each
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

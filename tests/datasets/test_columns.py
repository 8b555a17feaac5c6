"""Tables as people have them: names, separators, times, and what must not pass in silence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import zipfile

import numpy as np
import pytest

from bench import grid
from bench.datasets import Reading
from bench.datasets.reading.readers import read_log
from bench.datasets.splits import make_split
from bench.errors import UserError


def rows_of(n=20, seed=0):
    """Rows (user, item, second) of a shuffled log, and the sequences that they are."""
    rng = random.Random(seed)
    sequences = {u: rng.sample(range(40), rng.randint(5, 9)) for u in range(n)}
    rows = [(u, i, 1_700_000_000 + t) for u, its in sequences.items() for t, i in enumerate(its)]
    rng.shuffle(rows)
    return rows


ROWS = rows_of()


def written(path, header, separator=",", time=str):
    lines = [separator.join((str(u), str(i), time(t))) for u, i, t in ROWS]
    path.write_text("\n".join([separator.join(header), *lines, ""]))
    return path


@pytest.fixture
def usual(tmp_path):
    """As ``user,item,timestamp`` is read."""
    return read_log(written(tmp_path / "usual.csv", ["user", "item", "timestamp"]))


def iso(t):
    return str(np.datetime64(t, "s"))


@pytest.mark.parametrize(
    ("name", "header", "separator", "time", "note"),
    [
        ("x.csv", ["user_id", "item_id", "ts"], ",", str, None),
        ("x.csv", ["userId", "movieId", "timestamp"], ",", str, None),
        ("x.csv", ["Customer-ID", "Product ID", "Event_Time"], ",", iso, None),
        ("x.csv", ["user_id", "item_id", "timestamp"], ";", str, None),
        ("x.csv", ["user", "item", "time"], "|", str, None),
        ("x.tsv", ["user", "item", "time"], "\t", lambda t: iso(t) + "Z", None),
        ("x.inter", ["user_id:token", "item_id:token", "timestamp:float"], "\t", str, None),
        ("x.inter", ["user_id:token", "item_id:token", "timestamp:float"], ",", str, None),
        ("x.csv", ["user", "item", "timestamp"], ",", lambda t: f"{t}000", "milliseconds"),
        ("x.csv", ["user", "item", "timestamp"], ",", lambda t: f"{t}{'0' * 6}", "microseconds"),
        ("x.csv", ["user", "item", "timestamp"], ",", lambda t: f"{t}{'0' * 9}", "nanoseconds"),
    ],
)
def test_it_is_read_as_the_usual_form_is(tmp_path, usual, name, header, separator, time, note):
    found = read_log(written(tmp_path / name, header, separator, time))
    assert found.fingerprint == usual.fingerprint
    read, *notes, left = found.notes
    assert read.startswith("137 rows read, user=")
    assert left.startswith("137 interactions of 20 users with 40 items, from 2023-11-14 to 2023-1")
    assert notes == ([f"times are taken for {note}"] if note else [])


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def test_what_packs_a_log_is_told_by_content(tmp_path, usual):
    plain = (tmp_path / "usual.csv").read_bytes()
    (tmp_path / "packed.csv").write_bytes(gzip.compress(plain))
    assert read_log(tmp_path / "packed.csv").fingerprint == usual.fingerprint
    for packed in (bz2.compress(plain), lzma.compress(plain), zipped({"a/usual.csv": plain})):
        (tmp_path / "packed.csv").write_bytes(packed)
        assert read_log(tmp_path / "packed.csv").fingerprint == usual.fingerprint
    beside = {"usual.csv": plain, "__MACOSX/._usual.csv": b"x", "folder/": b""}
    (tmp_path / "packed.zip").write_bytes(zipped(beside))
    assert read_log(tmp_path / "packed.zip").fingerprint == usual.fingerprint
    (tmp_path / "archive.zip").write_bytes(zipped({"a.csv": plain, "b.csv": plain}))
    with pytest.raises(UserError, match=r"archive\.zip: a zip archive of 2 files \(a.csv, b.csv\)"):
        read_log(tmp_path / "archive.zip")


def test_without_times_the_order_of_rows_counts_and_that_is_said(tmp_path, capsys):
    log = tmp_path / "log.csv"
    log.write_text("\n".join(["user,item,day", *(f"{u},{i},{t}" for u, i, t in ROWS)]))
    found = read_log(log)
    assert found.times is None
    assert found.notes[1] == "columns not read: day; every row counts as an interaction"
    assert found.notes[2].startswith("WARNING: no column of times is known")
    words = ["--datasets", str(log), "--samplers", "uniform", "--backbones", "sasrec", "--dry-run"]
    assert grid.main([*words, "--set", "N=3", "--results", str(tmp_path)]) == 0
    assert "log: WARNING: no column of times" in capsys.readouterr().out


def test_a_label_is_not_read_and_that_is_said(tmp_path):
    log = tmp_path / "log.inter"
    header = "user_id:token\titem_id:token\ttimestamp:float\tlabel:float"
    log.write_text("\n".join([header, *(f"{u}\t{i}\t{t}\t{u % 2}" for u, i, t in ROWS)]))
    _, note, _ = read_log(log).notes
    assert note == "columns not read: label:float; every row counts as an interaction"


@pytest.mark.parametrize(
    "header",
    [
        "user_id:token\titem_id_list:token_seq\titem_id:token",
        "user_id:token\titem_id:token_seq\ttimestamp:float",
        "user_id:token\titem_list\titem_id",
    ],
)
def test_lists_are_refused(tmp_path, header):
    (tmp_path / "x.inter").write_text(f"{header}\n1\t5 8\t9\n1\t5\t8\n")
    with pytest.raises(UserError, match="holds lists; write a row for each interaction"):
        read_log(tmp_path / "x.inter")


@pytest.mark.parametrize("word", ["nan", "NULL", "None", "NaN", "<NA>", " "])
@pytest.mark.parametrize("role", ["user", "item"])
def test_what_stands_for_nothing_is_no_user_and_no_item(tmp_path, word, role):
    row = f"{word},3,1" if role == "user" else f"u,{word},1"
    (tmp_path / "x.csv").write_text(f"user,item,timestamp\nu,2,1\n{row}\n")
    with pytest.raises(UserError, match=f"line 3: no {role}"):
        read_log(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "who,what\n1,2\n", "who, what; say which it is with --columns user=NAME"),
        ("x.csv", "who/what\n1/2\n", "between columns stands a tab, a comma, a semicolon, a bar"),
        ("x.dat", "1::2::3\n", "its first line (1, 2, 3) is taken for a row, as no name in it is"),
        ("x.csv", "user,item,time\n1,2,noon\n", "nor a date such as 2024-01-31"),
        (
            "x.txt",
            "1 2\n1 3\n",
            "go into a .csv with the header user,item, or are read by --columns user=0,item=1",
        ),
    ],
)
def test_an_error_says_what_to_do(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        read_log(tmp_path / name)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("columns", "first", "header"),
    [
        ("user=0,item=1,time=2", "u0,book,2020-09-13", False),
        ("user=0,item=1,time=2", "session,shoe,2020-09-13", False),
        ("user=0,item=1", "u0,book,1600000000", False),
        ("user=0,item=1", "u0,shoe,game", False),  # the name of no role whose column it is in
        ("user=0,item=1", "video,shoe,x", False),
        ("user=0,item=1,time=2", "user,item,time", True),
        ("user=0,item=1,time=2", "who,item,time", True),
        ("user=1,item=0,time=2", "user,item,7", True),  # they are given the other way round
        ("user=0,item=1", "who,what,when", False),
        ("user=0,item=1", "who,book,when", True),
        ("user=0,time=2", "who,book,when", True),
        ("user=0,item=1,time=when", "u0,shoe,when", True),
    ],
)
def test_a_row_is_no_header_for_an_item_that_is_called_like_a_column(
    tmp_path, columns, first, header
):
    third = "x" if columns == "user=0,item=1" else "2020-09-14"
    rows = [first, f"u1,hat,{third}", f"u2,tie,{third}"]
    (tmp_path / "x.csv").write_text("\n".join([*rows, ""]))
    found = read_log(tmp_path / "x.csv", reading=Reading.of(columns))
    assert found.n_interactions == len(rows) - header


def test_a_split_file_may_have_a_byte_order_mark_and_an_empty_last_line(tmp_path, usual):
    roles = ["train", "val", "test"]
    lines = [f"{label} {roles[i % 3]}" for i, label in enumerate(usual.user_labels)]
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    plain.write_text("\n".join(lines))
    marked.write_text("\ufeff" + "\n".join([*lines, "", ""]), encoding="utf-8")
    first, second = (make_split(usual, "user", 0, path) for path in (plain, marked))
    assert first.digest == second.digest


def test_advice_on_a_small_catalogue_can_be_followed(tmp_path, capsys):
    lines = [f"{u},{i},{i}" for u in range(30) for i in range(u % 3, u % 3 + 6)]
    (tmp_path / "small.csv").write_text("\n".join(["user,item,time", *lines]))
    words = ["--datasets", str(tmp_path / "small.csv"), "--samplers", "dns", "--backbones",
             "sasrec", "--dry-run", "--results", str(tmp_path)]  # fmt: skip
    assert grid.main(words) == 2
    advice = capsys.readouterr().err.partition("lower it with --set '")[2].partition("'")[0]
    assert grid.main([*words, "--set", advice]) == 0

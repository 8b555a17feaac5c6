"""Readers: every format gives the same dataset, every fault one error with file and line."""

from __future__ import annotations

import gzip
import random

import numpy as np
import pandas as pd
import pytest

from bench.datasets import Reading, data_directory, resolve_dataset
from bench.datasets.reading import files, readers
from bench.datasets.reading.readers import read_log
from bench.errors import UserError

EVENTS = [  # user, item, time; not in order, with a tie
    ("ann", "shoe", 30), ("bob", "hat", 5), ("ann", "hat", 10),
    ("ann", "tie", 10), ("bob", "shoe", 7), ("cat", "tie", 1),
]  # fmt: skip


def sequences(dataset):
    return {
        label: dataset.items[low:high].tolist()
        for label, low, high in zip(
            dataset.user_labels.tolist(), dataset.offsets[:-1], dataset.offsets[1:], strict=True
        )
    }


def write(path, text):
    data = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def table(separator, header):
    return "\n".join([separator.join(header), *(separator.join(map(str, e)) for e in EVENTS)])


def make(tmp_path, kind):
    header = ["user_id:token", "item_id:token", "timestamp:float"]
    if kind.startswith(".inter"):
        return write(tmp_path / f"log{kind}", table("\t", header))
    if kind == ".parquet":
        frame = pd.DataFrame(EVENTS, columns=["user", "item", "timestamp"])
        frame.to_parquet(tmp_path / "log.parquet")
        return tmp_path / "log.parquet"
    return write(tmp_path / f"log{kind}", table(",", ["user", "item", "timestamp"]) + "\n")


@pytest.mark.parametrize("kind", [".inter", ".inter.gz", ".csv", ".csv.gz", ".parquet"])
def test_tables_of_every_format_give_the_same_sequences(tmp_path, kind):
    dataset = read_log(make(tmp_path, kind))
    # By user of first appearance, then time; the tie keeps file order: hat, tie, shoe.
    assert sequences(dataset) == {"ann": [1, 2, 3], "bob": [1, 3], "cat": [2]}
    assert dataset.times.tolist() == [10, 10, 30, 5, 7, 1]
    assert dataset.name == "log"
    assert dataset.n_items == 3
    assert not dataset.synthetic


def test_users_and_items_keep_their_own_ids(tmp_path):
    dataset = read_log(write(tmp_path / "log.csv", table(",", ["user", "item", "timestamp"])))
    users, items = dataset.by_user()
    assert dict(zip(users, items, strict=True)) == {
        "ann": ["hat", "tie", "shoe"], "bob": ["hat", "shoe"], "cat": ["tie"],
    }  # fmt: skip
    assert dataset.labels(np.array([2, 0]), np.array([1, 1]))[0].tolist() == ["cat", "ann"]
    numbers = read_log(write(tmp_path / "log.txt", "7 3 1\n9 2\n"))
    assert numbers.by_user() == (["7", "9"], [["3", "1"], ["2"]])


def test_columns_are_found_by_name_whatever_their_order(tmp_path):
    text = "price,timestamp,item_id,user_id\n9,3,7,1\n9,2,8,1\n9,1.5,9,1\n"
    assert sequences(read_log(write(tmp_path / "x.csv", text))) == {"1": [1, 2, 3]}


def test_without_time_stamps_file_order_counts(tmp_path):
    dataset = read_log(write(tmp_path / "x.csv", "user,item\nb,x\na,y\nb,z\n"))
    assert sequences(dataset) == {"b": [1, 2], "a": [3]}
    assert dataset.times is None


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
def test_s3rec_text_keeps_its_item_ids(tmp_path, suffix):
    dataset = read_log(write(tmp_path / f"log{suffix}", "7 3 1 9\n4 2 3\n"))
    assert sequences(dataset) == {"7": [3, 1, 9], "4": [2, 3]}
    assert dataset.n_items == 9
    assert dataset.name == "log"


def test_text_and_table_of_one_log_have_one_fingerprint(tmp_path):
    text = read_log(write(tmp_path / "a.txt", "u 1 2 3\nv 2 4\n"))
    rows = ["user,item", "u,a", "u,b", "u,c", "v,b", "v,d"]
    assert read_log(write(tmp_path / "b.csv", "\n".join(rows))).fingerprint == text.fingerprint
    other = read_log(write(tmp_path / "c.txt", "u 1 2 3\nv 4 2\n"))
    assert other.fingerprint != text.fingerprint


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_of_parquet_are_unix_seconds_whatever_their_unit(tmp_path, unit):
    days = pd.to_datetime(["2020-01-01", "2020-01-02"]).tz_localize("UTC").as_unit(unit)
    frame = pd.DataFrame({"user": ["a", "a"], "item": ["x", "y"], "timestamp": days})
    frame.to_parquet(tmp_path / "x.parquet")
    assert read_log(tmp_path / "x.parquet").times.tolist() == [1577836800, 1577923200]
    frame.loc[1, "timestamp"] = pd.NaT
    frame.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(UserError, match="row 2: timestamp"):
        read_log(tmp_path / "x.parquet")


def test_rows_are_numbered_beyond_the_first_block(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "AT_ONCE", 3)
    rows = [f"u{n},i{n},{n}" for n in range(10)]
    assert read_log(write(tmp_path / "x.csv", "\n".join(["user,item,time", *rows]))).n_users == 10
    with pytest.raises(UserError, match="line 9: timestamp 'x'"):
        read_log(write(tmp_path / "x.csv", "\n".join(["user,item,time", *rows[:7], "a,b,x"])))
    with pytest.raises(UserError, match="line 9: item id 'x'"):
        read_log(write(tmp_path / "x.txt", "".join(f"{n} 1 2\n" for n in range(8)) + "9 x 3 4\n"))


BAD = [
    ("x.txt", "1 2 3\n2\n", "line 2: expected 'user item item ...', found '2'"),
    ("x.txt", "1 2 3\n\n2 3\n", "line 2: expected 'user item item"),
    ("x.txt", "1 2 3\n1 4\n", r"line 2: user '1' has a line already \(line 1\)"),
    ("x.txt", "1 2 3\n2 4 x5\n", "line 2: item id 'x5' is not a positive integer"),
    ("x.txt", "1 2 3\n2 4 5.0\n", "line 2: item id '5.0' is not a positive integer"),
    ("x.txt", "1 2 3\n2 1_0\n", "line 2: item id '1_0' is not a positive integer"),
    ("x.txt", "1 2 3\n2 ١\n", "line 2: item id '١' is not a positive integer"),
    ("x.txt", b"1 2 3\n2 4\x00\n", "line 2: not UTF-8 text"),
    (
        "x.csv",
        "user,user,item\na,b,c\n",
        "'user' and 'user' may both be the user; say which with --columns user=0",
    ),
    ("x.txt", "1 2 3\n2 0 4\n", "line 2: item id 0 is not a positive integer"),
    ("x.txt", "1 2 3\n2 4 -5\n", "line 2: item id -5 is not a positive integer"),
    ("x.txt", f"1 2 {'9' * 30}\n", "line 1: item id '9+' is not a positive integer"),
    ("x.txt", "1 2 3000000000\n", "line 1: item id 3000000000 is not a positive integer below"),
    ("x.txt", "1 2 5000000\n", "numbered from 1 without large gaps"),
    ("x.txt", "", "empty"),
    ("x.txt", "\n\n", "empty"),
    ("x.txt", b"1 2 3\n2 \xff 4\n", "line 2: not UTF-8"),
    ("x.txt.gz", None, "cannot be read"),
    ("x.csv.zst", b"\x28\xb5\x2f\xfd\x04\x00", r"packed by zstd, .* unpack it \(zstd -d\)"),
    ("x.csv", "user,item,timestamp\na,x,3\nb,y\n", "line 3: timestamp '' is neither a number"),
    ("x.csv", "user,item,timestamp\na,x,3\nb,y,4,5\n", "line 3"),
    ("x.csv", "user,item,timestamp\na,x,3,4\n", "line 2: more fields than the header"),
    ("x.csv", "user,item,timestamp\na,x,soon\n", "line 2: timestamp 'soon' is neither a number"),
    ("x.csv", "user,item,timestamp\na,x,inf\n", "line 2: timestamp 'inf' is neither a number"),
    ("x.csv", "user,item\na,x\n,y\n", "line 3: no user"),
    ("x.csv", "user,item\na,x\n\nb,y\n", "line 3: no user"),
    ("x.csv", "user,item\n", "empty"),
    ("x.csv", "", "empty"),
    (
        "x.csv",
        "who,what\n1,2\n",
        "no column of users; its columns are who, what; say which .* --columns user=NAME",
    ),
    ("x.csv", "user,thing\n1,2\n", "no column of items; its columns are user, thing"),
    ("x.csv", ",".join(map(str, range(20_000))), "more than 10000 columns"),
    ("x.csv", 'user,item\na,"x\n', "line 2: unexpected end of data; .* quotation mark"),
    ("x.csv", 'user,item\n"a\nb",x\na,"x\nb,y\nc,z\n', "line 4: unexpected end of data"),
    (
        "x.csv",
        'user,item\na,x\na,"x\nb,y\nc,"z"\n',
        "line 3: .* begins with a quotation mark there",
    ),
    ("x.csv", 'user,item\na,x\na,"x\n' + 40_000 * "b,y\n", "line 3: field larger .* quotation"),
    ("x.parquet", b"junk", "not a Parquet file"),
    ("x.json", "{}", "no column of users: all there is is nothing"),
    ("x.json", '{"user": 1, "item": 2}\n[1, 2]\n', "line 2: expected a JSON object a line"),
    ("x.json", '[{"user": 1, "item": 2}]', "line 1: expected a JSON object a line .*jq"),
    ("x.json", '{"user": 1, "item": 2}\n\n{"user": 1, "item": 2}\n', "line 2: no user"),
    ("x.json", '{"user": 1, "item": [2]}\n', "line 1: column 'item' holds more than one value"),
    ("x.json", '{"user": 1, "item": 2}\n{"item": 2}\n', "line 2: no user"),
    ("x.csv", "user,item\n", "empty; expected rows"),
    ("x.csv", "user\na\nb\n", "no column of items: all there is is user"),
    ("x.csv", "user,item,time\na,x,2020-01-01\nb,y,1577836800\n", "line 3: .* of another form"),
    ("x.csv", "user,item,time\na,x,1577836800\nb,y,2020-01-01\n", "line 3: .* of another form"),
    ("x.csv", "user,item,time\na,x,03/04/2020\n", "line 2: .* read in several ways; write the y"),
    (
        "x.csv",
        "user,item,time\na,x,1577836800\na,y,1577836800000\na,z,1577836801\n",
        "line 3: .*'1577836800000' is not in seconds, as others are",
    ),
    ("x.csv", "user,item\nnan,x\n", r"line 2: no user \(nan\); leave .* --where 'user!='"),
    ("x.csv", b"\x7fELF\x02\x01\x01\0\0\0", "line 1: not UTF-8 text"),
    ("x.csv", "user,item\nJosé,x\n".encode("cp1252"), "line 2: .* iconv -f WINDOWS-1252"),
    ("x.csv", "user,item\na,x\n".encode("utf-16")[:-1], "damaged UTF-16"),
    ("x.csv", '"user","item","time"\n"a\nb","x","1"\n"c","y","soon"\n', "line 4: timestamp 'soon'"),
    ("x.csv", "customer,user,item\n1,2,3\n", "--columns user=customer or --columns user=user"),
    ("x.csv", "user,item,date,ts\n1,2,3,4\n", "'date' and 'ts' may both be the time"),
    ("x.dat", "1::2::5::978300760\n", "such as --columns user=0,item=1,time=3"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_a_bad_file_is_one_error_naming_file_and_line(tmp_path, name, text, message):
    path = tmp_path / name
    if text is None:
        path.write_bytes(gzip.compress(b"1 2 3\n" * 100)[:30])
    else:
        write(path, text)
    with pytest.raises(UserError, match=message) as caught:
        read_log(path)
    assert str(path) in str(caught.value)


def test_noise_is_refused_not_crashed_on(tmp_path):
    """Small random mutilations of good files: a dataset or a UserError, nothing else."""
    rng = random.Random(0)
    refused = 0
    for kind in (".txt", ".csv", ".inter"):
        good = "7 3 1 9\n4 2 3\n" if kind == ".txt" else make(tmp_path, kind).read_text()
        for _ in range(150):
            data = bytearray(good.encode())
            for _ in range(rng.randint(1, 4)):
                data[rng.randrange(len(data))] = rng.choice(b'\n\t ,"-09x\xff\x00')
            try:
                dataset = read_log(write(tmp_path / f"noisy{kind}", bytes(data)))
                assert dataset.items.min() >= 1
            except UserError:
                refused += 1
    assert 50 < refused < 450


@pytest.mark.parametrize("mark", "\u2028\u2029\x85")
def test_json_lines_end_where_lines_of_a_file_do(tmp_path, mark):
    rows = [f'{{"user": "a", "item": "x", "text": "1{mark}2"}}', '{"user": "b", "item": "y"}']
    for end in ("\n", "\r\n", "\r"):
        dataset = read_log(write(tmp_path / "x.jsonl", end.join([*rows, ""])))
        assert sequences(dataset) == {"a": [1], "b": [2]}


@pytest.mark.parametrize("mark", "\u2028\u2029\x85\x0b\x0c")
def test_lines_of_a_table_end_where_lines_of_a_file_do(tmp_path, mark):
    # Cut there, the first row would be texts above a row of a number, and be taken for a header.
    rows = [f"u,a{mark}5,x", "v,b,y", ""]
    reading = Reading.of("user=0,item=1")
    found = read_log(write(tmp_path / "x.csv", "\n".join(rows)), reading=reading)
    assert sequences(found) == {"u": [1], "v": [2]}


def test_a_first_json_line_may_be_as_long_as_any(tmp_path):
    def text(length):
        return f'{{"text": "{"é" * length}", "user": "a", "item": "x"}}'

    rows = [text(100_000), '{"user": "b", "item": "y"}', ""]
    for end in ("\n", "\r\n"):
        dataset = read_log(write(tmp_path / "x.jsonl", end.join(rows)))
        assert sequences(dataset) == {"a": [1], "b": [2]}
    assert sequences(read_log(write(tmp_path / "x.jsonl", text(100_000)))) == {"a": [1]}
    with pytest.raises(UserError, match="line 1: longer than 4194304 bytes"):
        read_log(write(tmp_path / "x.jsonl", text(files.MAX_LINE)))
    with pytest.raises(UserError, match="line 1: expected a JSON object a line"):
        read_log(write(tmp_path / "x.jsonl", f"[{text(files.MAX_LINE)}]"))


def test_a_compressed_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 10_000)
    path = write(tmp_path / "bomb.txt.gz", "".join(f"{u} 2 3\n" for u in range(10_000)))
    with pytest.raises(UserError, match="longer than 10000 bytes unpacked"):
        read_log(path)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ("7 10 20\n4 1 2\n", "its users or their lengths are not those"),
        ("4 10 20 30\n7 1 2\n", "its users or their lengths are not those"),
        ("7 10 20 15\n4 1 2\n", "line 1: times run backwards"),
        ("7 10 20 soon\n4 1 2\n", "line 1: time 'soon'"),
    ],
)
def test_times_must_fit_their_log(tmp_path, times, message):
    log = write(tmp_path / "log.txt", "7 3 1 9\n4 2 3\n")
    with pytest.raises(UserError, match=message):
        read_log(log, write(tmp_path / "times.txt", times))


def test_times_are_read_beside_the_log(tmp_path):
    log = write(tmp_path / "log.txt", "7 3 1 9\n4 2 3\n")
    dataset = read_log(log, write(tmp_path / "times.txt.gz", "7 10 20 20\n4 1 2\n"))
    assert dataset.times.tolist() == [10, 20, 20, 1, 2]


def test_names_and_paths_are_told_apart(tmp_path, monkeypatch):
    write(tmp_path / "my_shop.csv", "user,item\na,x\n")
    monkeypatch.chdir(tmp_path)
    for path in ("my_shop.csv", "./my_shop.csv", str(tmp_path / "my_shop.csv")):
        assert resolve_dataset(path, None).name == "my_shop"
    with pytest.raises(UserError, match=r"absent\.csv: no such file"):
        resolve_dataset("absent.csv", None)
    with pytest.raises(UserError, match="unknown dataset 'beuty'; did you mean beauty"):
        resolve_dataset("beuty", None)
    with pytest.raises(UserError, match="give --data-dir or "):
        resolve_dataset("beauty", None)
    with pytest.raises(UserError, match=r"beauty\.txt\.gz: no such file"):
        resolve_dataset("beauty", tmp_path)


def test_the_data_directory_is_the_option_then_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    assert data_directory(None) is None
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    assert data_directory(None) == tmp_path
    (tmp_path / "other").mkdir()
    assert data_directory(str(tmp_path / "other")) == tmp_path / "other"
    with pytest.raises(UserError, match=r"--data-dir .*absent: no such directory"):
        data_directory(str(tmp_path / "absent"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"\$BENCH_DATA .*gone: no such directory"):
        data_directory(None)


def test_a_large_file_is_read_fast_enough_to_be_read_by_lines(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{u} {' '.join(map(str, rng.integers(1, 500, 8)))}" for u in range(5_000)]
    rows[4_321] += " oops"
    with pytest.raises(UserError, match="line 4322: item id 'oops'"):
        read_log(write(tmp_path / "x.txt", "\n".join(rows)))

"""Logs as they lie on people's disks: each is read as pandas, or a hand, would count it."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.datasets import Reading, is_path
from bench.datasets.log_options import Condition
from bench.datasets.reading import tables
from bench.datasets.reading.events import Events, dataset_of
from bench.datasets.reading.readers import read_log, stem
from bench.errors import UserError


def labelled(dataset):
    """User to items, both as the file has them, oldest first."""
    items = dataset.item_labels[dataset.items - 1].tolist()
    cuts = zip(dataset.offsets[:-1], dataset.offsets[1:], strict=True)
    return {
        user: items[low:high]
        for user, (low, high) in zip(dataset.user_labels.tolist(), cuts, strict=True)
    }


def expected(frame, user, item, time):
    """The same by pandas."""
    ordered = frame.sort_values(time, kind="stable") if time else frame
    found = ordered.groupby(user, sort=False)[item].agg(list)
    return {str(u): [str(i) for i in found[u]] for u in frame[user].drop_duplicates()}


def made_up(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "user": rng.integers(1, 30, n), "item": rng.integers(1, 60, n),
            "rating": rng.integers(1, 6, n), "time": 978_300_000 + rng.integers(0, 500, n),
        }
    )  # fmt: skip


def test_movielens_1m_ratings_without_header(tmp_path):
    frame = made_up()
    lines = ["::".join(map(str, row)) for row in frame.itertuples(index=False)]
    (tmp_path / "ratings.dat").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_log(
        tmp_path / "ratings.dat", reading=Reading.of("user=0,item=1,time=3", where="2>=4")
    )
    good = frame[frame["rating"] >= 4]
    assert labelled(found) == expected(good, "user", "item", "time")
    assert found.name == "ratings"
    dropped = len(frame) - len(good)
    assert f"{dropped} rows left out by --where 2>=4" in found.notes
    assert found.notes[0] == "400 rows read, user=0, item=1, time=3"


def test_movielens_100k_by_tab_without_header(tmp_path):
    frame = made_up(seed=1)
    frame.to_csv(tmp_path / "u.data", sep="\t", header=False, index=False)
    with pytest.raises(UserError, match="such as --columns user=0,item=1,time=3, or by their name"):
        read_log(tmp_path / "u.data")
    found = read_log(tmp_path / "u.data", reading=Reading.of({"user": 0, "item": 1, "time": 3}))
    assert labelled(found) == expected(frame, "user", "item", "time")
    assert found.times.tolist() == [
        time for user in frame["user"].unique() for time in sorted(frame[frame.user == user].time)
    ]


def test_clicks_with_texts_for_ids_and_iso_times_of_several_zones(tmp_path):
    rows = [
        ("Visitor ID", "Product-Id", "event", "created_at"),
        ("zoë", '"shoe, red"', "view", "2024-03-01T10:00:00+02:00"),  # 08:00 UTC
        ("bob", "hat", "view", "2024-03-01 09:00:00"),
        ("zoë", "tie", "view", "2024-03-01T07:30:00Z"),
        ("zoë", "hat", "purchase", "2024-03-01T09:00:00.5+00:00"),
        ("bob", "tie", "purchase", "2024-02-29"),
    ]
    text = "\r\n".join(",".join(row) for row in rows)
    (tmp_path / "clicks.csv").write_text(text, encoding="utf-8-sig", newline="")
    found = read_log(tmp_path / "clicks.csv")
    assert labelled(found) == {"zoë": ["tie", "shoe, red", "hat"], "bob": ["tie", "hat"]}
    assert found.times.tolist() == [1709278200, 1709280000, 1709283600, 1709164800, 1709283600]
    bought = read_log(tmp_path / "clicks.csv", reading=Reading.of(where=["event=purchase"]))
    assert labelled(bought) == {"zoë": ["hat"], "bob": ["tie"]}
    (tmp_path / "utf16.csv").write_text(text, encoding="utf-16", newline="")
    assert read_log(tmp_path / "utf16.csv").fingerprint == found.fingerprint


def test_sessions_by_spaces_without_times(tmp_path):
    (tmp_path / "sessions.log").write_text(
        "sessionId  itemId\n7 a\n8 b\n7 b\n\n7 a\n".replace("\n\n", "\n"), encoding="utf-8"
    )
    found = read_log(tmp_path / "sessions.log")
    assert labelled(found) == {"7": ["a", "b", "a"], "8": ["b"]}
    assert any(note.startswith("WARNING: no column of times is known") for note in found.notes)
    assert found.notes[-1].endswith("25 % of them with an item that the user has had before")


def test_interactions_at_one_time_are_said_to_stand_as_in_the_file(tmp_path):
    days = "user,item,time\na,z,2\na,y,1\na,x,2\nb,x,2\nb,y,3\n"  # z before x; b is another user
    (tmp_path / "days.csv").write_text(days, encoding="utf-8")
    found = read_log(tmp_path / "days.csv")
    assert labelled(found) == {"a": ["y", "z", "x"], "b": ["x", "y"]}
    assert "; 20 % of them in the same second as the user's one before" in found.notes[-1]
    (tmp_path / "apart.csv").write_text(days.replace("a,x,2", "a,x,3"), encoding="utf-8")
    assert "in the same second" not in read_log(tmp_path / "apart.csv").notes[-1]
    assert "time of another" not in found.notes[-1]
    (tmp_path / "twice.csv").write_text(days + "a,z,2\nb,x,2\n", encoding="utf-8")
    assert (
        "; 2 with the user, item and time of another; "
        in read_log(tmp_path / "twice.csv").notes[-1]
    )


def test_parquet_with_categories_and_time_stamps(tmp_path):
    frame = made_up(seed=2)
    frame["when"] = pd.to_datetime(frame.pop("time"), unit="s").dt.tz_localize("Europe/Berlin")
    frame["shop"] = ("customer " + frame["user"].astype(str)).astype("category")
    frame["gone"] = None
    frame.to_parquet(tmp_path / "x.parquet")
    options = Reading.of("user=shop,time=when", where=["rating!=1"], min_count=2)
    (tmp_path / "packed.bin").write_bytes((tmp_path / "x.parquet").read_bytes())
    found = read_log(tmp_path / "x.parquet", reading=options)
    kept = frame[frame["rating"] != 1]
    while True:
        core = kept[
            (kept.groupby("shop", observed=True)["item"].transform("size") >= 2)
            & (kept.groupby("item")["item"].transform("size") >= 2)
        ]
        if len(core) == len(kept):
            break
        kept = core
    assert labelled(found) == expected(kept.astype({"shop": str}), "shop", "item", "when")
    assert read_log(tmp_path / "packed.bin", reading=options).fingerprint == found.fingerprint


def test_amazon_reviews_a_json_object_a_line(tmp_path):
    rows = [
        {"reviewerID": "U1", "asin": "B2", "overall": 5.0, "unixReviewTime": 1700000100},
        {"reviewerID": "U2", "asin": "B1", "overall": 2.0, "unixReviewTime": 1700000000},
        {"reviewerID": "U1", "asin": "B1", "overall": 4.0, "unixReviewTime": 1700000000, "x": [1]},
        {"reviewerID": "U1", "asin": "B3", "overall": None, "unixReviewTime": 1700000200},
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n\n"
    (tmp_path / "reviews_Toys.json").write_text(text, encoding="utf-8")
    found = read_log(tmp_path / "reviews_Toys.json")
    assert labelled(found) == {"U1": ["B1", "B2", "B3"], "U2": ["B1"]}
    rated = read_log(tmp_path / "reviews_Toys.json", reading=Reading.of(where="overall>=4"))
    assert labelled(rated) == {"U1": ["B1", "B2"]}


def test_semicolons_and_decimal_commas_in_a_zip(tmp_path):
    rows = ['"a;b";x;3,5;20240102', "c;y;4,5;20240101", '"a;b";y;1,0;20231231']
    text = "\n".join(["Kunde;Artikel;Preis;datetime", *rows, ""])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("export/Käufe.csv", text)
    (tmp_path / "shop.csv.zip").write_bytes(packed.getvalue())
    found = read_log(tmp_path / "shop.csv.zip", reading=Reading.of("user=kunde,item=Artikel"))
    assert labelled(found) == {"a;b": ["y", "x"], "c": ["y"]}
    assert "times are taken for dates such as 20240131" in found.notes
    assert found.name == "shop"


PLAYS = [("u", "a", 1), ("u", "a", 2), ("u", "b", 3), ("u", "a", 4), ("v", "a", 1), ("v", "a", 0)]


@pytest.mark.parametrize(
    ("repeats", "left", "note"),
    [
        ("keep", {"u": ["a", "a", "b", "a"], "v": ["a", "a"]}, None),
        ("drop-consecutive", {"u": ["a", "b", "a"], "v": ["a"]}, "2 rows left out by --repeats"),
        ("first", {"u": ["a", "b"], "v": ["a"]}, "3 rows left out by --repeats first"),
    ],
)
def test_repeats_are_kept_or_not(tmp_path, repeats, left, note):
    lines = ["user,item,time", *(",".join(map(str, row)) for row in PLAYS)]
    (tmp_path / "plays.csv").write_text("\n".join(lines), encoding="utf-8")
    found = read_log(tmp_path / "plays.csv", reading=Reading.of(repeats=repeats))
    assert labelled(found) == left
    assert note is None or any(each.startswith(note) for each in found.notes)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60),
    st.integers(1, 4),
    st.sampled_from(["keep", "drop-consecutive", "first"]),
)
def test_what_is_left_is_a_core_without_the_repeats(pairs, k, repeats):
    """Of all rows by a loop: drop what has to go one rule after the other until nothing does."""
    left = sorted(enumerate(pairs), key=lambda row: (row[1][0], row[0]))
    while True:
        kept, had, last = [], set(), None
        for row in left:
            if (repeats == "first" and row[1] in had) or (
                repeats == "drop-consecutive" and row[1] == last
            ):
                continue
            had.add(row[1])
            last = row[1]
            kept.append(row)
        while True:
            users, items = (Counter(row[1][i] for row in kept) for i in (0, 1))
            core = [row for row in kept if users[row[1][0]] >= k and items[row[1][1]] >= k]
            if len(core) == len(kept):
                break
            kept = core
        if len(kept) == len(left):
            break
        left = kept
    users, items = (np.array([pair[i] for pair in pairs]) for i in (0, 1))
    labels = [str(i) for i in range(6)]
    events = Events(users, items, labels, labels)
    if not left:
        with pytest.raises(UserError, match="no interaction is left"):
            dataset_of("x", events, Reading(min_count=k, repeats=repeats))
        return
    found = labelled(dataset_of("x", events, Reading(min_count=k, repeats=repeats)))
    wanted = {}
    for _, (user, item) in left:
        wanted.setdefault(str(user), []).append(str(item))
    assert found == wanted
    assert list(found) == list(dict.fromkeys(str(user) for _, (user, _) in sorted(left)))


def test_lines_of_items_are_filtered_too_and_have_no_columns(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("7 3 1 3 9\n4 3 1\n5 1\n", encoding="utf-8")
    found = read_log(log, reading=Reading(min_count=2, repeats="first"))
    assert labelled(found) == {"7": ["3", "1"], "4": ["3", "1"]}
    with pytest.raises(UserError, match=r"its first line \(7, 3, 1, 3, 9\) is taken for a row"):
        read_log(log, reading=Reading.of(where="rating>3"))


@pytest.mark.parametrize(
    ("text", "column", "value", "met"),
    [
        ("rating>=4", "rating", ["4", "4.0", "3.99", " 5 ", "", "1e1"], [1, 1, 0, 1, 0, 1]),
        ("rating=4", "rating", ["4.0", "4", "5", "x"], [1, 1, 0, 0]),
        ("rating!=4", "rating", ["4.0", "5", "x"], [0, 1, 1]),
        ("price<-0.5", "price", ["-1", "0", "nan"], [1, 0, 0]),
        ("event == buy", "event", ["buy", " buy ", "Buy", "view"], [1, 1, 0, 0]),
        ("event!=", "event", ["buy", "", " ", "NaN", "null"], [1, 0, 0, 0, 0]),
        (
            "id!=4823595352351860599", "id",
            ["4823595352351860599", "4823595352351860600", "4823595352351860700", "x", ""],
            [0, 1, 1, 1, 1],
        ),
        (
            "id=9007199254740993", "id",
            ["9007199254740992", "9007199254740993", "9007199254740993.0", "9007199254740994",
             "+9007199254740993", "-9007199254740993"],
            [0, 1, 1, 0, 1, 0],
        ),
        ("id=1e16", "id", ["1e+16", "10000000000000000", "10000000000000001"], [1, 1, 0]),
        ("id=-1e400", "id", ["-1e400", "-10e399", "-1e401", "-inf", "nan"], [1, 1, 0, 0, 0]),
    ],
)  # fmt: skip
def test_conditions_compare_numbers_as_numbers(tmp_path, text, column, value, met):
    rows = [f"u{n},i,{each}" for n, each in enumerate(value)]
    (tmp_path / "x.csv").write_text("\n".join([f"user,item,{column}", *rows]), encoding="utf-8")
    found = read_log(tmp_path / "x.csv", reading=Reading.of(where=text))
    assert found.user_labels.tolist() == [f"u{n}" for n, kept in enumerate(met) if kept]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": "rating>=high"}, ">= compares numbers, and 'high' is none"),
        ({"where": "rating"}, "--where rating: expected a column, one of"),
        ({"where": "stars>3"}, "--where stars>3: no column 'stars'; known: user, item, rating"),
        ({"where": "rating>3"}, "line 3: --where rating>3: 'n/a' is no number"),
        ({"where": "rating=77"}, "no row is left; .*2 rows left out by --where rating=77"),
        ({"columns": "user=who"}, "--columns user=who: no column 'who'"),
        ({"columns": "user=7"}, "--columns user=7: there are 3 columns, numbered from 0 to 2"),
        ({"columns": "user=user,item=user"}, "column 'user' cannot be user and item at once"),
        ({"columns": "users=user"}, "--columns: 'users' is none of user, item, time"),
        ({"columns": "user"}, "--columns user: expected user=NAME,item=NAME,time=NAME"),
        ({"columns": "user=a,user=b"}, "a role is named twice"),
        ({"min_count": 0}, "--min-count 0: must be at least 1"),
        ({"min_count": 9}, "no interaction is left; 2 rows, 2 users and 1 items left out by --min"),
        ({"repeats": "all"}, "--repeats all: expected keep, drop-consecutive, first"),
    ],
)
def test_impossible_options_are_one_error_each(tmp_path, options, message):
    log = tmp_path / "x.csv"
    log.write_text("user,item,rating\na,x,5\nb,x,n/a\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_log(log, reading=Reading.of(**options))


def test_a_directory_and_a_binary_are_no_logs(tmp_path):
    with pytest.raises(UserError, match="a directory; give the path of the log in it"):
        read_log(tmp_path)
    rng = random.Random(0)
    (tmp_path / "x.bin").write_bytes(bytes(rng.choices(range(256), k=5000)))
    with pytest.raises(UserError, match=r"x\.bin"):
        read_log(tmp_path / "x.bin")


def test_rows_of_many_blocks_come_out_as_of_one(tmp_path, monkeypatch):
    frame = made_up(seed=3)
    frame.to_csv(tmp_path / "x.csv", index=False)
    options = Reading.of(where="rating>1", min_count=3)
    whole = read_log(tmp_path / "x.csv", reading=options)
    monkeypatch.setattr(tables, "AT_ONCE", 7)
    assert read_log(tmp_path / "x.csv", reading=options).fingerprint == whole.fingerprint


def test_the_order_of_what_is_finer_than_a_second_counts(tmp_path):
    rows = ["u,c,1700000000.75", "u,a,1700000000.25", "u,b,1700000000.5"]
    (tmp_path / "x.csv").write_text("\n".join(["user,item,ts", *rows]), encoding="utf-8")
    found = read_log(tmp_path / "x.csv")
    assert labelled(found) == {"u": ["a", "b", "c"]}
    assert found.times.tolist() == [1700000000] * 3


def test_options_say_themselves_again():
    made = Reading.of("time=t,user=a b", ["x>=3", "y!="], 5, "first")
    words = ["--columns", "user=a b,time=t", "--where", "x>=3", "--where", "y!="]
    assert made.words() == [*words, "--min-count", "5", "--repeats", "first"]
    assert Reading.from_config(json.loads(json.dumps(made.config()))) == made
    assert Reading.of().words() == []
    assert Condition.parsed(" a b>= -1e3 ").number == -1000


@pytest.mark.parametrize(
    ("name", "short"),
    [("ratings.dat", "ratings"), ("u.data", "u"), ("a.b.csv.gz", "a.b"), ("x.zip", "x"),
     ("x.log", "x.log"), ("reviews.json.xz", "reviews"), ("plain", "plain")],
)  # fmt: skip
def test_a_log_is_called_as_its_file_without_the_format(tmp_path, name, short):
    assert stem(tmp_path / name) == short


def test_paths_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beauty").write_text("", encoding="utf-8")
    (tmp_path / "clicks").write_text("", encoding="utf-8")
    assert not is_path("beauty")
    assert not is_path("beuty")
    assert is_path("clicks") and is_path("./beauty") and is_path("absent.dat")

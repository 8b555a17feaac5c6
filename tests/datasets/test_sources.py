"""The six real datasets: what lies in the data directory, and what a raw download becomes."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.sources import amazon_file, assert_same, five_core_sequences, random_events

from bench import data
from bench.cell import REAL
from bench.datasets import registry, resolve_dataset
from bench.datasets.kuairand import MEMBERS
from bench.datasets.reading import files
from bench.datasets.reading.kcore import k_core
from bench.datasets.splits import make_split
from bench.errors import UserError
from bench.studies.paper_grids import FINGERPRINTS, UNTIMED


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_the_counts_that_are_known(data_dir, name):
    source = registry.get(name)()
    if source.path(data_dir) is None:
        pytest.skip(f"{name} is not in {data_dir}")
    dataset = source.load(data_dir)
    counts = (dataset.n_users, dataset.n_items, dataset.n_interactions)
    expected = source.expected
    assert counts == (expected.users, expected.items, expected.interactions)
    assert np.bincount(dataset.items)[1:].min() >= 5
    assert dataset.lengths.min() >= 5
    assert not dataset.synthetic
    assert dataset.name == name
    assert dataset.fingerprint == FINGERPRINTS[name]
    untimed = replace(dataset, times=None).fingerprint
    assert untimed == UNTIMED.get(name, dataset.fingerprint)


def test_published_rows_are_those_of_the_paper_where_nothing_else_is_said():
    for name in REAL:
        source = registry.get(name)()
        assert (source.published == source.expected) == (not source.difference)
        assert bool(source.difference) == (name in ("health", "kuairand"))
        assert source.licence
        assert source.citation
        assert source.notes


@pytest.mark.parametrize("name", REAL)
def test_the_licence_is_said_before_the_data_are_there(name, tmp_path, capsys):
    assert data.main(["describe", name, "--data-dir", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    source = registry.get(name)()
    assert f"its licence: {source.licence}; to cite: {source.citation}" in line


def test_the_authors_split_of_beauty_has_their_sizes(data_dir):
    split_file = data_dir / "extra" / "beauty_split.txt.gz"
    if not split_file.is_file():
        pytest.skip(f"{split_file} is absent")
    split = make_split(resolve_dataset("beauty", data_dir), "user", 0, split_file)
    assert len(split.train.items) - len(split.train.users) == 123_086  # logged training rows
    assert [len(split.valid.users), len(split.test.users)] == [4_472, 2_237]


def test_real_times_allow_a_temporal_split(data_dir):
    dataset = resolve_dataset("beauty", data_dir)
    if dataset.times is None:
        pytest.skip("no time stamps beside beauty.txt.gz")
    split = make_split(dataset, "temporal", 0)
    assert 0.7 < len(split.train.items) / dataset.n_interactions < 0.8
    assert min(len(split.valid.users), len(split.test.users)) > 1_000


def test_check_compares_with_table_2(data_dir, capsys):
    assert data.main(["check", "--data-dir", str(data_dir)]) == 0
    lines = capsys.readouterr().out.splitlines()
    verdicts = {
        line.split()[0]: lines[i + 2].strip() for i, line in enumerate(lines) if line[:1].isalpha()
    }
    for name in ("beauty", "toys", "sports", "lastfm"):
        assert verdicts[name] == "matches Table 2"
    for name in ("health", "kuairand"):
        assert verdicts[name].startswith("differs from Table 2, as known:")


def test_check_finds_a_file_that_is_not_what_it_should_be(tmp_path, capsys):
    (tmp_path / "beauty.txt").write_text("1 2 3\n2 1 3\n")
    (tmp_path / "toys.txt").write_text("1 2 x\n")
    assert data.main(["check", "--data-dir", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "UNEXPECTED: this harness knows it with 22,363 users" in out
    assert "toys.txt, line 1: item id 'x'" in out
    assert f"not in {tmp_path}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "give --data-dir or $BENCH_DATA"),
        (["check", "--data-dir", "EMPTY"], "holds none of beauty"),
        (["check", "--data-dir", "EMPTY/absent"], "no such directory"),
        (["describe", "beuty"], "did you mean beauty"),
        (["fetch", "beuty", "--data-dir", "EMPTY"], "did you mean beauty"),
        (["fetch", "beauty-twin", "--data-dir", "EMPTY"], "nothing to fetch"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    assert data.main([a.replace("EMPTY", str(tmp_path)) for a in arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_describe_and_list_know_twins_and_say_so(capsys):
    assert data.main(["describe", "toys-twin"]) == 0
    assert "toys-twin (SYNTHETIC)" in capsys.readouterr().out
    assert data.main(["list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 12


def test_k_core_equals_brute_force():
    rng = np.random.default_rng(0)
    for trial in range(20):
        users, items = rng.integers(0, 30, 200), rng.integers(0, 25, 200)
        events = pd.DataFrame({"user": users, "item": items, "n": np.arange(200)})
        rows = list(zip(users, items, range(200), strict=True))
        while True:
            by_user, by_item = (Counter(row[i] for row in rows) for i in range(2))
            left = [r for r in rows if by_user[r[0]] >= 5 and by_item[r[1]] >= 5 + trial % 3]
            left = [r for r in left if by_user[r[0]] >= 5 + trial % 3]
            if left == rows:
                break
            rows = left
        kept = k_core(events, 5 + trial % 3)
        assert kept["n"].tolist() == [r[2] for r in rows]


# Raw downloads in the sources' own formats.


@pytest.mark.parametrize("quoted", [json.dumps, repr])
def test_amazon_reviews_in_json_and_in_python_literals(tmp_path, quoted):
    events = random_events()
    raw = amazon_file(tmp_path / "reviews_Beauty_5.json.gz", events, quoted)
    assert_same(registry.get("beauty")().convert(raw), five_core_sequences(events))


@pytest.mark.parametrize(
    "line", ["{", "[1, 2]", '{"reviewerID": "x", "asin": "y"}', "__import__('os').getcwd()"]
)
def test_a_bad_review_is_named_by_its_line(tmp_path, line):
    raw = amazon_file(tmp_path / "x.json.gz", random_events())
    good = gzip.decompress(raw.read_bytes())
    raw.write_bytes(gzip.compress(good + line.encode() + b"\n"))
    number = good.count(b"\n") + 1
    with pytest.raises(UserError, match=rf"x\.json\.gz, line {number}: expected a review"):
        registry.get("beauty")().convert(raw)


def lastfm_file(path, events):
    """Every first tagging followed, later in the file, by an earlier one that must not count."""
    rows = [f"{u[1:]}\t{i[1:]}\t1\t{t * 1000}" for u, i, t in events]
    rows += [f"{u[1:]}\t{i[1:]}\t2\t0" for u, i, _ in events]
    text = "\r\n".join(["userID\tartistID\ttagID\ttimestamp", *rows])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escape.txt", "outside")
        archive.writestr("user_taggedartists-timestamps.dat", text)
    return path


def test_lastfm_keeps_the_first_row_of_a_user_and_artist(tmp_path):
    events = random_events(seed=1)
    raw = lastfm_file(tmp_path / "hetrec.zip", events)
    plain = [(u[1:], i[1:], t) for u, i, t in events]
    assert_same(registry.get("lastfm")().convert(raw), five_core_sequences(plain))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hetrec.zip"]  # nothing was unpacked


KUAIRAND_COLUMNS = ["user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "long_view"]


def kuairand_file(path, events):
    """Half of the log in each file, with short views in between."""
    rows = [[u[1:], i[1:], 20220501, 0, t * 1000, 1, 1] for u, i, t in events]
    rows += [[u[1:], "777", 20220501, 0, 5, 1, 0] for u, _, _ in events]
    with tarfile.open(path, "w:gz") as archive:
        for n, name in enumerate(MEMBERS):
            frame = pd.DataFrame(rows[n::2], columns=KUAIRAND_COLUMNS)
            content = frame.to_csv(index=False).encode()
            info = tarfile.TarInfo(f"KuaiRand-Pure/data/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_kuairand_takes_long_views_of_both_standard_logs(tmp_path):
    # Distinct times: the two files are merged by time, so file order decides nothing.
    events = [(u, i, n * 7919 % 100_003) for n, (u, i, _) in enumerate(random_events(seed=2))]
    raw = kuairand_file(tmp_path / "KuaiRand-Pure.tar.gz", events)
    plain = [(u[1:], i[1:], t) for u, i, t in events]
    assert_same(registry.get("kuairand")().convert(raw), five_core_sequences(plain))


def test_archives_that_lack_the_table_or_are_damaged_or_too_long(tmp_path, monkeypatch):
    lastfm, raw = registry.get("lastfm")(), tmp_path / "x.zip"
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("other.dat", "")
    with pytest.raises(UserError, match="holds no user_taggedartists"):
        lastfm.convert(raw)
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("user_taggedartists-timestamps.dat", "userID\tartistID\n1\t2\n")
    with pytest.raises(UserError, match="timestamp"):
        lastfm.convert(raw)
    raw.write_bytes(lastfm_file(tmp_path / "y.zip", random_events()).read_bytes()[:200])
    with pytest.raises(UserError, match="cannot be read"):
        lastfm.convert(raw)
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="longer than 100 bytes unpacked"):
        lastfm.convert(tmp_path / "y.zip")

"""Recommendations of a study whose log was read with options, or that ranks what users have had."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

import bench
from bench import recommend

READING = bench.Reading.of("user=who,item=what,time=when", ["event=buy"], 3, "drop-consecutive")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a study on a log of columns with names of its own, and the log."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    rows = [
        (f"c{user}", f"sku-{rng.integers(30)}", 100 * user + at, rng.choice(["buy", "look"]))
        for user in range(60)
        for at in range(20)
    ]
    log = pd.DataFrame(rows, columns=["who", "what", "when", "event"])
    log.to_csv(folder / "shop.csv", index=False)
    plan = bench.plan(
        datasets=folder / "shop.csv", backbones="gru4rec", samplers="uniform", reading=READING,
        settings={"epochs": 1, "dim": 8, "N": 5, "seen": "ranked"},
    )  # fmt: skip
    study = bench.Study("shop", results=folder / "results")
    assert study.run(plan, workers=1, keep_models=True).ok
    return folder, study, log


def run(folder, capsys, *arguments):
    status = recommend.main([
        "shop", "uniform", *map(str, arguments), "--results", f"{folder}/results",
    ])  # fmt: skip
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_histories_are_read_as_the_studys_log_was_whatever_their_number(shop, capsys, tmp_path):
    folder, study, _ = shop
    path = tmp_path / "new.csv"
    path.write_text(
        "who,what,when,event\nann,sku-2,3,buy\nann,sku-1,1,buy\nann,sku-1,2,buy\nann,sku-9,4,look\n"
        "bob,sku-3,1,look\nbob,sku-5,2,buy\n", encoding="utf-8",
    )  # fmt: skip
    status, out, _ = run(folder, capsys, "--users", path, "--k", 4)
    assert status == 0
    table = pd.read_csv(io.StringIO(out))
    assert table["user"].tolist() == ["ann"] * 4 + ["bob"] * 4
    wanted = bench.load_model(study, "uniform").top([["sku-1", "sku-2"], ["sku-5"]], 4)
    assert table["item"].tolist() == wanted[0] + wanted[1]


def test_options_given_are_in_place_of_the_studys(shop, capsys, tmp_path):
    folder, study, _ = shop
    path = tmp_path / "new.csv"
    path.write_text("user,item\nann,sku-1\nann,sku-2\n", encoding="utf-8")
    status, _, errors = run(folder, capsys, "--users", path)
    assert status == 2
    assert "read as the study's log, by --columns user=who,item=what,time=when --where" in errors
    assert "--min-count" not in errors
    status, out, _ = run(folder, capsys, "--users", path, "--columns", "user=0,item=item", "--k", 2)
    assert status == 0
    found = pd.read_csv(io.StringIO(out))["item"].tolist()
    assert found == bench.load_model(study, "uniform").top([["sku-1", "sku-2"]], 2)[0]


def test_how_users_are_read_is_refused_where_none_are(shop, capsys):
    folder, _, _ = shop
    for option in (["--columns", "user=who"], ["--where", "a=b"], ["--repeats", "first"]):
        status, _, errors = run(folder, capsys, "--sequence", "sku-1", *option)
        assert status == 2
        assert "say how --users is read; leave them out" in errors


def test_where_seen_items_are_ranked_they_are_recommended_and_that_is_said(shop, capsys):
    folder, study, _ = shop
    model = bench.load_model(study, "uniform")
    given = ["--sequence", "sku-1,sku-2", "--k", len(model.labels)]
    seen = {"sku-1", "sku-2"}
    for more, there, said in (([], True, 1), (["--allow-seen"], True, 0),
                              (["--no-allow-seen"], False, 0)):  # fmt: skip
        status, out, errors = run(folder, capsys, *given, *more)
        items = set(pd.read_csv(io.StringIO(out))["item"])
        assert (status, seen <= items, bool(seen & items)) == (0, there, there)
        assert errors.count("trained with seen=ranked") == said
    assert np.isfinite(model.scores([["sku-1"]])[0, 1:]).all()
    assert np.isneginf(model.scores([["sku-1"]], allow_seen=False)[0]).sum() == 2

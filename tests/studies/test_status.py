"""How a study stands, from its log, its cells and the locks of those at work."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from support import cell_of
from support.results import result_of

from bench import grid, report
from bench.studies.log import FILE, Log
from bench.studies.status import status
from bench.studies.store import Store

CELLS = [cell_of(seed=seed) for seed in range(4)]


@pytest.fixture
def store(tmp_path):
    """Of four cells one is done, one failed, one is at epoch 5 of 10, one waits."""
    store = Store(tmp_path / "study")
    Log(store).event("start", workers=1, estimates={cell.key: 100.0 for cell in CELLS})
    store.save(result_of(CELLS[0]))
    Log(store).event("done", key=CELLS[0].key)
    store.save_failure(CELLS[1], "no good")
    Log(store).event("failed", key=CELLS[1].key)
    progress = store.root / ".progress" / f"{CELLS[2].key}.json"
    progress.parent.mkdir()
    progress.write_text(json.dumps({"cell": "c", "epoch": 5.0, "epochs": 10, "ndcg": 0.1}))
    return store


def test_done_running_failed_and_waiting_are_told_apart(store):
    claim = store.claim(CELLS[2])
    started = datetime.fromisoformat(next(Log(store).events())["time"])
    lines = status(store, started + timedelta(seconds=250))
    assert lines[0].endswith("1 done, 1 running, 1 failed, 1 waiting")
    assert "  running  c: epoch 5 of at most 10, validation NDCG@10 0.1000" in lines
    assert any(line.startswith(f"  failed   {CELLS[1].label}") for line in lines)
    # 250 of 400 expected seconds are done, in 250 seconds.
    assert lines[-1] == "  about 0:02:30 left"
    claim.release()
    assert status(store, started)[0].endswith("1 done, 0 running, 1 failed, 2 waiting")
    assert "continue" in status(store, started)[-1]


def test_a_log_that_was_cut_off_or_filled_with_rubbish_is_read_all_the_same(store):
    with (store.root / FILE).open("ab") as file:
        file.write(b'\xff\x00 rubbish\n[1, 2]\n{"event": "do')
    assert [event["event"] for event in Log(store).events()] == ["start", "done", "failed"]


def test_a_damaged_cell_is_said_also_where_nothing_else_is(store):
    (store.root / "cells" / CELLS[0].key / "cell.json").write_text("{")
    now = datetime.now(UTC)
    assert any("1 cells cannot be read" in line for line in status(store, now))
    (store.root / FILE).unlink()
    assert any(CELLS[0].key in line for line in status(store, now))


@pytest.mark.parametrize("part", ["trials", "trials-test", "rounds"])
def test_trials_and_rounds_are_shown_while_somebody_is_at_them(store, tmp_path, part):
    """They are all there is while a study is tuned; later the study is what is asked about."""
    whole, now = Store(tmp_path / "whole"), datetime.now(UTC)
    whole.root.mkdir()
    store.root.rename(whole.root / part)
    its = Store(whole.root / part)
    claim = its.claim(CELLS[2])
    (first, *_) = status(whole, now)
    assert first == f"study {its.root}: 1 done, 1 running, 1 failed, 1 waiting"
    whole.save(result_of(CELLS[0]))
    lines = status(whole, now)
    assert lines[0] == f"study {whole.root}: 1 done, 0 running, 0 failed, 0 waiting"
    assert first in lines
    claim.release()
    assert status(whole, now) == lines[:1]


@pytest.mark.parametrize("folder", ["", "cells"])
def test_a_study_that_may_not_be_read_is_one_clear_error(store, capsys, monkeypatch, folder):
    closed, access = store.root / folder, os.access  # root may read everything
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and access(path, mode))
    for main, words in ((grid.main, ["status"]), (report.main, []), (report.main, ["references"])):
        assert main([*words, "study", "--results", str(store.root.parent)]) == 2
        assert f"{closed}: may not be read" in capsys.readouterr().err


def test_the_command_prints_it(store, tmp_path, capsys):
    assert grid.main(["status", "study", "--results", str(tmp_path)]) == 0
    assert "1 done" in capsys.readouterr().out
    assert grid.main(["status", "other", "--results", str(tmp_path)]) == 2
    assert "no such study" in capsys.readouterr().err
    assert datetime.now(UTC) > datetime.fromisoformat(next(Log(store).events())["time"])

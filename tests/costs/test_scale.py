"""A study of many cells: nothing is asked of each that can be asked of all."""

from __future__ import annotations

import shutil
from collections import Counter

from bench import speed
from bench.costs import study_size
from bench.studies import estimates, running
from bench.studies.log import Log
from bench.studies.store import Store


def test_many_cells_are_planned_by_kind_and_indexed_from_themselves(tmp_path, monkeypatch):
    calls = Counter()

    def counted(module, name):
        function = getattr(module, name)

        def call(*arguments):
            calls[name] += 1
            return function(*arguments)

        monkeypatch.setattr(module, name, call)

    counted(estimates, "_measure")
    counted(running, "code_digest")
    step = study_size.run(tmp_path, 8)
    assert step.cells == 80
    kinds = len(study_size.SAMPLERS)
    assert calls == {"_measure": kinds, "code_digest": 2 * kinds}  # a run, a dry run

    root = tmp_path / "results" / study_size.STUDY
    index = (root / "index.csv").read_bytes()
    assert index.count(b"\n") == 81
    events = Counter(event["event"] for event in Log(Store(root)).events())
    assert events == {"start": 1, "done": 80, "end": 1}
    alone = tmp_path / "alone"
    shutil.copytree(root / "cells", alone / "cells")
    Store(alone).write_index()
    assert (alone / "index.csv").read_bytes() == index


def test_a_table_of_the_costs_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(study_size, "STEPS", 1)
    assert speed.main(["--cells", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines] == ["cells", "--:", "10"]
    assert speed.main(["--cells", "9"]) == 2
    assert "at least 10" in capsys.readouterr().err

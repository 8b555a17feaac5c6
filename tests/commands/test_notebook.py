"""The notebook of the documentation runs as it is, and is committed without outputs."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import matplotlib.figure
import pytest

NOTEBOOK = Path(__file__).resolve().parent.parent.parent / "docs/notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What its cells leave behind, run one after the other; the last line's values; the output."""
    folder, printed, shown = tmp_path_factory.mktemp("notebook"), io.StringIO(), []
    names = {"__name__": "__main__"}
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        for source in CODE:
            *before, last = source.rstrip().rpartition("\n")
            try:
                value = compile(last, "<notebook>", "eval")
            except SyntaxError:
                exec(source, names)
            else:
                exec("".join(before), names)
                shown.append(eval(value, names))
    return folder, names, shown, printed.getvalue()


def test_it_runs_as_it_is(ran):
    folder, names, shown, printed = ran
    assert names["result"].run.ok
    head, verdict, rounds, table, costs, accuracy, page = shown
    assert list(head.columns) == ["user", "item", "timestamp"]
    assert verdict is None
    assert "Found within 10m, of 4 candidates" in printed
    assert "validation users" in printed
    assert rounds.iloc[:, -1].notna().sum() == 2
    assert rounds["round 1, epoch 4"].notna().sum() == 4
    assert set(table.index) <= {"uniform", "dns", "mixed", "sampled-softmax"}
    for figure in (costs, accuracy):
        assert isinstance(figure, matplotlib.figure.Figure)
        assert figure.axes
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert (folder / page).is_file()


def test_it_is_committed_without_outputs():
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None

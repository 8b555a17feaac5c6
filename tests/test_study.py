"""The committed studies: reports follow from their cells, and texts quote nothing else."""

from __future__ import annotations

import functools
import itertools
import json
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from test_grid import clean_environment

import samplers
from bench import report
from bench.comparison import has_own_loss
from bench.paper import TABLES
from bench.store import Store
from bench.tables import METRICS, settings_of

ROOT = Path(__file__).resolve().parent.parent
STUDIES = ["paper-sasrec", "paper-lastfm", "paper-kuairand"]
STUDY_OF = {"Beauty": "paper-sasrec", "Toys": "paper-sasrec", "LastFM": "paper-lastfm"}
"""Dataset to the study that the page's table of it is from."""
COMPARED = {".md", ".tex"}


@pytest.fixture(scope="module", params=STUDIES)
def study(request):
    return request.param


@pytest.fixture(scope="module")
def regenerated(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return {path.name: path for path in report.write(ROOT / "results" / study, folder / study)}


def test_every_cell_is_sound(study):
    root = ROOT / "results" / study
    keys = {path.name for path in (root / "cells").iterdir()}
    assert {record["key"] for record in Store(root).records()} == keys
    assert set(pd.read_csv(root / "index.csv")["key"]) == keys


def test_its_tables_are_written_again_to_the_byte(study, regenerated):
    committed = {path.name: path for path in (ROOT / "reports" / study).iterdir()}
    assert set(committed) == set(regenerated)
    for name, path in committed.items():
        if path.suffix in COMPARED:
            assert regenerated[name].read_bytes() == path.read_bytes(), name


@pytest.mark.slow
def test_its_plots_and_page_are_written_again_to_the_byte(study, regenerated):
    """With the pinned versions; another matplotlib draws other bytes."""
    for path in (ROOT / "reports" / study).iterdir():
        assert regenerated[path.name].read_bytes() == path.read_bytes(), path.name


@pytest.mark.slow
def test_the_readme_s_command_trains_a_cell_again(data_dir, tmp_path):
    """To the last digit on the same kind of processor with the same packages, else nearly."""
    readme = (ROOT / "README.md").read_text()
    (command,) = [line for line in readme.splitlines() if line.endswith("--study again")]
    words = shlex.split(command.replace("--data-dir data", f"--data-dir {data_dir}"))
    subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, env=clean_environment(), check=True)
    (again,) = Store(tmp_path / "results" / "again").records()
    committed = Store(ROOT / "results" / "paper-sasrec").load(again["key"])
    same = ("cpu", "packages", "threads")
    equal = all(again["environment"][each] == committed["environment"][each] for each in same)
    tolerance = 0.0 if equal else 1e-3
    for part in ("valid", "test"):
        for name in METRICS:
            expected = pytest.approx(committed["metrics"][part][name], rel=0, abs=tolerance)
            assert again["metrics"][part][name] == expected


def quoted(text):
    """Numbers of four decimals, as metrics are written."""
    return re.findall(r"(?<![\d.])0?\.\d{4}(?!\d)", text)


def known():
    """Such numbers in the stored results, means and spreads over seeds, published figures."""
    tables = [Store(ROOT / "results" / study).frame() for study in STUDIES]
    tables += [pd.read_csv(path) for path in (ROOT / "results" / "paper").glob("*.csv")]
    values = [table.select_dtypes("number").to_numpy().ravel() for table in tables]
    for study in STUDIES:
        for records in systems_of(study):
            values += [
                over_seeds(records, name, part)
                for part, metrics in records[0]["metrics"].items()
                for name in metrics
                if all(name in record["metrics"].get(part, {}) for record in records)
            ]
    return {f"{value:.4f}" for each in values for value in each}


@pytest.mark.parametrize("name", ["README.md", "reports/README.md"])
def test_no_figure_in_a_text_is_without_a_source(name):
    text = (ROOT / name).read_text()
    assert {f"{float(number):.4f}" for number in quoted(text)} <= known()


def tables_of(text):
    """Rows of the page's tables with the name of a dataset in the corner, by column."""
    header = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells
        elif header[0] in STUDY_OF and not line.startswith("|---"):
            yield header[0], dict(zip(["system", *header[1:]], cells, strict=True))


@functools.cache  # all of a study's files, for every row of a table
def systems_of(study):
    """The records of a study, a list for the seeds of each system."""
    systems = {}
    for record in Store(ROOT / "results" / study).records():
        config = {name: value for name, value in record["config"].items() if name != "seed"}
        systems.setdefault(json.dumps(config, sort_keys=True), []).append(record)
    return list(systems.values())


def over_seeds(records, name, part="test"):
    """A metric's mean and, of several seeds, standard deviation over them."""
    values = [record["metrics"][part][name] for record in records]
    return [statistics.mean(values), *([statistics.stdev(values)] if len(values) > 1 else [])]


def of_sampler(dataset, name):
    """The systems of a sampler on a dataset, with its own loss or BCE."""
    found = []
    for records in systems_of(STUDY_OF[dataset]):
        config = records[0]["config"]
        of_page = has_own_loss(name) or config["objective"]["name"] == "bce"
        if of_page and (config["dataset"], config["sampler"]["name"]) == (dataset.lower(), name):
            found.append(records)
    return found


def named(dataset, system):
    """The cells of a name such as ``dns+, M=10 (in words)``; the rest of it as by default."""
    name, *options = system.partition(" (")[0].split(", ")
    usual = samplers.registry.hyper_parameters(name)
    found = []
    for records in of_sampler(dataset, name):
        config = records[0]["config"]
        has = {f"{option}={value}" for option, value in settings_of(config).items()}
        changed = {
            f"{option}={value}"
            for option, value in config["sampler"]["hyper"].items()
            if value != usual[option].default
        }
        if changed <= set(options) <= has:
            found.append(records)
    (records,) = found
    return records


def published(record):
    """NDCG@10 that the paper prints for a cell's system."""
    config = record["config"]
    peer = config["peer"]["name"] if config["peer"] else None
    system = (config["dataset"], config["backbone"]["name"], config["sampler"]["name"], peer)
    for table in TABLES.values():
        for entry in table.entries():
            if table.objective == "bce" and system in (entry.system, entry.released):
                lines = table.published().set_index(["dataset", "backbone", "method", "metric"])
                key = (entry.dataset, entry.backbone, entry.method, "NG@10")
                return f"{lines.loc[key, 'value']:.4f}"
    return ""


def row_of(records):
    """A row of the page's tables, of one system's cells, without its name."""
    ours, *spread = over_seeds(records, "ndcg@10")
    to_best = [
        each["timings"]["cpu_s"] / 60 * each["best_epoch"] / each["timings"]["epochs"]
        for each in records
    ]
    return {
        "ours": f"{ours:.4f}",
        "seeds": str(len(records)),
        "sd": "".join(f"{each:.4f}" for each in spread),
        "published": published(records[0]),
        "CPU min": f"{statistics.mean(to_best):.1f}",
        "coverage": f"{over_seeds(records, 'coverage@10')[0]:.2f}",
    }


def test_the_tables_of_the_page_say_what_is_stored():
    rows = list(tables_of((ROOT / "reports" / "README.md").read_text()))
    assert len(rows) > 20
    for dataset, row in rows:
        assert row == {
            "system": row["system"],
            **row_of(named(dataset, row["system"])),
        }


def test_the_table_of_the_readme_says_what_is_stored():
    lines = (ROOT / "README.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| | Beauty |"))
    header, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    ]
    assert len(rows) > 10
    for system, *row in rows:
        name = re.split(r",| \(", system)[0]
        dataset, shown = "", {}
        for column, cell in zip(header[1:], row, strict=True):
            if column in STUDY_OF:
                dataset, shown = column, {}
            shown["ours" if column in STUDY_OF else column] = cell
            if cell and shown["ours"]:
                rows_of = [row_of(records) for records in of_sampler(dataset, name)]
                assert any(shown.items() <= each.items() for each in rows_of), (system, dataset)

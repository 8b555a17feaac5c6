"""Trained models: those that a study kept, to recommend with, and those of other libraries."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.analysis.which_cell import which_cell
from bench.api import Folder, Study
from bench.datasets import data_directory
from bench.registry import load_plugin
from bench.studies import external
from bench.studies.external import External, Predictions
from bench.studies.recommender import Recommender, Which


def load_model(
    study: Study | str,
    system: str,
    *,
    dataset: str | None = None,
    backbone: str | None = None,
    objective: str | None = None,
    seed: int | None = None,
    which: Which = "self",
    results: Folder = "results",
    device: str = "cpu",
    plugins: Sequence[str] = (),
) -> Recommender:
    """The trained model of a cell, which kept it (``keep_models``), to recommend with.

    Args:
        study: or its name.
        system: the sampler's name as tables have it, ``dns+ (M=5)`` for one, or a cell's key.
        dataset: its name, where cells of several match; likewise the following.
        backbone: its name.
        objective: its name.
        seed: its number.
        which: where two models were trained, the one under test (``self``), its ``peer``, or both
            with scores added up (``ensemble``).
        results: directory of all studies.
        device: to compute on, ``cpu`` or ``cuda``.
        plugins: files or modules that register the cell's components.

    Raises:
        UserError: no cell matches, several do (they are listed), or its model is not there.
    """
    for plugin in plugins:
        load_plugin(plugin)
    store = (study if isinstance(study, Study) else Study(study, results=results)).store
    record = which_cell(
        store, system, dataset=dataset, backbone=backbone, objective=objective, seed=seed
    )
    return Recommender.load(store, record, which, device)


def evaluate(
    study: Study,
    name: str,
    predictions: Predictions,
    *,
    users: Sequence[Any] | None = None,
    items: Sequence[Any] | None = None,
    dataset: str | None = None,
    split: str | None = None,
    split_seed: int | None = None,
    split_file: Folder | None = None,
    seed: int = 0,
    seconds: float | None = None,
    complete: bool = False,
    data_dir: Folder | None = None,
) -> External:
    """Rank and measure what another library's model recommends, as a trained cell is, and keep it
    in a study: it then stands in its tables and tests, marked as external.

    What a user has had is masked, ties count half.  Lists that end early give the metrics at K
    exactly that they are long enough for; the others are left out, and so are ranks beyond.

    Args:
        study: with finished cells on the same data and split.
        name: what tables call it.
        predictions: a file (CSV, TSV or NPZ), a DataFrame with columns user, item and score or
            rank, or an array: ``[P, n]`` scores (floats) or ``[P, k]`` items, the best first (texts
            or whole numbers; "", 0 and -1 stand for none).  Items have their log's ids, if any.
        users: ``[P]`` of an array: whom each row is for; without, in the order of
            ``test_inputs.csv`` of ``python -m bench.data export``.
        items: ``[n]`` of an array of scores: the columns' items; without, numbers from 1.
        dataset: its name, where the study has several; the path of your own log, which is read as
            it was for the study.
        split: likewise.
        split_seed: likewise.
        split_file: that the study's cells were split by, if any.
        seed: which training of it; tables have means over them.
        seconds: that its training took; without, no cost is shown.
        complete: it never recommends what is not in its lists: a target beyond is a miss at any K.
        data_dir: where real datasets lie; without, ``$BENCH_DATA``.

    Raises:
        UserError: predictions of other users or items, or of none, lists too short for metrics at
            10, or data that the study has no cell on.
    """
    return external.evaluate(
        study.store,
        name,
        predictions,
        users=users,
        items=items,
        dataset=dataset,
        split=split,
        split_seed=split_seed,
        split_file=None if split_file is None else Path(split_file),
        seed=seed,
        seconds=seconds,
        complete=complete,
        data_dir=data_directory(None if data_dir is None else os.fspath(data_dir)),
    )

"""How a study was tuned: what was chosen, of how many, and how they spread."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.metrics import SELECT_ON
from bench.reports.document import Bullets, Document, Heading, Number, Paragraph, Part, Table, Value
from bench.studies import tuning
from bench.studies.records import Record
from bench.studies.store import Store
from bench.studies.tuning import Tuned

METRIC = SELECT_ON.upper()
SYSTEM = ("dataset", "backbone", "sampler")


def documents(study: Path) -> list[Document]:
    """Reports on how a study was tuned, one on real and one on synthetic data, if it was.

    Args:
        study: ``results/<study>``.

    Raises:
        UserError: ``tuning.json`` cannot be read.
    """
    tuned = tuning.read(study) or []
    kinds = [[one for one in tuned if one.synthetic == kind] for kind in (False, True)]
    return [_document(study, systems) for systems in kinds if systems]


def _document(study: Path, systems: Sequence[Tuned]) -> Document:
    synthetic = systems[0].synthetic
    stores = Store(study / tuning.TRIALS), Store(study / tuning.TESTS)
    outcomes = [_outcome(one, *(_trials_in(store, one) for store in stores)) for one in systems]
    by_title: dict[str, list[Outcome]] = {}
    for one, outcome in zip(systems, outcomes, strict=True):
        by_title.setdefault(_title(one), []).append(outcome)
    first, *others = by_title
    parts = [*_section(by_title[first])]
    for title in others:
        parts += [Heading(title, level=1), *_section(by_title[title])]
    spaces = dict.fromkeys(
        f"{one.sampler} on {one.backbone}, {one.objective} loss: "
        + ("; ".join(f"{name} in {values}" for name, values in one.space.items()) or "nothing")
        for one in systems
    )
    parts += [Heading("Search spaces", level=1), Bullets([*spaces])]
    return Document(
        name=f"tuning{'-synthetic' * synthetic}",
        title=first,
        parts=parts,
        synthetic=synthetic,
        data=pd.DataFrame(map(asdict, outcomes)),
        computed=False,
    )


def _trials_in(store: Store, tuned: Tuned) -> list[Record]:
    """The records of the trials that succeeded; none unless all of them are there."""
    keys = [trial.key for trial in tuned.trials if trial.status == "done"]
    try:
        return [store.load(key) for key in keys]
    except UserError:
        return []


@dataclass(frozen=True)
class Outcome:
    """A system: what it was given, what was chosen, and the distribution over its trials.

    Attributes:
        space: configurations in the search space.
        epochs: that its trials took, those that succeeded: what tuning costs.
        valid_best, valid_median, valid_sd: over the trials that succeeded, on validation.
        test_best, test_median, test_sd: on test, once all of them have been tested.
        test_chosen: of the trial that was chosen.
    """

    dataset: str
    synthetic: bool
    backbone: str
    sampler: str
    objective: str
    budget: int
    trials: int
    failed: int
    space: int
    exhausted: bool
    epochs: int | None
    chosen: str
    valid_best: float | None
    valid_median: float | None
    valid_sd: float | None
    test_best: float | None
    test_median: float | None
    test_sd: float | None
    test_chosen: float | None

    @property
    def names(self) -> list[str]:
        return [self.dataset, self.backbone, self.sampler]

    @property
    def succeeded(self) -> int:
        return self.trials - self.failed


def _outcome(tuned: Tuned, trained: Sequence[Record], tested: Sequence[Record]) -> Outcome:
    winner = tuning.best(tuned.trials)
    epochs = [int(one.timings["epochs"]) for one in trained]
    tests = {}
    if all(one.tested for one in tested):
        tests = {one.key: one.test[SELECT_ON] for one in tested}
    valid = [t.valid[SELECT_ON] for t in tuned.trials if t.status == "done"]
    return Outcome(
        tuned.dataset,
        tuned.synthetic,
        tuned.backbone,
        tuned.sampler,
        tuned.objective,
        tuned.budget,
        len(tuned.trials),
        len(tuned.trials) - len(valid),
        tuning.size_of(tuned.space),
        tuned.exhausted,
        sum(epochs) if epochs else None,
        "" if tuned.chosen is None else tuning.shown(tuned.chosen),
        *_spread(valid),
        *_spread(list(tests.values())),
        None if winner is None else tests.get(tuned.trials[winner].key),
    )


def _spread(values: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Best, median and (of two or more) sample standard deviation."""
    return (
        max(values, default=None),
        statistics.median(values) if values else None,
        statistics.stdev(values) if len(values) > 1 else None,
    )


def _title(tuned: Tuned) -> str:
    """What is the same for all that stand in one table."""
    protocol = tuned.protocol
    return (
        f"Tuning: {'SYNTHETIC data' if tuned.synthetic else 'Real data'}, "
        f"{tuned.objective} loss, split {protocol['split']}, d={protocol['dim']}, "
        f"window {protocol['window']}, at most {protocol['epochs']} epochs"
    )


def _section(outcomes: Sequence[Outcome]) -> Iterator[Part]:
    alike = "Every system was given the same number of trials"
    if len({one.budget for one in outcomes}) > 1:
        alike = "Systems were given DIFFERENT numbers of trials, so that these are no equal terms"
    yield Paragraph(
        f"{alike}; they were trained at seed 0 without the test split, and the best validation "
        f"{METRIC} was chosen. Fewer trials than the budget: the search space holds no more "
        "configurations. Epochs are those of all trials that succeeded, what tuning costs. Spread "
        "over trials is what choosing the best of many runs could show, not seed noise."
    )
    yield Heading(f"Validation {METRIC} over trials")
    yield Table(
        "Validation",
        [*SYSTEM, "trials", "epochs", "best", "median", "sd", "chosen"],
        [
            [
                *(*one.names, _trials(one), "" if one.epochs is None else f"{one.epochs:,}"),
                *map(_number, (one.valid_best, one.valid_median, one.valid_sd)),
                one.chosen or "none: no trial succeeded",
            ]
            for one in outcomes
        ],
        n_text=len(SYSTEM),
        last_is_text=True,
        kept=(2,),
        wrapped=(8,),
    )
    tested = [one for one in outcomes if one.test_chosen is not None]
    if not tested:
        return
    yield Heading(f"Test {METRIC} over trials: not used for any choice")
    yield Paragraph(
        "Tested after everything was chosen. Best is what a report of the best of many runs "
        "would have shown; chosen is the same configuration, at seed 0, as validation chose."
    )
    yield Table(
        "Test",
        [*SYSTEM, "trials", "chosen", "best", "median", "sd"],
        [
            [
                *(*one.names, str(one.succeeded)),
                *map(_number, (one.test_chosen, one.test_best, one.test_median, one.test_sd)),
            ]
            for one in tested
        ],
        n_text=len(SYSTEM),
        kept=(2,),
    )


def _trials(one: Outcome) -> str:
    text = f"{one.trials} of {one.budget}"
    text += ", space exhausted" if one.exhausted else ""
    return text + (f", {one.failed} failed" if one.failed else "")


def _number(value: float | None) -> Value:
    return "" if value is None else Number(value)

"""How long rounds take is predicted from what an epoch costs, and learnt from rounds."""

from __future__ import annotations

import itertools

import pytest

from bench.errors import UserError
from bench.studies.pace import CROWDED, Pace, Run, makespan
from bench.studies.units import seconds_of, shortly


def test_a_makespan_is_that_of_the_longest_first():
    assert makespan([3, 3, 2, 2, 2], 2) == 7  # 3+2+2 beside 3+2, as the rule has it; 6 is possible
    assert makespan([], 2) == 0
    assert makespan([4], 3) == 4


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_makespan_is_at_most_a_third_above_the_shortest_possible(workers):
    """Graham's bound, against all ways to share seven jobs out."""
    jobs = [5, 4, 4, 3, 3, 1, 0.5]
    best = min(
        max(sum(j for j, w in zip(jobs, ways, strict=True) if w == k) for k in range(workers))
        for ways in itertools.product(range(workers), repeat=len(jobs))
    )
    assert best <= makespan(jobs, workers) <= (4 / 3 - 1 / (3 * workers)) * best


def test_a_training_that_patience_ended_takes_no_more_epochs():
    assert Run("a", done=5).epochs(12) == 7
    assert Run("a", done=5).epochs(3) == 0
    assert Run("a", done=5, stops=5).epochs(12) == 0
    assert Run("a", done=0, stops=5).epochs(12) == 5  # another seed of it


def test_the_limit_is_the_highest_that_is_in_time():
    pace = Pace({("k",): 2.0, ("l",): 1.0}, 0.5, 3.0, 1)
    runs = [Run("a", ("k",), 2), Run("b", ("l",))]
    for seconds in range(40):
        fitting = [n for n in range(1, 11) if pace.round(runs, n) <= seconds]
        assert pace.limit(runs, seconds, 10) == max(fitting, default=0)
    assert pace.round(runs, 4) == 3.0 + 0.5 + 2 * 2.0 + 0.5 + 4 * 1.0


def test_a_round_shows_what_epochs_take_and_what_is_lost_beside_them():
    pace = Pace({("k",): 1.0}, 0.1, 5.0, 2)
    assert pace.round([Run("a", ("k",))], 10) == pytest.approx(5.0 + 0.1 + 10 * CROWDED)
    before = Run("a", ("k",), 2), Run("b", ("k",))
    pace.learn([(before[0], 6), (before[1], 6)], {"a": 3.0, "b": 1.0}, 15.0)
    # 4 epochs of 3 s and 6 of 1 s are 18 of two workers' 30 seconds; each training lost 6.
    assert pace.seconds(Run("a", ("k",), 6), 8) == pytest.approx(6 + 2 * 3.0)
    assert pace.seconds(Run("b", ("k",), 6), 8) == pytest.approx(6 + 2 * 1.0)
    assert pace.round([Run("a", ("k",), 6)], 6) == pytest.approx(6)  # no process is to start


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("30m", 1800), ("90s", 90), ("1h30m", 5400), ("1h1m1s", 3661), ("90m", 5400)],
)
def test_times_are_read_as_people_write_them(text, seconds):
    assert seconds_of(text) == seconds
    assert seconds_of(shortly(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "1.5h", "-2h", "0m", "30m1h", "2 h", "1d", "٣m x"])
def test_what_is_no_time_is_one_clear_error(text):
    with pytest.raises(UserError, match="is no time; expected such as 2h, 1h30m, 30m or 90s"):
        seconds_of(text)

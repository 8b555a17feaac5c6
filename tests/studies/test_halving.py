"""What is decided in a given time, on a machine that is made up: its clock, speed and curves."""

from __future__ import annotations

import pytest
from support.machine import SAMPLERS, ran

from bench.analysis.finalists import Finalists
from bench.errors import UserError
from bench.studies import budget as accounts
from bench.studies.halving import share, sizes
from bench.studies.store import Store


@pytest.mark.parametrize("seconds", [150, 300, 600, 1200, 3000, 10000])
@pytest.mark.parametrize("slower", [0.5, 1.0, 3.0])
def test_it_ends_in_time_and_finds_the_best(machine, seconds, slower):
    fake, its = machine(seconds, slower=slower)
    cells, _ = ran(its)
    assert fake.now <= seconds
    assert its.account.last.kept[0].split(" ")[0] == "full-softmax"
    assert {cell.key for cell in fake.tested} == {cell.key for cell in cells}
    names = {cell.sampler.name for cell in cells}
    assert 1 <= len(names) <= 3
    # The same seeds and the same limit of epochs for each of them.
    by_name = {(c.sampler.name, str(c.sampler.hyper)): set() for c in cells}
    for cell in cells:
        by_name[cell.sampler.name, str(cell.sampler.hyper)].add((cell.seed, cell.protocol.epochs))
    assert len({frozenset(each) for each in by_name.values()}) == 1


def test_more_time_is_more_epochs_then_settings_and_seeds(machine, tmp_path):
    shown = []
    for seconds in (150, 600, 4000):
        _, its = machine(seconds)
        its._store = Store(tmp_path / str(seconds))
        its._rounds = Store(tmp_path / str(seconds) / "rounds")
        its._store.check_writable()
        ran(its)
        last = its.account.last
        shown.append((len(its.account.candidates), last.epochs, last.seeds))
    assert shown == sorted(shown)
    assert shown[0][0] == len(SAMPLERS) < shown[-1][0]
    assert shown[-1][2] == 5


@pytest.mark.parametrize("slower", [1.0, 4.0, 8.0])
def test_what_was_asked_about_is_trained_before_settings_that_were_added(machine, slower):
    """Though it be the quickest, as uniform is here, and what takes longest would begin."""
    fake, its = machine(4000, slower=slower)
    said = its.choose()
    its.rounds()
    counts = {name: sum(each.cell.sampler.name == name for each in its.account.candidates)
              for name in SAMPLERS}  # fmt: skip
    assert f": {', '.join(f'{name} {count}' for name, count in counts.items())}; " in said
    began = [cell.sampler.name for cell in fake.trained[: len(SAMPLERS)]]
    assert sorted(began) == sorted(SAMPLERS)
    unfinished = its.account.unfinished
    assert bool(unfinished) == (slower == 8.0)
    assert not set(unfinished) & set(SAMPLERS)
    found = Finalists(its.account, its.account.last.means(), [])
    told = [text for text in found.sentences() if text.startswith("Left out")]
    assert [f": {', '.join(unfinished)}." in text for text in told] == [True] * bool(unfinished)


def test_nobody_but_the_finalists_is_tested(machine):
    fake, its = machine(300)
    ran(its)
    dropped = {name for step in its.account.rounds if not step.final for name in step.dropped}
    assert dropped
    assert not {cell.sampler.name for cell in fake.tested} & dropped


def test_time_that_patience_saves_goes_to_seeds(machine):
    fake, its = machine(400, patience=12)
    ran(its)
    assert its.account.last.seeds > 1
    assert fake.now <= 400


def test_two_systems_are_finalists_from_the_start(machine):
    _, its = machine(400, samplers=["uniform", "mixed"], seeds=3)
    its._afforded = lambda: 1
    ran(its)
    assert all(step.final for step in its.account.rounds)
    assert its.account.last.kept == ["mixed", "uniform"]


def test_too_little_says_the_least_that_is_enough(machine):
    _, its = machine(20)
    with pytest.raises(UserError, match=r"--budget 20s: .* give --budget (\S+) or more") as error:
        its.choose()
    least = halving_seconds(str(error.value))
    fake, its = machine(least)
    ran(its)
    assert fake.now <= least
    with pytest.raises(UserError, match="too little"):
        machine(least - 15)[1].choose()


def halving_seconds(text):
    from bench.studies.units import seconds_of

    return seconds_of(text.partition("give --budget ")[2].partition(" ")[0])


def test_a_run_that_was_killed_goes_on_by_what_it_had_decided(machine):
    fake, its = machine(600)
    its.choose()
    whole = fake.train

    def killed(cells, *arguments, **options):
        if len(its.account.rounds) == 2:
            whole(cells[:1], *arguments, **options)
            raise KeyboardInterrupt
        return whole(cells, *arguments, **options)

    fake.train = killed
    with pytest.raises(KeyboardInterrupt):
        its.rounds()
    stored = accounts.read(its._store.root)
    assert [step.ended for step in stored.rounds] == [True, False]
    before = [cell.key for cell in fake.trained]
    again, other = machine(600, account=stored)
    again.now, again.epochs = fake.now, fake.epochs
    ran(other)
    assert other.account.rounds[0] == stored.rounds[0]
    assert other.account.rounds[1].entrants == stored.rounds[1].entrants
    assert other.account.rounds[1].epochs == stored.rounds[1].epochs
    assert not set(before) & {cell.key for cell in again.trained}  # nothing is trained twice
    assert again.now <= 600


def test_finals_that_do_not_end_in_time_are_left_out(machine):
    fake, its = machine(300)
    its.choose()
    whole = fake.train

    def slow(cells, *arguments, **options):
        if its.account.rounds[-1].final:
            fake.slower = 50.0
        return whole(cells, *arguments, **options)

    fake.train = slow
    its.rounds()
    assert not its.account.rounds[-1].kept
    assert not its.account.last.final
    assert {cell.protocol.epochs for cell in its.account.finals} == {its.account.last.epochs}
    assert "not in time, left out" in fake.said[-1]


def test_a_finalist_that_fails_is_left_out_and_the_others_go_on(machine):
    fake, its = machine(10000, samplers=["uniform", "dns", "full-softmax"])
    its.choose()
    whole = fake.train

    def diverging(cells, *arguments, **options):
        if its.account.rounds[-1].final:
            fake.diverge = {"full-softmax"}
        return whole(cells, *arguments, **options)

    fake.train = diverging
    its.rounds()
    assert its.account.last.final
    assert {cell.sampler.name for cell in its.account.finals} == {"dns"}
    (said,) = [line for line in fake.said if "without" in line]
    assert "; without full-softmax (not finished) (NDCG@20 on validation" in said
    assert {each.cell.sampler.name for each in its.failed.values()} == {"full-softmax"}


def test_a_round_keeps_a_third_down_to_three():
    assert sizes(20) == [6, 2]
    assert sizes(9) == [3]
    assert sizes(4) == [2]
    assert [sizes(n) for n in (1, 2, 3)] == [[], [], []]


@pytest.mark.parametrize("halvings", [1, 2, 3, 4])
def test_rounds_of_halving_take_three_fifths_the_first_twice_as_much_as_another(halvings):
    left, taken = 1.0, []
    for before in range(halvings):
        taken.append(left * share(halvings - before, before))
        left -= taken[-1]
    assert sum(taken) == pytest.approx(0.6)
    assert all(each == pytest.approx(taken[0] / 2) for each in taken[1:])
    assert share(0, halvings) == 1.0

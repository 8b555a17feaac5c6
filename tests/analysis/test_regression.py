"""Two studies side by side: what counts as a fall, and what is compared with what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel
from support import cell_of
from support.results import result_of

from bench import report
from bench.analysis.compare_studies import compare
from bench.metrics import gains
from bench.studies.store import Store


def save(store, cell, ranks, users=None):
    users = np.arange(len(ranks)) if users is None else users
    arrays = {"rank": np.asarray(ranks, dtype=float), "user": users}
    store.save(replace(result_of(cell), arrays=arrays))


@pytest.fixture
def studies(tmp_path):
    """In B, uniform is as it was, dns fell and dns+ (with another M) rose a little."""
    a, b = Store(tmp_path / "A"), Store(tmp_path / "B")
    rng = np.random.default_rng(0)
    ranks = {name: rng.integers(1, 15, 400) for name in ("uniform", "dns", "dns+")}
    for name, change in (("uniform", 0), ("dns", 2), ("dns+", 0)):
        for store, added in ((a, 0), (b, change)):
            hyper = {"N": 5, "M": 1 if store is a else 2} if name == "dns+" else {}
            save(store, cell_of(name, hyper=hyper), ranks[name] + added)
    save(a, cell_of("popularity"), [1, 2])
    return a, b, ranks


def test_a_fall_is_found_and_named(studies, capsys):
    a, b, ranks = studies
    arguments = ["compare", "A", "B", "--results", str(a.root.parent)]
    assert report.main(arguments) == 1
    out = capsys.readouterr().out
    assert next(line for line in out.splitlines() if "FELL" in line).startswith(
        "| made-up/sasrec/dns/bce |"
    )
    assert out.count("FELL") == 1 and "1 of 3 systems fell" in out
    assert "only in A: made-up/sasrec/popularity/bce" in out
    assert report.main([*arguments, "--fall", "99"]) == 0
    changes = {change.system: change for change in compare(a, b)[0]}
    dns = changes["made-up/sasrec/dns/bce"]
    before, after = (gains(ranks["dns"] + added)["ndcg@10"] for added in (0.0, 2.0))
    assert (dns.before, dns.after) == pytest.approx((before.mean(), after.mean()))
    # Holm: the smallest of three p-values counts three times.
    assert dns.p == pytest.approx(min(1, 3 * ttest_rel(before, after).pvalue))
    assert changes["made-up/sasrec/uniform/bce"].p == 1
    assert "made-up/sasrec/dns+/bce" in changes  # in one setting each: settings may differ


def test_users_and_seeds_are_paired(tmp_path):
    a, b = Store(tmp_path / "A"), Store(tmp_path / "B")
    save(a, cell_of("dns"), [1, 20, 1], users=[5, 6, 7])
    save(a, cell_of("dns", seed=1), [20, 20, 1], users=[5, 6, 7])
    save(b, cell_of("dns"), [1, 20], users=[7, 5])
    (change,), alone = compare(a, b)
    assert (change.users, change.seeds, alone) == (2, 1, [])
    assert (change.before, change.after) == (1.0, 0.5)
    c = Store(tmp_path / "C")
    save(c, cell_of("dns", seed=2), [1, 1, 1], users=[5, 6, 7])
    (change,), _ = compare(a, c)  # no seed in common: the means over those there are
    assert (change.seeds, change.before, change.after) == (0, pytest.approx(1.5 / 3), 1.0)


def test_without_a_common_user_nothing_is_significant(tmp_path):
    a, b = Store(tmp_path / "A"), Store(tmp_path / "B")
    save(a, cell_of("dns"), [1, 1], users=[5, 6])
    save(b, cell_of("dns"), [20, 20], users=[7, 8])
    (change,), _ = compare(a, b)
    assert (change.users, change.p) == (0, 1.0)


def test_several_settings_are_compared_each_with_its_own(tmp_path):
    a, b = Store(tmp_path / "A"), Store(tmp_path / "B")
    for store in (a, b):
        for M in (1, 2):
            save(store, cell_of("dns+", hyper={"N": 5, "M": M}), [M, 3, 4])
    changes, alone = compare(a, b)
    assert len(changes) == 2 and not alone
    assert all(change.before == change.after for change in changes)


def test_nothing_in_common_is_one_clear_error(tmp_path, capsys):
    save(Store(tmp_path / "A"), cell_of("dns"), [1, 2])
    save(Store(tmp_path / "B"), cell_of("dns", epochs=9), [1, 2])
    assert report.main(["compare", "A", "B", "--results", str(tmp_path)]) == 2
    assert "no system in common" in capsys.readouterr().err
    assert report.main(["compare", "A", "C", "--results", str(tmp_path)]) == 2
    assert "no finished cell" in capsys.readouterr().err


def test_a_rise_from_nothing_has_no_percentage(tmp_path, capsys):
    a, b = Store(tmp_path / "A"), Store(tmp_path / "B")
    save(a, cell_of("dns"), [50, 60, 70])
    save(b, cell_of("dns"), [1, 2, 70])
    assert report.main(["compare", "A", "B", "--results", str(tmp_path)]) == 0
    assert "| 0.0000 | 0.5436 | – |" in capsys.readouterr().out

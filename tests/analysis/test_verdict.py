"""What a comparison is said to show: ties are called ties, and costs and seeds are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from support import cell_of
from support.results import result_of

from bench.analysis.comparison import comparisons
from bench.analysis.verdict import by_rank, verdicts
from bench.studies.store import Store

USERS = 400


def test_samplers_that_all_blocks_have_are_in_the_order_of_mean_ranks():
    rng = np.random.default_rng(0)
    for _ in range(50):
        means = pd.DataFrame(rng.integers(0, 9, (4, 7)), columns=list("abcdefg"))
        ranks = means.rank(axis="columns", ascending=False).mean().round(9)
        assert by_rank(means) == list(ranks.sort_values(kind="stable").index)
        assert by_rank(means, "bd") == [name for name in by_rank(means) if name in "bd"]


def test_who_is_last_of_few_in_many_blocks_is_not_put_above_the_middle_of_many_in_one():
    """`uniform` is the fourth of four in two blocks, and the last of seven in the one of all."""
    in_all = {"mdcns": [0.6, 0.7, 0.6], "softmax": [0.5, 0.6, 0.7], "dns+": [0.4, 0.5, 0.4],
              "uniform": [0.3, 0.3, 0.3]}  # fmt: skip
    in_one = {name: [value] + [np.nan] * 2 for name, value in
              (("a", 0.55), ("b", 0.45), ("c", 0.35))}  # fmt: skip
    order = by_rank(pd.DataFrame(in_all | in_one))
    assert order == ["mdcns", "a", "softmax", "b", "dns+", "c", "uniform"]


def study_of(root, shares, datasets=("one", "two"), seconds=None, references=None, seeds=1):
    """Samplers that hit, at rank 1, so great a share of the users, with users' luck in common."""
    store = Store(root)
    for number, dataset in enumerate(datasets):
        luck = np.random.default_rng(number).random(USERS)
        for sampler, share in shares.items():
            for seed in range(seeds):
                ranks = np.where(luck < share, 1.0, 50.0)
                cell = replace(
                    cell_of(sampler, seed=seed), dataset=dataset, fingerprint=f"{number}" * 64
                )
                result = result_of(cell, float((ranks == 1).mean()))
                result.environment["device"] = "cpu"
                result.timings["cpu_s"] = (seconds or {}).get(sampler, 10.0)
                result.data["references"] = references or {}
                arrays = {"rank": ranks, "user": np.arange(USERS)}
                store.save(replace(result, arrays=arrays))
    return comparisons(store)[0]


def merge(store, *parts, backbones=("sasrec",)):
    """The cells of studies of one dataset each in one store, once with each of the backbones."""
    for part in parts:
        for record in part.store.records():
            for name in backbones:
                cell = replace(
                    record.cell,
                    fingerprint=record.cell.dataset[:2].encode().hex() * 16,
                    backbone=replace(record.cell.backbone, name=name),
                )
                result = result_of(cell, record.test["ndcg@10"])
                store.save(replace(result, arrays=part.store.arrays(record.key)))


def test_a_cost_is_a_mean_over_datasets_whatever_the_seeds_of_each(tmp_path):
    """Costs are of one level sampler 10 and 100 on the datasets, of the other 12 and 80."""
    store = Store(tmp_path / "study")
    for dataset, sampler, seeds, cost in (
        ("a", "uniform", 3, 10.0), ("b", "uniform", 1, 100.0),
        ("a", "dns", 1, 12.0), ("b", "dns", 3, 80.0),
    ):  # fmt: skip
        for seed in range(seeds):
            cell = replace(cell_of(sampler, seed=seed), dataset=dataset, fingerprint=dataset * 64)
            result = result_of(cell, 0.2)
            result.environment["device"] = "cpu"
            result.timings["cpu_s"] = cost
            arrays = {"rank": np.ones(USERS), "user": np.arange(USERS)}
            store.save(replace(result, arrays=arrays))
    (verdict,) = verdicts(comparisons(store)[0])
    assert set(verdict.level) == {"uniform", "dns"}
    assert verdict.cheapest == ("dns", 46.0)


def test_a_tie_is_called_a_tie_and_its_cheapest_member_is_named(tmp_path):
    shares = {"uniform": 0.2, "dns": 0.5, "mdcns": 0.503, "srns": 0.5}
    comparison = study_of(tmp_path, shares, seconds={"mdcns": 300.0, "dns": 30.0, "srns": 20.0})
    (verdict,) = verdicts(comparison)
    assert verdict.level[0] == "mdcns"
    assert set(verdict.level) == {"mdcns", "dns", "srns"}
    assert verdict.level_on == 2
    assert verdict.worse == ["uniform"]
    assert verdict.cheapest == ("srns", 20.0)
    (sentence,) = verdict.sentences()
    assert sentence.startswith("sasrec: level with the best on all 2 datasets: mdcns, ")
    assert "the cheapest of them is srns, 20.0 CPU seconds a training" in sentence
    assert sentence.endswith("significantly worse everywhere: uniform (1 seed).")


def test_where_nobody_is_level_everywhere_it_is_said_on_how_many(tmp_path):
    first = study_of(tmp_path / "a", {"uniform": 0.2, "dns": 0.6}, ("one",))
    assert verdicts(first)[0].level == ["dns"]
    store = Store(tmp_path / "b")
    merge(
        store,
        study_of(tmp_path / "one", {"uniform": 0.2, "dns": 0.6}, ("one",)),
        study_of(tmp_path / "two", {"uniform": 0.6, "dns": 0.2}, ("two",)),
    )
    (verdict,) = verdicts(comparisons(store)[0])
    assert verdict.level_on == 1
    assert set(verdict.level) == {"uniform", "dns"}
    assert verdict.worse == []
    assert "level with the best on 1 of 2: " in verdict.sentences()[0]


def test_what_needs_no_training_and_is_above_all_is_named(tmp_path):
    references = {
        "popularity": {"ndcg@10": 0.01},
        "co-occurrence": {"ndcg@10": 0.9},
        "oracle": {"ndcg@10": 1.0},
    }
    comparison = study_of(tmp_path, {"uniform": 0.2, "dns": 0.5}, references=references, seeds=2)
    (verdict,) = verdicts(comparison)
    assert verdict.untrained == {"co-occurrence": 2}
    first, second = verdict.sentences()
    assert first.endswith("(2 seeds).")
    assert second == (
        "Above all of these with sasrec, without training: co-occurrence on all 2 datasets."
    )


def test_one_sampler_alone_has_no_verdict(tmp_path):
    assert verdicts(study_of(tmp_path, {"uniform": 0.2})) == []


def test_one_that_is_level_everywhere_is_not_called_the_best_everywhere(tmp_path):
    """On one dataset another has more, to which it is level; on the other that one is worse."""
    store = Store(tmp_path)
    both = study_of(tmp_path / "one", {"dns": 0.6, "srns": 0.601}, ("one",))
    other = study_of(tmp_path / "two", {"dns": 0.6, "srns": 0.2}, ("two",))
    merge(store, both, other)
    (verdict,) = verdicts(comparisons(store)[0])
    assert verdict.level == ["dns"]
    assert verdict.sentences()[0].startswith(
        "sasrec: dns is level with the best on all 2 datasets, and no other on as many (1 seed)"
    )


def test_those_that_are_level_with_nobodys_best_are_not_called_level(tmp_path):
    """The best of each dataset was trained on it alone."""
    store = Store(tmp_path)
    shares = {"uniform": 0.2, "dns": 0.25}
    one = study_of(tmp_path / "one", shares | {"srns": 0.9}, ("one",))
    two = study_of(tmp_path / "two", shares | {"mdcns": 0.9}, ("two",))
    merge(store, one, two)
    (verdict,) = verdicts(comparisons(store)[0])
    assert verdict.level == []
    assert verdict.sentences()[0] == (
        "sasrec: of those trained on all 2 datasets none is level with any's best; "
        "significantly worse everywhere: dns, uniform (1 seed)."
    )

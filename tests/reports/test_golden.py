"""Tables as they were when last looked at: a change of layout shows as a change of these files.

After looking at the difference, `PYTHONPATH=.:tests python tests/reports/test_golden.py` writes
them anew.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import cell_of
from support.results import result_of

from bench.reports.writing import write
from bench.studies.store import Store

pytestmark = pytest.mark.usefixtures("sketches_throughout")

GOLDEN = Path(__file__).with_name("golden")
FILES = [
    f"{kind}-bce{data}.{suffix}"
    for data in ("", "-synthetic")
    for kind, suffix in [("comparison", "md"), ("comparison", "tex"), ("significance", "md")]
]


def made(folder: Path) -> Path:
    """Tables of a made-up study: two datasets, a missing cell, one or two seeds, a peer."""
    store = Store(folder / "results" / "study")
    for name, synthetic in (("first", False), ("second", False), ("a_twin", True)):
        for k, sampler in enumerate(["uniform", "dns+", "mdcns"]):
            for seed in (0, 1):
                if (name, sampler) == ("second", "dns+") or (synthetic and seed):
                    continue
                cell = replace(cell_of(sampler, seed=seed), dataset=name, fingerprint=name[0] * 64)
                rng = np.random.default_rng([k, seed, synthetic])
                ranks = rng.geometric(0.02 * (k + 1), 400).astype(float)
                value = float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0).mean())
                result = result_of(cell, value, synthetic=synthetic)
                result.metrics["test_seen_as_zero"] = {"ndcg@10": value * (1 - k / 10)}
                store.save(replace(result, arrays={"rank": ranks, "user": np.arange(400)}))
    write(store.root, folder / "reports")
    return folder / "reports"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    return made(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", FILES)
def test_the_table_is_as_it_was(reports, name):
    assert (reports / name).read_text() == (GOLDEN / name).read_text()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = made(Path(temporary))
        GOLDEN.mkdir(exist_ok=True)
        for file in FILES:
            (GOLDEN / file).write_text((found / file).read_text())
            print(GOLDEN / file, file=sys.stderr)

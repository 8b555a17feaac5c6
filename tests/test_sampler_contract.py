"""Every registered sampler keeps the contract, with its defaults and with its parts off."""

from __future__ import annotations

import samplers
from bench.testing import SamplerContract

for _name in samplers.registry.names():
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (SamplerContract,), {"sampler": _name})


class TestWithoutPeer(SamplerContract):
    sampler = "mdcns"
    hyper = {"peer": None, "M": 5}


class TestWithoutDistillation(SamplerContract):
    sampler = "mdcns"
    hyper = {"mu": 0.0, "M": 3}


class TestReleased(SamplerContract):
    sampler = "mdcns"
    hyper = {"teacher": "mean", "support": "pool+positive", "reduction": "sum", "mu": 0.01}


class TestSeveralNegatives(SamplerContract):
    sampler = "popularity"
    hyper = {"K": 4}

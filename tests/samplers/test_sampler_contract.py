"""Every registered sampler keeps the contract, with its defaults and with its parts off."""

from __future__ import annotations

import samplers
from bench.testing import SamplerContract

WITHOUT_CHANCE = {"in-batch", "full-softmax"}

for _name in samplers.registry.names() + samplers.registry.variants():
    _body = {"sampler": _name, "draws": _name not in WITHOUT_CHANCE}
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (SamplerContract,), _body)


class TestWithoutPeer(SamplerContract):
    sampler = "mdcns"
    hyper = {"peer": None, "M": 5}


class TestSeveralNegatives(SamplerContract):
    sampler = "popularity"
    hyper = {"K": 4}

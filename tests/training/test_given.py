"""What another model recommends is ranked as what a model trained here does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import CPU, random_sequences

from backbones.sasrec import SASRec
from bench.datasets.reading.item_ids import ItemIds
from bench.datasets.reading.predictions import of_array
from bench.datasets.splits import Examples
from bench.metrics import TOP
from bench.training.evaluation import rank_predictions
from bench.training.given import rank_given

N_ITEMS = 30


@pytest.mark.parametrize("masked", [True, False])
def test_scores_of_a_model_have_its_ranks_and_its_list(masked):
    """Of what the users have had too, where that is not masked; a third of the targets are."""
    torch.manual_seed(0)
    model = SASRec(N_ITEMS, 8, 6).eval()
    inputs = [sequence[:-1] for sequence in random_sequences(n_users=90, n_items=N_ITEMS)]
    targets = [items[0] if user % 3 else 1 + user % N_ITEMS for user, items in enumerate(inputs)]
    examples = Examples(
        items=np.concatenate(inputs).astype(np.int32),
        offsets=np.cumsum([0, *map(len, inputs)]),
        targets=np.array(targets, dtype=np.int32),
        users=np.arange(len(inputs)),
        masked=masked,
    )
    last = torch.zeros(len(inputs), 6, dtype=torch.long)
    for row, items in enumerate(inputs):
        last[row, : len(items[-6:])] = torch.as_tensor(items[-6:])
    with torch.no_grad():
        states = model.last(last, torch.tensor([len(items[-6:]) for items in inputs]))
        scores = (states @ model.items.weight.T)[:, 1:].numpy()
    users = [str(user) for user in range(len(inputs))]
    given = rank_given(
        of_array(scores, ItemIds(N_ITEMS, None), users, range(1, N_ITEMS + 1)),
        np.array(users),
        examples,
        N_ITEMS,
    )
    known = rank_predictions([model], examples, CPU, top=TOP)
    assert given.depth is None
    np.testing.assert_array_equal(given.ranking.ranks, known.ranks)
    np.testing.assert_array_equal(given.ranking.top, known.top)

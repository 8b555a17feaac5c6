"""Contract tests for components of your own: inherit, name the component, run pytest.

    from bench.testing import SamplerContract

    class TestSoftDNS(SamplerContract):
        sampler = "softdns"

Every built-in sampler, backbone and reference passes them too.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import backbones
import samplers
from backbones.base import Backbone, last_states
from bench import references
from bench.datasets.splits import Examples, Sequences
from bench.datasets.training_data import TrainingData
from bench.errors import UserError
from bench.history import History
from bench.pools import Targets
from bench.references.base import Floats, Ints, Items
from bench.references.ranking import ranks
from samplers import Catalogue, Negatives, Sampler, Scored, View
from samplers.base import Exposed

N_ITEMS = 60
LENGTHS = (9, 7, 5, 3, 2)
"""Of the sequences that samplers are tried on; every position but the first is a target."""


class BackboneContract:
    """What the harness relies on in a backbone.

    Attributes:
        backbone: registered name.
        hyper: hyper-parameters that differ from the defaults.
    """

    backbone: ClassVar[str]
    hyper: ClassVar[dict[str, Any]] = {}
    dim, window = 16, 12

    def build(self, seed: int = 0) -> Backbone:
        """A model in evaluation mode."""
        torch.manual_seed(seed)
        hyper = backbones.registry.resolve(self.backbone, self.hyper)
        made = backbones.registry.build(self.backbone, hyper, N_ITEMS, self.dim, self.window)
        return made.eval()

    def inputs(self, lengths: list[int], padded_to: int | None = None) -> tuple[Tensor, Tensor]:
        """Random sequences; the same items whatever they are padded to."""
        rng = torch.Generator().manual_seed(1)
        L = padded_to or max(lengths)
        items = torch.zeros(len(lengths), L, dtype=torch.int64)
        for row, length in enumerate(lengths):
            items[row, :length] = 1 + torch.randperm(N_ITEMS, generator=rng)[:length]
        return items, torch.tensor(lengths)

    def test_states_have_the_stated_shape(self) -> None:
        for lengths in ([1], [self.window], [1, 5, self.window]):
            states = self.build()(*self.inputs(lengths))
            assert states.shape == (len(lengths), max(lengths), self.dim)
            assert states.dtype == torch.float32
            assert torch.isfinite(states).all()

    def test_states_do_not_depend_on_padding_or_company(self) -> None:
        model, lengths = self.build(), [3, 6, 1]
        plain = model(*self.inputs(lengths))
        padded = model(*self.inputs(lengths, padded_to=self.window))
        for row, length in enumerate(lengths):
            items, _ = self.inputs(lengths)
            alone = model(items[row : row + 1, :length], torch.tensor([length]))[0]
            torch.testing.assert_close(plain[row, :length], alone, atol=1e-5, rtol=0)
            torch.testing.assert_close(padded[row, :length], alone, atol=1e-5, rtol=0)

    def test_the_last_state_is_that_of_the_whole_sequence(self) -> None:
        model, lengths = self.build(), [3, self.window, 1]
        items, counts = self.inputs(lengths)
        whole = last_states(model(items, counts), counts)
        torch.testing.assert_close(model.last(items, counts), whole, atol=1e-5, rtol=0)

    def test_evaluation_is_deterministic(self) -> None:
        model = self.build()
        assert torch.equal(model(*self.inputs([4, 2])), model(*self.inputs([4, 2])))

    def test_seed_and_state_dict_make_the_model(self) -> None:
        first, again, other = self.build(0), self.build(0), self.build(1)
        inputs = self.inputs([4, 2])
        assert torch.equal(first(*inputs), again(*inputs))
        assert not torch.equal(first(*inputs), other(*inputs))
        other.load_state_dict(first.state_dict())
        assert torch.equal(first(*inputs), other(*inputs))

    def test_a_causal_backbone_does_not_see_the_future(self) -> None:
        model = self.build()
        items, lengths = self.inputs([self.window])
        states = model(items, lengths)
        changed = items.clone()
        changed[0, 6:] = changed[0, 6:] % N_ITEMS + 1
        difference = (model(changed, lengths) - states)[0, :6].abs().max()
        if model.causal:
            assert difference < 1e-5
            for length in range(1, self.window + 1):
                prefix = items[:, :length], torch.tensor([length])
                one = last_states(model(*prefix), prefix[1])[0]
                torch.testing.assert_close(states[0, length - 1], one, atol=1e-5, rtol=0)
        else:
            assert difference > 1e-5, "sees no future: declare it causal, which trains it faster"

    def test_the_order_of_items_matters(self) -> None:
        items, lengths = self.inputs([5])
        swapped = items[:, [1, 0, 2, 3, 4]]
        model = self.build()
        assert (model(items, lengths) - model(swapped, lengths))[0, -1].abs().max() > 1e-6

    def test_every_parameter_learns_and_padding_does_not(self) -> None:
        model = self.build().train()
        items, lengths = self.inputs([self.window, 5])
        states = model.last(items, lengths)
        rng = torch.Generator().manual_seed(2)
        (states * torch.randn(states.shape, generator=rng)).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
        assert model.items.weight.grad is not None
        assert model.items.weight.grad[0].abs().max() == 0
        assert model.items.weight[0].abs().max() == 0

    def test_dropout_is_on_in_training(self) -> None:
        model = self.build().train()
        inputs = self.inputs([5])
        torch.manual_seed(0)
        first = model(*inputs)
        assert not torch.equal(first, model(*inputs))
        torch.manual_seed(0)
        assert torch.equal(first, model(*inputs))

    def test_impossible_values_are_refused(self) -> None:
        for name, value in (("layers", 0), ("dropout", 1.0), ("dropout", -0.1)):
            if name in backbones.registry.hyper_parameters(self.backbone):
                hyper = backbones.registry.resolve(self.backbone, {**self.hyper, name: value})
                with pytest.raises(UserError, match=name):
                    backbones.registry.build(self.backbone, hyper, N_ITEMS, 16, 12)


class SamplerContract:
    """What the harness relies on in a sampler.

    Attributes:
        sampler: registered name.
        hyper: hyper-parameters that differ from the defaults.
        draws: whether anything about its negatives is random.
    """

    sampler: ClassVar[str]
    draws: ClassVar[bool] = True
    hyper: ClassVar[dict[str, Any]] = {}

    def build(self, targets: Targets) -> Sampler:
        """The sampler, prepared."""
        known = samplers.registry.hyper_parameters(self.sampler)
        small = {
            k: v for k, v in {"N": 10, "C": 10, "hard": 4, "F": 30, "S1": 8}.items() if k in known
        }
        hyper = samplers.registry.resolve(self.sampler, small | self.hyper)
        made = samplers.registry.build(self.sampler, hyper)
        items, offsets = self.sequences()
        exposed = Exposed(
            items=torch.arange(1, N_ITEMS + 1).repeat(len(LENGTHS)),
            offsets=torch.arange(len(LENGTHS) + 1) * N_ITEMS,
            positions=torch.arange(N_ITEMS).mul(2).floor_divide(N_ITEMS).repeat(len(LENGTHS)),
        )
        made.prepare(Catalogue(N_ITEMS, items, offsets, targets.generator, exposed))
        return made

    def sequences(self) -> tuple[Tensor, Tensor]:
        """Items and offsets of a few short training sequences."""
        rng = torch.Generator().manual_seed(1)
        items = torch.cat([1 + torch.randperm(N_ITEMS, generator=rng)[:n] for n in LENGTHS])
        return items, torch.tensor([0, *LENGTHS]).cumsum(0)

    def targets(self, seed: int = 0) -> Targets:
        """Every next item of a few short sequences."""
        items, offsets = self.sequences()
        every = [(row, p) for row, n in enumerate(LENGTHS) for p in range(1, n)]
        rows, positions = torch.tensor(every).unbind(1)
        return Targets(
            positives=items[offsets[rows] + positions],
            users=rows,
            sequences=rows,
            positions=positions,
            history=History(items, offsets, N_ITEMS),
            generator=torch.Generator().manual_seed(seed),
        )

    def views(self, sampler: Sampler, targets: Targets) -> list[View]:
        """One view, or two for a sampler with a peer; gradients on."""
        rng, views = torch.Generator().manual_seed(2), []
        for _ in range(1 if sampler.peer is None else 2):
            states = torch.randn(len(targets.positives), 8, generator=rng).requires_grad_()
            table = torch.randn(N_ITEMS + 1, 8, generator=rng).requires_grad_()
            views.append(View(states, table, targets))
        return views

    def sample(self, seed: int = 0) -> tuple[Targets, list[View], list[Negatives]]:
        """One batch."""
        targets = self.targets(seed)
        sampler = self.build(targets)
        views = self.views(sampler, targets)
        return targets, views, sampler.sample(views)

    def test_gives_negatives_of_the_stated_shape_for_each_view(self) -> None:
        targets, views, negatives = self.sample()
        assert len(negatives) == len(views)
        T = len(targets.positives)
        for view, given in zip(views, negatives, strict=True):
            scores = Scored(view, given).negative
            assert scores.shape[0] == T
            assert not scores.isnan().any()
            assert (scores < torch.inf).all()
            if given.legal is not None:
                assert given.legal.shape == scores.shape
            if given.ids is not None:
                assert given.ids.dtype == torch.int64
            for extra in (given.weights, given.log_q):
                assert extra is None or extra.broadcast_to(scores.shape).shape == scores.shape
            if given.log_q_positive is not None:
                assert given.log_q_positive.shape == (T,)
            if given.auxiliary is not None:
                assert given.auxiliary.shape == ()
                assert torch.isfinite(given.auxiliary)

    def test_negatives_are_items_the_user_has_not_met(self) -> None:
        for seed in range(5):
            _, views, negatives = self.sample(seed)
            for view, given in zip(views, negatives, strict=True):
                if given.items is not None and not given.empty:
                    assert given.items.min() >= 1
                    assert given.items.max() <= N_ITEMS
                    counts = torch.ones(1, dtype=torch.bool) if given.legal is None else given.legal
                    assert not (~view.legal(given.items) & counts).any()

    def test_gradient_reaches_the_model_through_the_negatives(self) -> None:
        _, views, negatives = self.sample()
        for view, given in zip(views, negatives, strict=True):
            if given.empty:
                pytest.skip("draws no negatives")
            loss = Scored(view, given).negative.nan_to_num(neginf=0.0).sum()
            (gradient,) = torch.autograd.grad(loss, view.table, retain_graph=True)
            assert gradient.abs().max() > 0
            assert gradient[0].abs().max() == 0  # the padding row

    def test_the_positive_keeps_its_gradient(self) -> None:
        _, views, negatives = self.sample()
        for view, given in zip(views, negatives, strict=True):
            positive = Scored(view, given).positive
            (gradient,) = torch.autograd.grad(positive.sum(), view.states)
            assert gradient.abs().max() > 0

    def test_the_same_stream_gives_the_same_negatives(self) -> None:
        def drawn(seed: int) -> Tensor:
            _, views, negatives = self.sample(seed)
            pairs = zip(views, negatives, strict=True)
            return torch.cat([Scored(view, given).negative for view, given in pairs])

        assert torch.equal(drawn(3), drawn(3))
        if self.draws:
            assert not torch.equal(drawn(3), drawn(4))

    def test_uses_no_random_stream_but_its_own(self) -> None:
        before = torch.get_rng_state()
        self.sample()
        assert torch.equal(before, torch.get_rng_state()), "draw from catalogue.generator"

    def test_a_single_target_will_do(self) -> None:
        whole = self.targets()
        one = Targets(
            positives=whole.positives[:1],
            users=whole.users[:1],
            sequences=whole.sequences[:1],
            positions=whole.positions[:1],
            history=whole.history,
            generator=whole.generator,
        )
        sampler = self.build(one)
        views = self.views(sampler, one)
        assert len(Scored(views[0], sampler.sample(views)[0]).negative) == 1

    def test_memory_survives_a_checkpoint(self) -> None:
        targets = self.targets()
        first, second = self.build(targets), self.build(targets)
        views = self.views(first, targets)
        first.sample(views)
        first.after_step(views)
        state = first.state_dict()
        assert all(isinstance(value, Tensor) for value in state.values())
        second.load_state_dict(state)
        drawn = []
        for sampler in (first, second):
            again = self.targets(seed=7)
            sampler.catalogue.generator.set_state(again.generator.get_state())
            views = self.views(sampler, again)
            drawn.append(Scored(views[0], sampler.sample(views)[0]).negative)
        assert torch.equal(*drawn)


class ReferenceContract:
    """What the harness relies on in a reference.

    Attributes:
        reference: registered name.
        hyper: hyper-parameters that differ from the defaults.
    """

    reference: ClassVar[str]
    hyper: ClassVar[dict[str, Any]] = {}

    def data(self) -> TrainingData:
        """Short training sequences, of which the last ten items of the catalogue are absent."""
        rng, lengths = np.random.default_rng(1), [9, 7, 5, 3, 2] * 20
        items = np.concatenate([1 + rng.permutation(N_ITEMS - 10)[:n] for n in lengths])
        offsets = np.cumsum([0, *lengths])
        train = Sequences(items.astype(np.int32), offsets, np.arange(len(lengths)))
        chances = np.arange(N_ITEMS + 1.0) / np.arange(N_ITEMS + 1).sum()  # another for each user
        return TrainingData(
            train, N_ITEMS, truth=lambda users, *_: np.stack([np.roll(chances, u) for u in users])
        )

    def inputs(self) -> Examples:
        """Inputs of several lengths, of any items, and targets that some of them hold."""
        rng = np.random.default_rng(2)
        items = [rng.integers(1, N_ITEMS + 1, n).astype(np.int32) for n in (1, 4, 12, 2, 7)]
        offsets, users = np.cumsum([0, *map(len, items)]), np.arange(len(items))
        targets = np.array([5, items[1][0], 50, N_ITEMS, items[4][-1]], dtype=np.int32)
        return Examples(np.concatenate(items), offsets, targets, users)

    def build(self, data: TrainingData | None = None) -> references.Reference:
        """The reference, fitted."""
        hyper = references.registry.resolve(self.reference, self.hyper)
        made = references.registry.build(self.reference, hyper)
        made.fit(data or self.data())
        return made

    def scores(self, made: references.Reference) -> Floats:
        """Of all the inputs."""
        given = self.inputs()
        return made.scores(given.items, given.offsets, given.users)

    def test_scores_are_finite_and_of_the_stated_shape(self) -> None:
        found = self.scores(self.build())
        assert found.shape == (len(self.inputs().users), N_ITEMS + 1)
        assert np.isfinite(found).all()

    def test_scores_do_not_depend_on_company(self) -> None:
        made, given = self.build(), self.inputs()
        together = self.scores(made)
        for row, user in enumerate(given.users):
            items = given.items[given.offsets[row] : given.offsets[row + 1]]
            alone = made.scores(items, np.array([0, len(items)]), np.array([user]))
            np.testing.assert_allclose(alone[0], together[row], rtol=1e-12)

    def test_the_same_data_give_the_same_scores_again(self) -> None:
        made = self.build()
        first = np.array(self.scores(made))
        assert np.array_equal(first, self.scores(made))
        assert np.array_equal(first, self.scores(self.build()))

    def test_what_the_input_holds_and_padding_do_not_matter(self) -> None:
        made, given = self.build(), self.inputs()
        before, scores = ranks(made, given, N_ITEMS), made.scores

        def louder(items: Items, offsets: Ints, users: Ints) -> Floats:
            found = np.array(scores(items, offsets, users))
            found[np.repeat(np.arange(len(users)), np.diff(offsets)), items] = 1e9
            found[:, 0] = 1e9
            return found

        made.scores = louder  # type: ignore[method-assign]
        assert np.array_equal(before, ranks(made, given, N_ITEMS))

    def test_data_and_inputs_are_left_as_they_were(self) -> None:
        data, given = self.data(), self.inputs()
        self.build(data).scores(given.items, given.offsets, given.users)
        for used, fresh in ((data.train, self.data().train), (given, self.inputs())):
            for name, array in vars(fresh).items():
                assert np.array_equal(getattr(used, name), array), name

    def test_uses_no_random_stream(self) -> None:
        before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()
        self.scores(self.build())
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state(legacy=False)["state"]["key"])

"""What a sampler actually draws, and what a step's time goes to: a row an epoch.

Draws are looked at for some targets, at random, of some batches, so that knowing costs little.
All of it is about the model under test, as it was when the negatives were drawn, and nothing here
changes what is trained.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.datasets.base import Truth
from bench.datasets.splits import Sequences, stretches
from bench.scoring import look_up, score_candidates
from samplers.base import Negatives, Scored, View

LOOKS, SELDOM, TARGETS, TRUTHS = 5, 8, 128, 32
"""Batches of an epoch that are looked at, about, but no more than one in so many, as a look costs
what a step does; targets of such a batch; those of them whose true distribution is worked out
(synthetic data)."""

ROUNDING = 1e-5


class Diagnostics:
    """Collects an epoch's figures.

    A target's negatives count by their weights, for entropy and coverage one of them does; figures
    are means over the targets looked at.  Columns, as far as they apply to the sampler:

    * ``false_negatives``: share of the draws that the user takes later in the training sequence.
    * ``true_false_negatives`` (synthetic data): mean true probability that the draw is what the
      user takes next.
    * ``entropy``: of one draw a target, as a share of the most that so many draws can have.
    * ``coverage``: share of the catalogue that one draw a target reaches, of so few targets (at
      most their number by the catalogue's): to compare samplers with one another.
    * ``hardness``: share of a uniform pool that scores below the draw (of a synthetic negative,
      the item it was made of), ties counting half.  A sampler that picks by rank in that very pool
      has a constant one: dns, the best of N, 1 - 1 / (2 N).
    * ``agreement``: share of targets for which self and peer, each with its own dropout, score the
      same candidate highest.
    * ``negative_gradient``: length of the part of the loss's gradient with respect to a state that
      comes from the negatives; a loss's constants are part of it.
    * ``backbone_s``, ``sampling_s`` (with the scoring of candidates), ``scoring_s`` (of positives
      and negatives, and the loss), ``backward_s``, ``optimiser_s``, ``diagnostics_s``: seconds.
    """

    def __init__(
        self, train: Sequences, n_items: int, N: int, device: torch.device, truth: Truth | None
    ) -> None:
        """
        Args:
            train: training sequences.
            n_items: catalogue size.
            N: size of the pool that hardness and agreement refer to; less in a small catalogue.
            device: where training happens.
            truth: the true distribution of the next item, where it is known.
        """
        self._train, self._n_items, self._device, self._truth = train, n_items, device, truth
        self._chance = torch.Generator()
        self._N = N
        self.start_epoch(1)

    def start_epoch(self, n_batches: int) -> None:
        """Forget what was collected; ``n_batches`` are to come, about."""
        self._chance.manual_seed(0)  # not the training's stream; an epoch resumed is the same
        self._every = max(SELDOM, n_batches // LOOKS)
        self._batch = self._looked = 0
        self._sums: dict[str, Tensor | float] = {}
        self._targets: dict[str, int] = {}
        self._counts = torch.zeros(self._n_items + 1, dtype=torch.int64, device=self._device)
        self._seconds: dict[str, float] = {}

    @property
    def looking(self) -> bool:
        """Whether the present batch is one that is looked at."""
        return self._batch % self._every == 0

    def next_batch(self) -> None:
        """A batch is done."""
        self._looked += self.looking
        self._batch += 1

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """The time that the block takes belongs to ``phase``."""
        if self._device.type == "cuda" and not self.looking:
            yield  # asking a GPU for the time makes it wait
            return
        started = self._now()
        yield
        spent = self._now() - started
        self._seconds[phase] = self._seconds.get(phase, 0.0) + spent

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def before_backward(self, scored: Scored) -> None:
        """Ask for the gradient that :meth:`record` reads."""
        if self.looking and scored.used:
            scored.negative.retain_grad()

    @torch.no_grad()
    def record(self, scored: Sequence[Scored]) -> None:
        """Look at a batch's negatives (the first model's), between backward pass and step."""
        view, negatives = scored[0].view, scored[0].negatives
        if not self.looking or negatives.empty:
            return
        # Evenly spaced ones would be the first of each of many windows of one length.
        chosen = torch.randperm(len(view.states), generator=self._chance)[:TARGETS]
        rows = chosen.sort().values.to(self._device)
        if scored[0].used:
            self._record_gradient(scored[0], rows)
        weights = _weights(negatives, rows)
        if self._N > 0:
            pool = view.targets.peek(self._N, rows)
            pool_scores = _scores(view, rows, pool)
            hardness = _hardness(scored[0], rows, pool_scores)
            self._add("hardness", (hardness * weights).sum(), len(rows))
            if len(scored) == 2:
                peer_scores = _scores(scored[1].view, rows, pool)
                same = pool_scores.argmax(dim=1) == peer_scores.argmax(dim=1)
                self._add("agreement", same.sum(), len(rows))
        if negatives.items is not None:
            self._record_items(view, negatives.items, rows, weights)

    def row(self) -> dict[str, float]:
        """The epoch's figures."""
        row = {name: float(total) / self._targets[name] for name, total in self._sums.items()}
        counts = self._counts[1:].double()
        draws = int(counts.sum())
        if draws > 0:
            p = counts[counts > 0] / draws
            most = math.log(max(2, min(self._n_items, draws)))
            row["entropy"] = float(-(p * p.log()).sum()) / most
            row["coverage"] = float((counts > 0).double().mean())
        # On a GPU only the batches looked at were timed; the others have no diagnostics.
        scale = self._batch / max(1, self._looked) if self._device.type == "cuda" else 1.0
        return row | {
            f"{phase}_s": s if phase == "diagnostics" else scale * s
            for phase, s in self._seconds.items()
        }

    def _add(self, name: str, total: Tensor | float, targets: int) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + total
        self._targets[name] = self._targets.get(name, 0) + targets

    def _record_gradient(self, scored: Scored, rows: Tensor) -> None:
        view, negatives = scored.view, scored.negatives
        gradient = scored.negative.grad
        if gradient is None:
            return
        # The loss is a mean over targets; a target's own share of it is T times that.
        gradient = gradient[rows] * len(view.states)
        if negatives.vectors is not None:
            pull = torch.einsum("tk,tkd->td", gradient, negatives.vectors[rows])
        else:
            assert negatives.ids is not None
            if negatives.ids.dim() == 1:
                pull = gradient @ look_up(negatives.ids, view.table)
            else:
                vectors = look_up(negatives.ids[rows], view.table)
                pull = torch.einsum("tk,tkd->td", gradient, vectors)
        self._add("negative_gradient", pull.norm(dim=1).sum(), len(rows))

    def _record_items(self, view: View, items: Tensor, rows: Tensor, weights: Tensor) -> None:
        history, sequences = view.targets.history, view.sequences[rows]
        end = torch.full_like(rows, torch.iinfo(torch.int64).max)
        if items.dim() == 1:
            later = history.met_among(sequences, end, items)
            ids = items.expand(len(rows), -1)
        else:
            ids = items[rows]
            later = history.met(sequences, end, ids)
        self._add("false_negatives", (later * weights).sum(), len(rows))
        # One draw a target, whatever K, so that samplers are compared at equally many draws: of
        # those that count the first for the first target, the last for the last, evenly between.
        counting = weights > 0
        count, row = counting.sum(dim=1), torch.arange(len(ids), device=ids.device)
        nth = (2 * row + 1) * count // (2 * len(ids))
        one = (counting.cumsum(dim=1) == nth[:, None] + 1) & counting
        self._counts += torch.bincount(ids[one], minlength=len(self._counts))
        if self._truth is not None:
            some = torch.arange(0, len(rows), -(-len(rows) // TRUTHS), device=ids.device)
            p = self._true_probabilities(view, rows[some]).gather(1, ids[some])
            self._add("true_false_negatives", (p * weights[some]).sum(), len(some))

    def _true_probabilities(self, view: View, rows: Tensor) -> Tensor:
        """``[R, n_items + 1]`` true distribution of these targets."""
        assert self._truth is not None
        lengths = view.positions[rows].cpu().numpy()
        starts = self._train.offsets[view.sequences[rows].cpu().numpy()]
        histories = stretches(self._train.items, starts, lengths)
        table = self._truth(view.users[rows].cpu().numpy(), *histories)
        return torch.as_tensor(table, dtype=torch.float32, device=self._device)


def _scores(view: View, rows: Tensor, ids: Tensor) -> Tensor:
    """``[R, K]`` scores of ``ids [R, K]`` for these targets."""
    return score_candidates(view.states[rows], view.table, ids)


def _hardness(scored: Scored, rows: Tensor, pool_scores: Tensor) -> Tensor:
    """``[R, K]`` share of the pool below each negative; of what does not count, anything."""
    made_of = scored.negatives.made_of
    if made_of is None:
        scores = scored.negative[rows]
    else:
        scores = _scores(scored.view, rows, made_of[rows])
    ordered = pool_scores.sort(dim=1).values
    # One score computed in two ways differs by rounding and counts as a tie.
    slack = ROUNDING * (1 + scores.nan_to_num(neginf=0.0).abs())
    below = torch.searchsorted(ordered, (scores - slack).contiguous())
    upto = torch.searchsorted(ordered, (scores + slack).contiguous(), right=True)
    return (below + upto).float() / (2 * pool_scores.shape[1])


def _weights(negatives: Negatives, rows: Tensor) -> Tensor:
    """``[R, K]`` share of each negative in its target's; 0 for what does not count."""
    like = negatives.vectors if negatives.ids is None else negatives.ids
    assert like is not None
    K = like.shape[1] if like.dim() > 1 else len(like)
    weights = torch.ones((len(rows), K), device=like.device)
    if negatives.weights is not None:
        given = negatives.weights
        weights = weights * (given if given.dim() == 1 else given[rows])
    if negatives.legal is not None:
        weights = weights * negatives.legal[rows]
    total = weights.sum(dim=1, keepdim=True)
    return weights / torch.where(total > 0, total, 1.0)

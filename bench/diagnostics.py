"""What a sampler actually draws, and what a step's time goes to: a row an epoch.

Draws are looked at in every ``EVERY``-th batch, so that knowing costs little.  All of it is about
the model under test; nothing here changes what is trained: the sampler's random stream is reseeded
at the next step, so drawing from it after the sampler has is without effect.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.datasets.splits import Sequences
from samplers.base import Negatives, View

EVERY = 16
"""Batches from one that is looked at to the next."""

ROUNDING = 1e-5

Truth = Callable[[int, npt.NDArray[np.int32]], npt.NDArray[np.float64]]
"""User and history to the true distribution of the next item; known for synthetic data only."""


class Diagnostics:
    """Collects an epoch's figures.

    Columns, as far as they apply to the sampler:

    * ``false_negatives``: share of the draws that the user takes later in the training sequence.
    * ``true_false_negatives`` (synthetic data): mean true probability that the draw is what the
      user takes next.
    * ``entropy``: of the draws' distribution over items, as a share of that of the uniform one.
    * ``coverage``: share of the catalogue drawn at least once.
    * ``hardness``: share of a uniform pool that scores below the draw, ties counting half.
    * ``agreement``: share of targets for which self and peer find the same candidate hardest.
    * ``negative_gradient``: length of the part of the loss's gradient with respect to a state that
      comes from the negatives, mean over targets.
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
        self._N = N
        self.start_epoch()

    def start_epoch(self) -> None:
        """Forget what was collected."""
        self._batch = self._seen = 0
        self._sums: dict[str, Tensor | float] = {}
        self._counts = torch.zeros(self._n_items + 1, dtype=torch.int64, device=self._device)
        self._seconds: dict[str, float] = {}
        self._last = 0.0

    @property
    def looking(self) -> bool:
        """Whether the present batch is one that is looked at."""
        return self._batch % EVERY == 0

    def next_batch(self) -> None:
        """A batch is done."""
        self._seen += self.looking
        self._batch += 1

    def mark(self, phase: str | None = None) -> None:
        """The time since the last mark belongs to ``phase``."""
        if self._device.type == "cuda":
            if not self.looking:
                return  # asking a GPU for the time makes it wait
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        if phase is not None:
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
        self._last = now

    def before_backward(self, view: View, negatives: Negatives) -> None:
        """Ask for the gradient that :meth:`record` reads."""
        if self.looking and negatives.scored:
            negatives.scores(view).retain_grad()

    @torch.no_grad()
    def record(self, views: list[View], negatives: Negatives) -> None:
        """Look at a batch's negatives (the first view's), after the backward pass."""
        if not self.looking or negatives.empty:
            return
        view = views[0]
        if negatives.scored:
            self._record_gradient(view, negatives)
        pool = view.pool(self._N)
        pool_scores = view.score(pool)
        self._add("hardness", self._hardness(view, negatives, pool_scores))
        if len(views) == 2:
            same = pool_scores.argmax(dim=1) == views[1].score(pool).argmax(dim=1)
            self._add("agreement", same.float().mean())
        if negatives.items is not None:
            self._record_items(view, negatives, negatives.items)

    def row(self) -> dict[str, float]:
        """The epoch's figures."""
        row = {name: float(total) / self._seen for name, total in self._sums.items()}
        counts = self._counts[1:].double()
        if counts.sum() > 0:
            p = counts[counts > 0] / counts.sum()
            row["entropy"] = float(-(p * p.log()).sum()) / math.log(max(2, self._n_items))
            row["coverage"] = float((counts > 0).double().mean())
        # On a GPU only the batches looked at were timed.
        scale = self._batch / max(1, self._seen) if self._device.type == "cuda" else 1.0
        return row | {f"{phase}_s": scale * s for phase, s in self._seconds.items()}

    def _add(self, name: str, value: Tensor | float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + value

    def _record_gradient(self, view: View, negatives: Negatives) -> None:
        gradient = negatives.scores(view).grad
        if gradient is None:
            return
        # The loss is a mean over targets; a target's own share of it is T times that.
        gradient = gradient * len(view.states)
        if negatives.vectors is not None:
            pull = torch.einsum("tk,tkd->td", gradient, negatives.vectors)
        else:
            assert negatives.ids is not None
            vectors = F.embedding(negatives.ids, view.table)
            if negatives.ids.dim() == 1:
                pull = gradient @ vectors
            else:
                pull = torch.einsum("tk,tkd->td", gradient, vectors)
        self._add("negative_gradient", pull.norm(dim=1).mean())

    def _hardness(self, view: View, negatives: Negatives, pool_scores: Tensor) -> Tensor:
        scores = negatives.scores(view).contiguous()
        ordered = pool_scores.sort(dim=1).values
        # One score computed in two ways differs by rounding and counts as a tie.
        slack = ROUNDING * (1 + scores.abs())
        below = torch.searchsorted(ordered, scores - slack)
        upto = torch.searchsorted(ordered, scores + slack, right=True)
        share = (below + upto).float() / (2 * pool_scores.shape[1])
        legal = torch.isfinite(scores)
        return share[legal].mean() if legal.any() else torch.zeros((), device=self._device)

    def _record_items(self, view: View, negatives: Negatives, ids: Tensor) -> None:
        targets = view.targets
        end = torch.full_like(view.positions, torch.iinfo(torch.int64).max)
        if ids.dim() == 1:
            later = targets.history.met_among(view.sequences, end, ids)
            shown = ids.expand(len(later), -1)
        else:
            later = targets.history.met(view.sequences, end, ids)
            shown = ids
        legal = torch.ones_like(later) if negatives.legal is None else negatives.legal
        drawn = legal.sum().clamp(min=1)
        self._add("false_negatives", (later & legal).sum() / drawn)
        self._counts += torch.bincount(shown[legal], minlength=len(self._counts))
        if self._truth is not None:
            p = self._true_probabilities(view).gather(1, shown)
            self._add("true_false_negatives", (p * legal).sum() / drawn)

    def _true_probabilities(self, view: View) -> Tensor:
        """``[T, n_items + 1]`` true distribution of each target."""
        assert self._truth is not None
        rows = zip(
            view.users.tolist(), view.sequences.tolist(), view.positions.tolist(), strict=True
        )
        table = []
        for user, sequence, position in rows:
            start = self._train.offsets[sequence]
            table.append(self._truth(user, self._train.items[start : start + position]))
        return torch.as_tensor(np.stack(table), dtype=torch.float32, device=self._device)

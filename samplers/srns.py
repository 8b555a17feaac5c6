from __future__ import annotations

import torch
from torch import Tensor

from samplers.base import Catalogue, Negatives, Sampler, View, register, require

EPOCHS_KEPT = 5
"""Epochs over which the variance of a candidate's score is taken."""


@register("srns")
class SRNS(Sampler):
    """SRNS: from a memory of hard items, the one whose score is high and has varied.

    Each training sequence has F random candidates, the scores they had in each of the last five
    epochs, and a memory of S1 of them; each positive has its scores of these epochs, too.

    Pick: argmax over the memory of σ(s - s+) + alpha min(1, epoch / warmup) std, where std is that
    of σ(s - s+) over the known epochs (0 with fewer than two) and low for true negatives' rivals,
    the false ones.  The difference to the positive's score, as the authors have it: σ(s) alone
    saturates where a user's scores share an offset, which BPR leaves free.
    Renewal: candidates that have been there for five epochs and are not in the memory give way to
    fresh ones (a fifth of them in an epoch; where a sequence is renewed several times in one, it is
    the same fifth each time); S1 random candidates join the memory, and S1 of the union stay, drawn
    without replacement with probability softmax(s / T).

    The pick is by the target's own state; renewal and scores of past epochs, those of positives
    included, are by that of the sequence's last target in the batch: in one-pass training once an
    epoch for each window of the sequence, in prefix training (a backbone that is not causal) for
    each batch that holds one of its prefixes.  Where other targets of the sequence were met
    earlier in an epoch, its candidates have that epoch's scores and the target has them not yet:
    it goes by the other four epochs.  Dropout is on in all of it, where the authors score the past
    without, and what is remembered are products of the state before a step with the item table
    after it, where the authors have both of one model.

    In the paper any item may join the memory, and its variance is known at once; here it is so
    after some epochs, which needs a fifth of the scores.  In the released code of the MDCNS
    comparison memory and history hold positions in a candidate list that is drawn anew at every
    access, so they refer to other items each time, and raw products are compared with standard
    deviations.  Candidates the user has met by then are passed over; should all the memory be
    such, the negative is uniform.

    Source: Ding et al., Simplify and robustify negative sampling for implicit collaborative
    filtering, NeurIPS 2020.
    Cost: T (S1 + 2) scores, and F for each sequence in the batch, without gradient; memory of 24 F
    bytes a sequence.
    """

    search_space = {
        "S1": [10, 20, 50],
        "F": [100, 500],
        "alpha": [0.0, 0.1, 1.0, 5.0],
        "T": [0.5, 1.0, 2.0],
    }

    def __init__(
        self, *, F: int = 100, S1: int = 20, alpha: float = 1.0, warmup: int = 10, T: float = 1.0
    ) -> None:
        """
        Args:
            F: candidates of a sequence.
            S1: size of its memory.
            alpha: weight of the standard deviation; negative: pick by it alone.
            warmup: epochs over which its weight rises to ``alpha``.
            T: temperature of the renewal.
        """
        require(1 <= S1 <= F, f"S1={S1}: must lie between 1 and F={F}")
        require(warmup >= 1, f"warmup={warmup}: needs at least one epoch")
        require(T > 0, f"T={T}: must be positive")
        self.F, self.S1, self.alpha, self.warmup, self.T = F, S1, alpha, warmup, T

    def prepare(self, catalogue: Catalogue) -> None:
        super().prepare(catalogue)
        n, device, generator = catalogue.n_sequences, catalogue.device, catalogue.generator
        self._candidates = torch.randint(
            1, catalogue.n_items + 1, (n, self.F), generator=generator, device=device
        ).int()
        # The candidates are in random order: any S1 of them will do to begin with.
        self._memory = torch.arange(self.S1, device=device).repeat(n, 1)
        self._history = torch.full((n, EPOCHS_KEPT, self.F), torch.nan, device=device)
        # Of each training interaction, in the order of the training items.
        self._positive_history = torch.full(
            (len(catalogue.items), EPOCHS_KEPT), torch.nan, device=device
        )
        # The epoch that a sequence's newest scores are of.
        self._renewed = torch.zeros(n, dtype=torch.int32, device=device)

    def sample(self, views: list[View]) -> list[Negatives]:
        (view,) = views
        rows = view.sequences
        memory = self._memory[rows]
        ids = self._candidates[rows].gather(1, memory).long()
        with torch.no_grad():
            past = self._history[rows].gather(
                2, memory[:, None].expand(-1, EPOCHS_KEPT, -1)
            )  # [T, EPOCHS_KEPT, S1]
            past_positive = self._positive_history[self._slots(view)]
            # The slot to be written: of the positive it is five epochs old, and a difference of
            # scores of two epochs would be no score's.
            ahead, now = self._renewed[rows] == view.epoch, view.epoch % EPOCHS_KEPT
            past_positive[:, now] = past_positive[:, now].masked_fill(ahead, torch.nan)
            std = standard_deviation((past - past_positive[:, :, None]).sigmoid())
            weight = self.alpha * min(1.0, view.epoch / self.warmup)
            positive, scores = view.score_with_positives(ids)
            likelihood = (scores - positive[:, None]).sigmoid()
            criterion = std if self.alpha < 0 else likelihood + weight * std
            criterion = criterion.masked_fill(~view.legal(ids), -torch.inf)
            best, column = criterion.max(dim=1, keepdim=True)
            picked = torch.where(best > -torch.inf, ids.gather(1, column), view.pool(1))
        return [Negatives(ids=picked)]

    def after_step(self, views: list[View]) -> None:
        (view,) = views
        rows, last = last_of_each(view.sequences, view.positions)
        generator, device = self.catalogue.generator, rows.device
        size, now = (len(rows), self.F), view.epoch % EPOCHS_KEPT

        # A fifth of the candidates has its turn in an epoch.
        turn = torch.arange(self.F, device=device) % EPOCHS_KEPT == now
        replaced = turn.repeat(len(rows), 1).scatter_(1, self._memory[rows], value=False)
        fresh = torch.randint(
            1, self.catalogue.n_items + 1, size, generator=generator, device=device
        )
        candidates = torch.where(replaced, fresh, self._candidates[rows].long())
        with torch.no_grad():
            scores = View(view.states[last], view.table, view.targets).score(candidates)
            state = last[torch.searchsorted(rows, view.sequences.contiguous())]  # for each target
            of_positives = View(view.states[state], view.table, view.targets).score_positives()
        self._positive_history[self._slots(view), now] = of_positives
        history = self._history[rows].masked_fill_(replaced[:, None], torch.nan)
        history[:, now] = scores
        self._candidates[rows], self._history[rows] = candidates.int(), history
        self._renewed[rows] = view.epoch

        joining = torch.randint(self.F, (len(rows), self.S1), generator=generator, device=device)
        union = torch.zeros(size, dtype=torch.bool, device=device)
        union.scatter_(1, torch.cat([self._memory[rows], joining], dim=1), value=True)
        # The S1 largest Gumbel-perturbed log-probabilities are a draw without replacement.
        gumbel = -torch.rand(size, generator=generator, device=device).log_().neg_().log_()
        keys = (scores / self.T + gumbel).masked_fill(~union, -torch.inf)
        self._memory[rows] = keys.topk(self.S1, dim=1).indices

    def _slots(self, view: View) -> Tensor:
        """``[T]`` the positives' indices in the training items."""
        return self.catalogue.offsets[view.sequences] + view.positions

    def state_dict(self) -> dict[str, Tensor]:
        return {
            "candidates": self._candidates,
            "memory": self._memory,
            "history": self._history,
            "positive_history": self._positive_history,
            "renewed": self._renewed,
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._candidates.copy_(state["candidates"])
        self._memory.copy_(state["memory"])
        self._history.copy_(state["history"])
        self._positive_history.copy_(state["positive_history"])
        self._renewed.copy_(state["renewed"])


def standard_deviation(past: Tensor) -> Tensor:
    """``[T, S]`` population standard deviation over the known ones of ``past [T, E, S]``, nan
    where unknown; 0 where fewer than two are known."""
    known = ~past.isnan()
    count = known.sum(dim=1).clamp(min=1)
    values = past.nan_to_num()
    mean = values.sum(dim=1) / count
    deviation = ((values - mean[:, None]) * known).square().sum(dim=1) / count
    return deviation.sqrt()


def last_of_each(sequences: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct sequences of a batch, and for each the row of its last target."""
    order = torch.argsort(positions, stable=True)
    order = order[torch.argsort(sequences[order], stable=True)]
    ends = torch.ones_like(order, dtype=torch.bool)
    ends[:-1] = sequences[order][1:] != sequences[order][:-1]
    last = order[ends]
    return sequences[last], last

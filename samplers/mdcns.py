from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from samplers.base import Negatives, Sampler, View, register, require, require_weights, variant
from samplers.dns import check_pool, hard_negative, one_of_top


@register("mdcns")
class MDCNS(Sampler):
    """MDCNS: negatives from self, peer and teacher, re-ranked by divergence, plus distillation.

    Two models of different architecture, self (scores s1) and peer (s2), are trained side by
    side on one pool C_N and stay separate: no shared parameters, inference by self alone.

    1. Multi-source scoring.  Both score C_N; the teacher is their consensus, s_t = (s1 + s2) / 2
       (``teacher="mean"``, the released code) or s1 + s2 (``"sum"``, the text, Eq. 4).
    2. Divergence re-ranking.  With D = |s1 - s2|, each source ranks C_N by s + omega D and gives
       one item, uniform among its best M: v_A by self, v_B by peer, v_C by teacher (three
       independent draws; they may coincide).
    3. Loss.  L_self = alpha l(v_A) + beta l(v_B) + gamma l(v_C), and for the peer
       L_peer = alpha l(v_B) + beta l(v_A) + gamma l(v_C), l being the objective.
    4. Consensus distillation.  P = softmax(s_t / tau), detached, over the pool and the positive
       (``support="pool+positive"``, the released code) or the pool alone (``"pool"``, the text);
       each student m gets mu tau^2 KL(P || softmax(s_m / tau)), averaged over targets.

    ``mdcns`` is the method in the form that its published figures come from, the released code's.
    That sums the distillation over the targets of a batch, with mu = 0.01; here it is averaged, so
    that its weight does not hang on the size of the batch, with mu = 10.24 = 0.01 x 1,024 targets,
    the release's batch.  ``mdcns-released`` sums (``reduction="sum"``), to the letter;
    ``mdcns-text`` is the reading of the paper's text where the two differ.  M = 1 is that of all
    but a few of the released logs, gamma = tau = 1 the middle of their grid.  The peer of the
    paper's main table is mamba4rec (``mdcns-peer-mamba4rec``), that of its weak-to-strong table
    gru4rec, which trains faster and is the default here.

    A peer that is not causal makes both models train prefix by prefix, in other batches than the
    backbone alone would.  The peer is trained at the learning rate of the backbone under test.

    Each part can be switched off: ``peer=none`` (what remains is DNS(M, N) itself),
    ``omega=0`` (no divergence re-ranking), ``mu=0`` (no distillation).  The named settings below
    are the ablations of the paper's Table 6, and controls that the paper lacks.

    Source: MDCNS, SIGIR 2026 (arXiv 2605.19651), Eq. 2-13, and its released code.
    Cost: two models trained; 2 T N scores, with gradient when mu > 0.
    """

    search_space = {
        "gamma": [0.3, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5],
        "tau": [0.7, 1.0, 2.0, 5.0, 10.0],
    }

    def __init__(
        self,
        *,
        peer: str | None = "gru4rec",
        N: int = 100,
        M: int | None = 1,
        alpha: float = 1.0,
        beta: float = 1.0,
        gamma: float = 1.0,
        omega: float = 1.0,
        mu: float = 10.24,
        tau: float = 1.0,
        teacher: Literal["sum", "mean"] = "mean",
        support: Literal["pool", "pool+positive"] = "pool+positive",
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        """
        Args:
            peer: backbone trained beside the one under test; ``same`` is another of its kind with
                weights of its own, none switches all peer parts off.
            N: size of the candidate pool.
            M: how many of the best to draw from, for each source; none is all N (uniform).
            alpha: weight of a model's own pick.
            beta: weight of the other model's pick.
            gamma: weight of the teacher's pick.
            omega: weight of the divergence in re-ranking; 0 switches it off.
            mu: weight of the distillation; 0 switches it off.
            tau: temperature of the distillation; above 1,000, tau squared times a divergence that
                small is mostly rounding.
            teacher: how the two scores become the teacher's.
            support: whether distillation sees the pool alone or the positive too.
            reduction: of the distillation over the targets of a batch.
        """
        M = N if M is None else M
        check_pool(N, M)
        require_weights(alpha=alpha, beta=beta, gamma=gamma)
        for name, value in (("omega", omega), ("mu", mu)):
            require(value >= 0, f"{name}={value}: must not be negative")
        require(tau > 0, f"tau={tau}: must be positive")
        self.peer, self.N, self.M = peer, N, M
        self.alpha, self.beta, self.gamma = alpha, beta, gamma
        self.omega, self.mu, self.tau = omega, mu, tau
        self.teacher, self.support, self.reduction = teacher, support, reduction

    @classmethod
    def known_as(cls, name: str, hyper: Mapping[str, Any]) -> str:
        """``mdcns`` and its ablations once were by the paper's text; see `Sampler.known_as`."""
        by_text = hyper.get("teacher") == "sum" and hyper.get("support") == "pool"
        matters = hyper.get("peer") is not None and name.startswith("mdcns")
        if by_text and matters and not name.startswith("mdcns-text"):
            return name.replace("mdcns", "mdcns-text", 1)
        return name

    def sample(self, views: list[View]) -> list[Negatives]:
        pool = views[0].pool(self.N)
        if len(views) == 1:  # no peer: DNS(M, N), number for number
            return [
                Negatives(ids=hard_negative(views[0], self.N, self.M, self.catalogue.generator))
            ]
        if self.mu == 0:
            with torch.no_grad():
                return self._exchanged(pool, [view.score(pool) for view in views])
        scored = [view.score_with_positives(pool) for view in views]
        positives, scores = [positive for positive, _ in scored], [score for _, score in scored]
        losses = self._distillation(positives, scores)
        negatives = self._exchanged(pool, scores)
        for given, positive, loss in zip(negatives, positives, losses, strict=True):
            given.known_positive_scores, given.auxiliary = positive, loss
        return negatives

    def _exchanged(self, pool: Tensor, scores: list[Tensor]) -> list[Negatives]:
        """For self and for peer: its own pick, the other's and the teacher's, with their weights.

        Args:
            pool: ``[T, N]``.
            scores: ``[T, N]`` of self, and of peer; with a gradient they are the negatives', too.
        """
        generator = self.catalogue.generator
        s1, s2 = scores
        with torch.no_grad():
            divergence = (s1 - s2).abs()
            by_self, by_peer, by_teacher = (
                one_of_top(s + self.omega * divergence, self.M, generator)
                for s in (s1, s2, self._consensus(s1, s2))
            )
        # A source without weight gives no negative: losses that count negatives count these.
        weights = [self.alpha, self.beta, self.gamma]
        used = [k for k, weight in enumerate(weights) if weight > 0]
        weight = torch.tensor([weights[k] for k in used], device=pool.device)
        negatives = []
        for own, other, score in ((by_self, by_peer, s1), (by_peer, by_self, s2)):
            columns = torch.cat([(own, other, by_teacher)[k] for k in used], dim=1)
            known = score.gather(1, columns) if score.requires_grad else None
            ids = pool.gather(1, columns)
            negatives.append(Negatives(ids=ids, weights=weight, known_scores=known))
        return negatives

    def _consensus(self, s1: Tensor, s2: Tensor) -> Tensor:
        total = s1 + s2
        return total if self.teacher == "sum" else total / 2

    def _distillation(self, positives: list[Tensor], scores: list[Tensor]) -> list[Tensor]:
        """Each student's mu tau^2 KL(P || softmax(s_m / tau)), a scalar.

        Args:
            positives: ``[T]`` scores of the positives by self, and by peer.
            scores: ``[T, N]`` of the pool.
        """
        if self.support == "pool+positive":
            scores = [
                torch.cat([positive[:, None], s], dim=1)
                for positive, s in zip(positives, scores, strict=True)
            ]
        with torch.no_grad():
            P = F.softmax(self._consensus(*scores) / self.tau, dim=1)
        scale = self.mu * self.tau**2
        reduction = "batchmean" if self.reduction == "mean" else "sum"
        return [
            scale * F.kl_div(F.log_softmax(s / self.tau, dim=1), P, reduction=reduction)
            for s in scores
        ]


variant(
    "mdcns-text",
    "mdcns",
    "MDCNS by the paper's text: teacher by sum, distillation over the pool alone, mu = 1.",
    mu=1.0,
    teacher="sum",
    support="pool",
)
variant(
    "mdcns-released",
    "mdcns",
    "MDCNS to the letter of its released code: distillation summed over a batch, mu = 0.01.",
    peer="mamba4rec",
    mu=0.01,
    reduction="sum",
)
variant(
    "mdcns-no-cd",
    "mdcns",
    "Ablation w/o CD: no consensus distillation.",
    search_space={"gamma": MDCNS.search_space["gamma"]},
    mu=0.0,
)
variant(
    "mdcns-no-cd-dr",
    "mdcns",
    "Ablation w/o CD-DR: no distillation, no divergence re-ranking.",
    search_space={"gamma": MDCNS.search_space["gamma"]},
    mu=0.0,
    omega=0.0,
)
variant(
    "mdcns-no-cd-dr-ms",
    "mdcns",
    "Ablation w/o CD-DR-MS: one source, no peer; dns+ at its default M, number for number.",
    search_space={"M": [1, 2, 5, 10, 20, 30, 50, 100]},
    peer=None,
    M=10,
)
variant(
    "mdcns-same-peer",
    "mdcns",
    "Control: the peer has the same architecture and other initial weights.",
    peer="same",
)
variant(
    "mutual-learning",
    "mdcns",
    "Control: distillation alone; each model trains on one uniform negative.",
    M=None,
    alpha=1.0,
    beta=0.0,
    gamma=0.0,
    omega=0.0,
)
variant(
    "side-by-side",
    "mdcns",
    "Control: two models, each on its own hardest negative, without exchange.",
    search_space={},
    alpha=1.0,
    beta=0.0,
    gamma=0.0,
    omega=0.0,
    mu=0.0,
)
variant(
    "side-by-side-uniform",
    "mdcns",
    "Control: two models, each on one uniform negative, without exchange.",
    search_space={},
    N=1,
    M=1,
    alpha=1.0,
    beta=0.0,
    gamma=0.0,
    omega=0.0,
    mu=0.0,
)
variant("mdcns-peer-mamba4rec", "mdcns", "The peer of the paper's Tables 3-6.", peer="mamba4rec")
variant(
    "mdcns-peer-sasrec", "mdcns", "The peer of Mamba4Rec in the paper's Table 5.", peer="sasrec"
)

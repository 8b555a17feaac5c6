"""What a sampler gives, checked a few times an epoch, and what a backbone claims, at the start.

A mistake is one error that names the component, says what is wrong and how it should be.  Nothing
here draws from a random stream or changes a number of the training.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from backbones.base import Backbone
from bench.errors import UserError
from bench.training.batches import Batch, Batches
from bench.training.evaluation import evaluating
from samplers.base import Negatives, View

ROUNDING = 1e-4
"""Of the largest state: what two computations of one state may differ by."""


@torch.no_grad()
def check_negatives(name: str, views: list[View], drawn: object, needed: bool) -> None:
    """Refuse what is not one `Negatives` a view, each as its docstring says.

    Args:
        name: of the sampler.
        views: what it was given.
        drawn: what its ``sample`` returned.
        needed: whether the objective needs negatives.

    Raises:
        UserError: the first mistake found.
    """
    if not isinstance(drawn, list | tuple) or not all(
        isinstance(each, Negatives) for each in drawn
    ):
        raise UserError(f"sampler {name!r}: sample() must return a list of Negatives")
    if len(drawn) != len(views):
        raise UserError(
            f"sampler {name!r}: sample() gave {len(drawn)} Negatives for {len(views)} views; "
            "it must give one for each view, in their order"
        )
    for view, given in zip(views, drawn, strict=True):
        if not view.states.requires_grad:
            raise UserError(
                "a backbone's states are detached; without gradient it learns nothing: compute "
                "them with tensors that keep it"
            )
        for mistake in _mistakes(view, given, needed):
            raise UserError(f"sampler {name!r}: {mistake}")


def _mistakes(view: View, given: Negatives, needed: bool) -> Iterator[str]:
    """Each check may rely on those before it: only the first mistake is to be believed."""
    yield from _in_kind(view, given)
    yield from _in_ids("ids", given.ids, view, shared=True)
    yield from _in_ids("made_of", given.made_of, view, shared=False)
    yield from _in_vectors(view, given)
    if given.auxiliary is not None:
        if given.auxiliary.shape != ():
            yield f"auxiliary has shape {_shape(given.auxiliary)}; it must be a scalar"
        if not torch.isfinite(given.auxiliary):
            yield f"auxiliary is {float(given.auxiliary)}; it must be finite"
    like = given.ids if given.vectors is None else given.vectors[..., 0]
    assert like is not None, "Negatives has seen to it"
    if like.numel() == 0:
        if needed:
            yield "there are no negatives, but the objective needs some"
        return
    T, K = len(view.states), like.shape[-1]
    yield from _in_known_scores(given, T, K)
    yield from _in_legal(view, given, T, K)
    yield from _in_weights(given.weights, T, K)
    yield from _in_log_q(given, T, K)
    yield from _in_items(view, given)


def _in_kind(view: View, given: Negatives) -> Iterator[str]:
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        if value is not None and not isinstance(value, Tensor):
            yield f"{field.name} is a {type(value).__name__}; it must be a tensor"
        elif value is not None and value.device != view.states.device:
            yield f"{field.name} is on {value.device}; it must be on {view.states.device}"


def _in_ids(field: str, ids: Tensor | None, view: View, *, shared: bool) -> Iterator[str]:
    if ids is None:
        return
    T, n_items = len(view.states), len(view.table) - 1
    if ids.dtype != torch.int64:
        yield f"{field} are {ids.dtype}; they must be torch.int64"
    if not (shared if ids.dim() == 1 else ids.dim() == 2 and len(ids) == T):
        form = f"[T, K] = [{T}, K]" + (", or [K] where all targets share them" if shared else "")
        yield f"{field} have shape {_shape(ids)}; they must have {form}"
    if ids.numel() and not 1 <= int(ids.min()) <= int(ids.max()) <= n_items:
        wrong = int(ids[(ids < 1) | (ids > n_items)][0])
        what = "padding" if wrong == 0 else "no item"
        yield f"{field} hold {wrong}, which is {what}; they must be from 1 to {n_items}"


def _in_vectors(view: View, given: Negatives) -> Iterator[str]:
    vectors = given.vectors
    if vectors is None:
        return
    T, d = view.states.shape
    if vectors.dim() != 3 or vectors.shape[0] != T or vectors.shape[2] != d:
        yield f"vectors have shape {_shape(vectors)}; it must be [T, K, d] = [{T}, K, {d}]"
    if given.made_of is not None and given.made_of.shape != vectors.shape[:2]:
        yield (
            f"made_of has shape {_shape(given.made_of)}; it must be that of the vectors, "
            f"{list(vectors.shape[:2])}"
        )
    yield from _detached_or_not_finite("vectors", vectors)


def _in_known_scores(given: Negatives, T: int, K: int) -> Iterator[str]:
    for field, scores, shape in (
        ("known_scores", given.known_scores, [T, K]),
        ("known_positive_scores", given.known_positive_scores, [T]),
    ):
        if scores is None:
            continue
        if _shape(scores) != shape:
            yield f"{field} have shape {_shape(scores)}; it must be {shape}"
        yield from _detached_or_not_finite(field, scores)


def _detached_or_not_finite(field: str, values: Tensor) -> Iterator[str]:
    if not torch.isfinite(values).all():
        yield f"{field} are not all finite"
    if not values.requires_grad:
        yield f"{field} are detached; without gradient nothing learns by them"


def _in_legal(view: View, given: Negatives, T: int, K: int) -> Iterator[str]:
    legal = given.legal
    if legal is None:
        return
    if legal.dtype != torch.bool or _shape(legal) != [T, K]:
        yield f"legal is {legal.dtype} {_shape(legal)}; it must be torch.bool [T, K] = [{T}, {K}]"
    several = (view.sequences != view.sequences[0]).any()
    if not legal.any() and several and _some_could_count(view, given):
        yield "legal is False everywhere; some negatives must count"


def _some_could_count(view: View, given: Negatives) -> bool:
    """Whether a negative is legal for a target, in-batch ones, the positives of the batch, for one
    of another sequence: these may have met all of each other's."""
    if given.ids is None:
        return True
    legal = view.legal(given.ids)
    if given.ids.shape == view.sequences.shape:
        legal &= view.sequences[:, None] != view.sequences
    return bool(legal.any())


def _in_weights(weights: Tensor | None, T: int, K: int) -> Iterator[str]:
    if weights is None:
        return
    if _shape(weights) not in ([K], [T, K], [T, 1]):
        yield f"weights have shape {_shape(weights)}; it must be [K] = [{K}] or [T, K] = [{T}, {K}]"
    if not torch.isfinite(weights).all():
        yield "weights are not all finite"
    if (weights < 0).any():
        yield f"weights hold {float(weights.min()):g}; none may be negative"
    if not weights.any():
        yield "weights are all zero; some must be positive"


def _in_log_q(given: Negatives, T: int, K: int) -> Iterator[str]:
    for field, log_q, shapes in (
        ("log_q", given.log_q, ([K], [T, K], [T, 1])),
        ("log_q_positive", given.log_q_positive, ([T],)),
    ):
        if log_q is None:
            continue
        if _shape(log_q) not in shapes:
            yield f"{field} has shape {_shape(log_q)}; it must be {' or '.join(map(str, shapes))}"
        if not torch.isfinite(log_q).all():
            yield f"{field} is not finite everywhere; it must be, also where legal is False"


def _in_items(view: View, given: Negatives) -> Iterator[str]:
    """Items that count although they are the positive, or the user has met them."""
    items = given.items
    if items is None:
        return
    wrong = ~view.legal(items)
    if given.legal is not None:
        wrong &= given.legal
    if not wrong.any():
        return
    row, column = wrong.nonzero()[0].tolist()
    item = int(items[column] if items.dim() == 1 else items[row, column])
    positive = item == int(view.positives[row])
    what = "its positive" if positive else "an item that its user has met before"
    remedy = "draw with view.pool or view.draw, or mark it in legal"
    if items.dim() == 1 and len(items) == len(view.states):
        remedy += " (ids of shape [K] are shared by all targets; one a target is [T, 1])"
    yield f"a negative of target {row} is {what}, item {item}; {remedy}"


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)


def some_count(drawn: Sequence[Negatives]) -> bool:
    """Whether a negative counts for some target; so it does where all do."""
    return any(given.legal is None or bool(given.legal.any()) for given in drawn)


def check_loss(name: str, loss: object) -> None:
    """Refuse what an objective returned where it is no loss, or nothing learns from it.

    Args:
        name: of the objective.
        loss: what its ``loss`` returned.

    Raises:
        UserError: it is not a scalar tensor with a gradient.
    """
    told = f"objective {name!r}: loss() returned"
    if not isinstance(loss, Tensor):
        raise UserError(f"{told} a {type(loss).__name__}; it must be a tensor, a scalar")
    if loss.shape != ():
        raise UserError(f"{told} shape {_shape(loss)}; it must be a scalar: take the mean")
    if not loss.requires_grad:
        raise UserError(
            f"{told} a loss without gradient, from which nothing is learnt; compute it from "
            "scored.positive and scored.negative by operations that keep it"
        )


def check_states(names: Sequence[str], views: Sequence[View]) -> None:
    """Tell a backbone that computes what is no number from one that training made so.

    Args:
        names: of the backbones.
        views: of the first step, one a backbone.

    Raises:
        UserError: its states or its item table are not finite.
    """
    for name, view in zip(names, views, strict=True):
        for what, values in (("states", view.states), ("item vectors", view.table)):
            if not torch.isfinite(values).all():
                raise UserError(f"backbone {name!r}: its {what} are not finite before training")


def check_first_loss(name: str, loss: Tensor) -> None:
    """The same of an objective; states, items and negatives have been seen to be numbers.

    Args:
        name: of the objective.
        loss: of the first step.

    Raises:
        UserError: it is not finite.
    """
    if not torch.isfinite(loss):
        raise UserError(f"objective {name!r}: loss() is {float(loss.detach())} before training")


@torch.no_grad()
def check_backbone(name: str, model: Backbone, batches: Batches) -> None:
    """Refuse a backbone whose states are of another kind or differ from call to call, or that says
    that it is causal and looks ahead.

    One of the longest training windows is encoded twice.  Where the backbone says that it is
    causal, it is also encoded with other items from each place on, which the states before that
    place must not show; in training mode, with equal dropout, for the place in the middle.

    Args:
        name: of the backbone.
        model: the backbone; left as it was.
        batches: the training data.

    Raises:
        UserError: it is so.
    """
    if not isinstance(getattr(model, "causal", None), bool):
        raise UserError(
            f"backbone {name!r} does not say whether a state shows later items; give its class "
            "causal = True or False"
        )
    batch = batches.longest(1)
    L = batch.items.shape[1]
    first, second = _encoded_twice(name, model, batch)
    if (first - second).abs().max() > ROUNDING * first.abs().max():
        raise UserError(
            f"backbone {name!r}: its states of the same items differ from call to call; in "
            "evaluation mode it must draw nothing"
        )
    if not model.causal:
        return
    at = torch.arange(L, device=batch.items.device)
    changed = batch.items % model.n_items + 1
    variants = torch.where(at >= at[:, None], changed, batch.items)  # [L, L]: row p from p on
    devices = [batch.items.device] if batch.items.device.type == "cuda" else []
    with evaluating(model), torch.random.fork_rng(devices):
        states = model(torch.cat([batch.items, variants]), batch.lengths.expand(L + 1))
    before = at < at[:, None]
    ahead = (states[1:] - states[:1])[before]
    if not ahead.numel() or ahead.abs().max() <= ROUNDING * states[0].abs().max():
        twice = []
        for items in (batch.items, variants[L // 2 :][:1]):
            with torch.random.fork_rng(devices):
                torch.manual_seed(0)  # the same dropout
                # Moving a copy lays the weights of its GRUs side by side, as cuDNN wants them.
                other = copy.deepcopy(model).to(items.device).train()
                twice.append(other(items, batch.lengths)[0, : L // 2])
        ahead = twice[1] - twice[0]
    if ahead.numel() and ahead.abs().max() > ROUNDING * states[0].abs().max():
        raise UserError(
            f"backbone {name!r} says that it is causal, but its states change with later items; "
            "it must not look ahead, or say causal = False"
        )


def _encoded_twice(name: str, model: Backbone, batch: Batch) -> tuple[Tensor, Tensor]:
    """States ``[2, L, dim]``, or of a backbone that is not causal the last, ``[2, dim]``, of a
    window beside itself, in evaluation mode, from two calls.

    Raises:
        UserError: they are no such states.
    """
    method = "forward" if model.causal else "last"
    items, lengths = batch.items.expand(2, -1), batch.lengths.expand(2)
    devices = [items.device] if items.device.type == "cuda" else []
    with evaluating(model), torch.random.fork_rng(devices):
        found = [(model if model.causal else model.last)(items, lengths) for _ in range(2)]
    states = found[0]
    if not isinstance(states, Tensor):
        raise UserError(
            f"backbone {name!r}: {method}() returned a {type(states).__name__}; it must be the "
            "states alone, a tensor"
        )
    form = [2, items.shape[1], model.dim] if model.causal else [2, model.dim]
    if _shape(states) != form:
        raise UserError(
            f"backbone {name!r}: its states have shape {_shape(states)} for items of shape "
            f"{_shape(items)}; it must be {'[B, L, dim]' if model.causal else '[B, dim]'} = {form}"
        )
    if states.dtype != model.items.weight.dtype:
        raise UserError(
            f"backbone {name!r}: its states are {states.dtype}; they must be "
            f"{model.items.weight.dtype}, as its item vectors are"
        )
    return found[0], found[1]

"""A trained model put to use: sequences in the items' own labels in, scores and best items out."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

import backbones
from backbones.base import Backbone
from bench.errors import UserError
from bench.studies import model_files
from bench.studies.code import code_digest
from bench.studies.records import Record
from bench.studies.resources import Resources
from bench.studies.store import Store
from bench.training.evaluation import scored_pieces

Which = Literal["self", "peer", "ensemble"]
"""Of two models that were trained side by side: the one under test, the other, both added up."""

SHOWN = 5
"""Unknown items that a warning names."""


@dataclass(frozen=True)
class Inputs:
    """Sequences as the model knows them.

    Attributes:
        items: ``[n]`` int64 item ids, one sequence after another, oldest first.
        offsets: ``[P + 1]`` int64, where each starts.
        unknown: labels that are in no training, each once, in order of appearance; left out.
    """

    items: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    unknown: list[str]

    @property
    def warning(self) -> str:
        """What has to be said of unknown items; empty where there are none."""
        if not self.unknown:
            return ""
        more = f" and {len(self.unknown) - SHOWN} more" if len(self.unknown) > SHOWN else ""
        return (
            f"{len(self.unknown)} items are not in the catalogue that the model was trained on, "
            f"and are left out: {', '.join(self.unknown[:SHOWN])}{more}"
        )


class Recommender:
    """A trained model, or several whose scores are added up, with the items' own labels.

    Attributes:
        models: in evaluation mode.
        labels: ``[n_items]`` of the items as their log has them: ``labels[i - 1]`` is item i's.
        record: of the cell, where it is one's; with its settings and metrics.
    """

    def __init__(
        self,
        models: Sequence[Backbone],
        labels: Sequence[str],
        *,
        device: str = "cpu",
        record: Record | None = None,
    ) -> None:
        self._device = torch.device(device)
        self.models = [model.to(self._device).eval() for model in models]
        self.labels, self.record = list(labels), record
        self._ids = {label: number for number, label in enumerate(self.labels, start=1)}

    @classmethod
    def load(
        cls, store: Store, record: Record, which: Which = "self", device: str = "cpu"
    ) -> Recommender:
        """That of a stored cell.

        Args:
            store: the study.
            record: of the cell.
            which: where two models were trained, which to use.
            device: to compute on.

        Raises:
            UserError: its models were not kept, are damaged or of another training, are not those
                of today's code, or there is no such device.
        """
        if which not in get_args(Which):
            raise UserError(f"which={which!r}: expected {', '.join(get_args(Which))}")
        Resources(device=device)  # checks it
        about = store.models.about(record.key, store.arrays(record.key))
        if about.n_items != record.data.get("items"):
            raise UserError(
                f"{store.models.folder(record.key)}: of {about.n_items} items, and the stored cell "
                f"of {record.data.get('items')}"
            )
        roles = model_files.ROLES if which == "ensemble" else (which,)
        if not set(roles) <= set(about.models):
            raise UserError(f"{record.cell.label} trained one model: it has no {which}")
        folder = store.models.folder(record.key)
        try:
            labels = model_files.read_labels(folder, about.n_items)
            models = [_model(store, record, role, about.n_items) for role in roles]
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{folder}: cannot be read ({str(error)[:200]})") from error
        with contextlib.suppress(UserError):  # a sampler that is not here takes no part
            if code_digest(record.cell) != about.code:
                warnings.warn(
                    f"{record.cell.label} was trained by other code of its sampler, backbone or "
                    "objective; where the backbone is another, so are the scores",
                    stacklevel=2,
                )
        return cls(models, labels, device=device, record=record)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.labels)

    @property
    def ranks_seen(self) -> bool:
        """Whether it was trained and tested with what users have had among the rest
        (``seen=ranked``), and so recommends it unless told otherwise."""
        return self.record is not None and self.record.cell.protocol.seen == "ranked"

    def inputs(self, sequences: Sequence[Sequence[object]]) -> Inputs:
        """Sequences of labels as the model knows them; labels that are no text are taken as their
        text, and unknown ones left out.

        Args:
            sequences: P of them, each oldest item first.

        Raises:
            UserError: one of them is no sequence of labels, or a text, which is one label.
        """
        sequences = list(sequences)
        for place, sequence in enumerate(sequences):
            if isinstance(sequence, str | bytes) or not isinstance(sequence, Iterable):
                raise UserError(
                    f"sequence {place} is {sequence!r}; give a list of sequences, each a list of "
                    f"item labels, as [[{sequence!r}]]"
                )
        texts = [[str(label) for label in sequence] for sequence in sequences]
        known = [[self._ids[text] for text in one if text in self._ids] for one in texts]
        unknown = dict.fromkeys(text for one in texts for text in one if text not in self._ids)
        return Inputs(
            np.array([number for one in known for number in one], dtype=np.int64),
            np.cumsum([0, *map(len, known)], dtype=np.int64),
            list(unknown),
        )

    def scores(
        self, sequences: Sequence[Sequence[object]], *, allow_seen: bool | None = None
    ) -> npt.NDArray[np.float32]:
        """``[P, n_items + 1]`` scores of all items; column i is item i, ``labels[i - 1]``.

        -inf in column 0, which is no item, and where the sequence holds the item, unless it is
        allowed.

        Args:
            sequences: P of them, of labels, each oldest item first.  The model looks at the last
                items of its window; all that a sequence holds counts as seen.
            allow_seen: score what the sequence holds like everything else; None for `ranks_seen`.

        Raises:
            UserError: a sequence holds no known item; unknown ones beside known are warned of.
        """
        found = np.empty((len(sequences), self.n_items + 1), dtype=np.float32)
        for piece, scores in self._pieces(self._checked(sequences), allow_seen):
            found[piece] = scores.cpu().numpy()
        return found

    def top(
        self, sequences: Sequence[Sequence[object]], k: int = 20, *, allow_seen: bool | None = None
    ) -> list[list[str]]:
        """The labels of the k best items of each sequence, best first; fewer where there are fewer.

        Arguments and errors as for `scores`.
        """
        ids, scores = self.best(self._checked(sequences), k, allow_seen=allow_seen)
        return [
            [self.labels[i - 1] for i in row[kept]]
            for row, kept in zip(ids, np.isfinite(scores), strict=True)
        ]

    def best(
        self, inputs: Inputs, k: int, *, allow_seen: bool | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """``[P, k]`` ids of the best items, best first, and their scores; k at most n_items.  What
        has the score -inf is not to be recommended.

        Args:
            inputs: what `inputs` gave; no sequence of them is empty.
            k: how many.
            allow_seen: recommend what a sequence holds, too; None for `ranks_seen`.

        Raises:
            UserError: k is not positive.
        """
        if not isinstance(k, int | np.integer) or k < 1:
            raise UserError(f"k={k!r}: must be a whole number from 1")
        shape = (len(inputs.offsets) - 1, min(k, self.n_items))
        ids, found = np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32)
        for piece, scores in self._pieces(inputs, allow_seen):
            values, columns = scores.topk(shape[1], dim=1)
            ids[piece], found[piece] = columns.cpu().numpy(), values.cpu().numpy()
        return ids, found

    def table(
        self,
        users: Sequence[str],
        sequences: Sequence[Sequence[object]],
        k: int = 20,
        *,
        allow_seen: bool | None = None,
    ) -> pd.DataFrame:
        """The best items of many users, a row each: ``user``, ``rank`` from 1, ``item`` (its
        label), ``score``.

        Users without a known item are left out and, like unknown items, warned of.

        Args:
            users: P labels.
            sequences: what each has had, oldest first; of item labels.
            k: how many items a user, where there are so many.
            allow_seen: recommend what a user has had, too; None for `ranks_seen`.

        Raises:
            UserError: nobody has a known item, not one sequence a user, or k is not positive.
        """
        if len(users) != len(sequences):
            raise UserError(f"{len(users)} users with {len(sequences)} sequences: give each one")
        inputs = self.inputs(sequences)
        lengths = np.diff(inputs.offsets)
        if not lengths.any():
            raise UserError(
                "none of the items given is in the catalogue that the model was trained on, whose "
                f"items are called like {self.labels[0]!r}"
            )
        there = np.flatnonzero(lengths)
        if inputs.unknown:
            warnings.warn(inputs.warning, stacklevel=2)
        if left_out := len(lengths) - len(there):
            first = users[int(np.flatnonzero(lengths == 0)[0])]
            warnings.warn(
                f"{left_out} users have no known item and are left out ({first}, ...)", stacklevel=2
            )
        of_known = Inputs(inputs.items, np.cumsum([0, *lengths[there]]), [])
        ids, scores = self.best(of_known, k, allow_seen=allow_seen)
        row, column = np.isfinite(scores).nonzero()
        return pd.DataFrame(
            {
                "user": np.asarray(users, dtype=object)[there[row]],
                "rank": column + 1,
                "item": np.asarray(self.labels, dtype=object)[ids[row, column] - 1],
                "score": scores[row, column],
            }
        )

    def _pieces(
        self, inputs: Inputs, allow_seen: bool | None
    ) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
        items = torch.as_tensor(inputs.items, device=self._device)
        offsets = torch.as_tensor(inputs.offsets, device=self._device)
        allowed = self.ranks_seen if allow_seen is None else allow_seen
        seen_as = None if allowed else -torch.inf
        if len(offsets) == 1:
            return  # of no sequences there are no scores
        for piece, scores, _ in scored_pieces(self.models, items, offsets, seen_as):
            yield piece.cpu().numpy(), scores

    def _checked(self, sequences: Sequence[Sequence[object]]) -> Inputs:
        inputs = self.inputs(sequences)
        empty = np.flatnonzero(np.diff(inputs.offsets) == 0)
        if len(empty):
            raise UserError(
                f"sequence {empty[0]} (of {len(inputs.offsets) - 1}, from 0) holds no item of the "
                f"catalogue that the model was trained on; its items are called like "
                f"{self.labels[0]!r}"
            )
        if inputs.unknown:
            warnings.warn(inputs.warning, stacklevel=3)
        return inputs


def _model(store: Store, record: Record, role: str, n_items: int) -> Backbone:
    """A model of a cell with its weights.

    Raises:
        UserError: nobody registered its backbone, or the weights are not of it.
    """
    cell, folder = record.cell, store.models.folder(record.key)
    component = cell.models[model_files.ROLES.index(role)]
    weights = model_files.read_weights(folder, role)
    made = backbones.registry.build(
        component.name, component.hyper, n_items, cell.protocol.dim, cell.protocol.window
    )
    try:
        made.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{folder}: not the weights of today's backbone {component.name!r}; use the version "
            "of the program that trained it"
        ) from error
    return made

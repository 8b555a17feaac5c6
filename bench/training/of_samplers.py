"""What a sampler says of itself and what it remembers, checked where it is written down."""

from __future__ import annotations

import numbers
import re

from torch import Tensor

from bench.errors import UserError
from bench.json_shape import LARGEST


def columns_of(name: str, values: object) -> dict[str, float]:
    """What a sampler says of itself, as columns of ``epochs.csv``.

    Args:
        name: of the sampler.
        values: what its ``diagnostics`` returned.

    Raises:
        UserError: it is not numbers by name.
    """
    if not isinstance(values, dict):
        raise UserError(
            f"sampler {name!r}: diagnostics() returned a {type(values).__name__}; it must be a "
            "dictionary of numbers"
        )
    for column, value in values.items():
        if not isinstance(column, str) or not re.fullmatch(r"\w+", column):
            raise UserError(
                f"sampler {name!r}: diagnostics() names {column!r}; a name is letters, digits and _"
            )
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not real or abs(float(value)) > LARGEST:
            raise UserError(
                f"sampler {name!r}: diagnostics() gives {column} as {value!r}; it must be a "
                "number, finite and at most 2**53, or NaN"
            )
    # Python's own numbers: checkpoints are read without classes of other libraries.
    return {
        f"sampler_{column}": int(value) if isinstance(value, numbers.Integral) else float(value)
        for column, value in values.items()
    }


def memory_of(name: str, state: object) -> dict[str, Tensor]:
    """What a sampler gives to checkpoints, which are read without classes of other libraries.

    Args:
        name: of the sampler.
        state: what its ``state_dict`` returned.

    Raises:
        UserError: it is not tensors by name: a training that was killed could not go on.
    """
    if not isinstance(state, dict):
        raise UserError(
            f"sampler {name!r}: state_dict() returned a {type(state).__name__}; it must be a "
            "dictionary of tensors"
        )
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UserError(
                f"sampler {name!r}: state_dict() gives {key!r} as a {type(value).__name__}; names "
                "are text and values tensors, or a checkpoint cannot be read"
            )
    return state

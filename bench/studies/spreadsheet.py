"""Tables that people open in a spreadsheet."""

from __future__ import annotations

from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes the start of a formula for."""


def csv_of(frame: pd.DataFrame, **options: Any) -> str:
    """CSV in which no text is a formula: such a one has an apostrophe in front.

    Args:
        frame: the table; its index is left out.
        options: of `pandas.DataFrame.to_csv`.
    """
    texts = frame.select_dtypes(["object", "string"]).map(_text)
    return str(frame.assign(**texts).to_csv(index=False, **options))


def _text(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value

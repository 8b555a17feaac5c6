"""What stored cells say: which may be compared, and which differences are more than chance."""

from typing import Literal

PostHoc = Literal["wilcoxon", "nemenyi"]
"""How pairs of samplers are tested over datasets and backbones."""

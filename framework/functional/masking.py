"""Means over some of the elements."""

from jaxtyping import Bool, Float
from torch import Tensor


def masked(values: Float[Tensor, "*B"], kept: Bool[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Values whose mean over all is the mean over those that are kept: the others are 0; all are, where none is kept."""
    chosen = kept.float()
    return values.masked_fill(~kept, 0.0) / chosen.mean().clamp(min=1 / max(chosen.numel(), 1))

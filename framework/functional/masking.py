"""Means over some of the elements, and masks of what holds between two of them."""

from jaxtyping import Bool, Float, Int
from torch import Tensor


def masked(values: Float[Tensor, "*B"], kept: Bool[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Values whose mean over all is the mean over those that are kept: the others are 0; all are, where none is kept."""
    chosen = kept.float()
    return values.masked_fill(~kept, 0.0) / chosen.mean().clamp(min=1 / max(chosen.numel(), 1))


def between(table: Bool[Tensor, "P P"], own: Int[Tensor, " N"], theirs: Int[Tensor, " M"]) -> Bool[Tensor, "N M"]:
    """`table[own_i, theirs_j]`. By columns first, so that rows are then copied whole: a fraction of the price of comparing all pairs."""
    return table[:, theirs][own]

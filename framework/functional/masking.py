"""Means over some of the elements, and masks of what holds between two of them."""

from typing import Final

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from framework.functional.row_blocks import row_blocks

BITS: Final = {torch.float32: torch.int32, torch.float64: torch.int64, torch.int32: torch.int32}
"""Integers of the same size."""


def masked(values: Float[Tensor, "*B"], kept: Bool[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Values whose mean over all is the mean over those that are kept: the others are 0; all are, where none is kept."""
    chosen = kept.float()
    return values.masked_fill(~kept, 0.0) / chosen.mean().clamp(min=1 / max(chosen.numel(), 1))


def between(table: Bool[Tensor, "P P"], own: Int[Tensor, " N"], theirs: Int[Tensor, " M"]) -> Bool[Tensor, "N M"]:
    """`table[own_i, theirs_j]`. By columns first, so that rows are then copied whole: a fraction of the price of comparing all pairs."""
    return table[:, theirs][own]


def only(values: Shaped[Tensor, "N M"], kept: Bool[Tensor, "N M"], otherwise: float | Shaped[Tensor, " M"]) -> Shaped[Tensor, "N M"]:
    """`values` where they are `kept`, and elsewhere what is `otherwise` in their column.

    On a CPU by their bits, `((v ^ o) & k) ^ o`: `where` and `masked_fill` go by a branch for each entry, and guessing it wrong where a mask
    is random costs five times as much. Gradients: none.
    """
    values = values.detach()
    if torch.compiler.is_compiling() or not values.is_cpu:
        return values.where(kept, otherwise)
    kind = BITS[values.dtype]
    other = torch.as_tensor(otherwise, dtype=values.dtype).view(kind)
    bits = values.view(kind).bitwise_xor(other)
    return bits.bitwise_and_(kept.to(kind).neg_()).bitwise_xor_(other).view(values.dtype)


def log_mask(kept: Bool[Tensor, "N M"]) -> Float[Tensor, "N M"]:
    """The log-weights that say so: 0 where `kept`, -inf elsewhere."""
    weights = torch.empty(kept.shape, device=kept.device)
    for rows in row_blocks(kept):
        weights[rows] = only(weights.new_zeros(()).expand_as(kept[rows]), kept[rows], -torch.inf)
    return weights

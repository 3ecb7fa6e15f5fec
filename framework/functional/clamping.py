"""A limit that a parameter can come back from."""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor


def held_below(value: Float[Tensor, ""], limit: float) -> Float[Tensor, ""]:
    """`min(value, limit)`.

    Gradients: past the limit only those arrive that lower the value when they are descended. Those of `clamp` are all zero there, and
    a parameter which took one step too many would stay for good.
    """
    found: Tensor = _HeldBelow.apply(value, limit)
    return found


@final
class _HeldBelow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.limit = limit
        return value.clamp(max=limit)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (value,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.where((value <= ctx.limit) | (gradient > 0), 0.0), None

"""A limit whose gradient does not vanish."""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor


def limited(value: Float[Tensor, ""], limit: float) -> Float[Tensor, ""]:
    """`min(value, limit)`.

    Gradients: beyond the limit only positive ones pass, which lower the value in gradient descent. With `clamp` all are zero there, and
    the parameter would stay beyond the limit.
    """
    result: Tensor = _Limited.apply(value, limit)
    return result


@final
class _Limited(torch.autograd.Function):
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

"""Exploration noise on actions."""

import torch
from jaxtyping import Float
from torch import Tensor

from framework.data import ActionSpec
from framework.functional.actions import OneHotGroups
from framework.functional.categorical import gumbel


def exploration_noise(
    action: Float[Tensor, "N A"], spec: ActionSpec, amount: float | Float[Tensor, ""], generator: torch.Generator
) -> Float[Tensor, "N A"]:
    """Add `N(0, amount^2)` to a continuous action and clip it to [-1, 1]; replace choices by uniform ones with probability `amount`."""
    size, device = action.shape[0], generator.device
    if spec.kind == "continuous":
        return (action + amount * torch.randn(size, spec.size, generator=generator, device=device)).clamp(-1, 1)
    replaced = torch.rand(size, 1, generator=generator, device=device) < amount
    uniform = OneHotGroups(torch.zeros_like(action), spec.sizes).sample(gumbel(size, spec.size, generator=generator))
    return uniform.where(replaced, action)

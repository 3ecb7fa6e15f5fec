"""Rotary positions: queries and keys are rotated by their positions, so that their product depends on the distance alone.

    (x_i, x_{i + E/2}) rotates by the angle  position / 10000^(2 i / E)

Su et al. (2021), *RoFormer: Enhanced Transformer with Rotary Position Embedding*, Section 3.2.
"""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

BASE: Final = 10_000.0


def rotations(length: int, size: int, device: torch.device) -> Float[Tensor, "2 L half"]:
    """The cosines and sines of each position, for vectors of an even `size`."""
    places = torch.arange(length, device=device, dtype=torch.float32)
    rates = BASE ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    angles = places[:, None] * rates
    return torch.stack([angles.cos(), angles.sin()])


def rotate(values: Float[Tensor, "*B L E"], rotation: Float[Tensor, "2 L half"]) -> Float[Tensor, "*B L E"]:
    """The vectors at `L` positions, each rotated by its own angles."""
    cosine, sine = rotation
    one, other = values.float().chunk(2, dim=-1)
    return torch.cat([one * cosine - other * sine, one * sine + other * cosine], dim=-1).to(values.dtype)

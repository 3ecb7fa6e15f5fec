"""Rotary positions: a query and a key are turned by their places, so that their product knows how far apart they are and no more.

    (x_i, x_{i + E/2}) turns by the angle  position / 10000^(2 i / E)

Su et al. (2021), *RoFormer: Enhanced Transformer with Rotary Position Embedding*, Section 3.2.
"""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

BASE: Final = 10_000.0


def turns(length: int, size: int, device: torch.device) -> Float[Tensor, "2 L half"]:
    """The cosine and the sine of each place, for vectors of an even `size`."""
    places = torch.arange(length, device=device, dtype=torch.float32)
    rates = BASE ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    angles = places[:, None] * rates
    return torch.stack([angles.cos(), angles.sin()])


def rotated(values: Float[Tensor, "*B L E"], turn: Float[Tensor, "2 L half"]) -> Float[Tensor, "*B L E"]:
    """The vectors of `L` places, each turned by its own angles; lengths stay."""
    cosine, sine = turn
    one, other = values.float().chunk(2, dim=-1)
    return torch.cat([one * cosine - other * sine, one * sine + other * cosine], dim=-1).to(values.dtype)

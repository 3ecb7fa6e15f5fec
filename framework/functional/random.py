"""Random numbers from a key in a tensor, as in `jax.random`: functions of the key, for updates that are compiled or captured.

    u_k = the upper 24 bits of splitmix64, k steps after the key, / 2^24        (Steele, Lea and Flood, 2014)

A key comes from an explicit generator, once for each update. Different purposes fold different numbers into it.
"""

import math
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

Key = Int[Tensor, ""]
GOLDEN: Final = 0x9E3779B97F4A7C15 - (1 << 64)
FIRST: Final = 0xBF58476D1CE4E5B9 - (1 << 64)
SECOND: Final = 0x94D049BB133111EB - (1 << 64)
"""The constants of splitmix64 as signed numbers, whose products wrap around alike."""


def new_key(generator: torch.Generator) -> Key:
    """A key on the device of the generator."""
    return torch.randint(1 << 62, (), generator=generator, device=generator.device)


def fold_in(key: Key, purpose: int) -> Key:
    """Another key for one purpose, by number."""
    return _mix(key ^ _mix(torch.full_like(key, purpose)))


def uniform(key: Key, *shape: int) -> Float[Tensor, "..."]:
    """Numbers in [0, 1)."""
    count = torch.Size(shape).numel()
    bits = _mix(key + GOLDEN * torch.arange(1, count + 1, device=key.device))
    return (_shifted(bits, 40).to(torch.float32) * 2.0**-24).reshape(shape)


def normal(key: Key, *shape: int) -> Float[Tensor, "..."]:
    """Standard normal numbers (Box and Muller, 1958)."""
    length, angle = uniform(key, 2, *shape)
    return (-2 * torch.log1p(-length)).sqrt() * torch.cos(2 * math.pi * angle)


def _mix(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * FIRST
    bits = (bits ^ _shifted(bits, 27)) * SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right without the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)

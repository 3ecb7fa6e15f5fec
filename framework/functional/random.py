"""Random numbers from a seed in a tensor: what a compiled or captured update can draw, where a generator cannot go.

    u_k = the upper 24 bits of splitmix64, k steps after the seed, / 2^24        (Steele, Lea and Flood, 2014)

The seed itself comes from an explicit generator, once for each update. Different purposes take `fold_in`s of it.
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
"""The constants of splitmix64 as signed numbers: products wrap around alike."""
SHORT_FIRST: Final = 0x7FEB352D
SHORT_SECOND: Final = 0x846CA68B - (1 << 32)
"""Those of a mixer of 32 bits (Wellons, 2018, *Prospecting for hash functions*), as signed numbers."""

BELOW_LOTS: Final = 1 << 12
"""How many integers of 32 bits are less than any lot: what is not drawn from has those, so that few are equal."""


def new_key(generator: torch.Generator) -> Key:
    """A seed, on the device of the generator."""
    return torch.randint(1 << 62, (), generator=generator, device=generator.device)


def fold_in(key: Key, purpose: int) -> Key:
    """A seed of its own for one purpose, by number."""
    return _mix(key ^ _mix(torch.full_like(key, purpose)))


def uniform(key: Key, *shape: int) -> Float[Tensor, "..."]:
    """Numbers in [0, 1), the same for the same seed."""
    count = torch.Size(shape).numel()
    bits = _mix(key + GOLDEN * torch.arange(1, count + 1, device=key.device))
    return (_shifted(bits, 40).to(torch.float32) * 2.0**-24).reshape(shape)


def normal(key: Key, *shape: int) -> Float[Tensor, "..."]:
    """Standard normal numbers, the same for the same seed (Box and Muller, 1958)."""
    length, angle = uniform(key, 2, *shape)
    return (-2 * torch.log1p(-length)).sqrt() * torch.cos(2 * math.pi * angle)


def lots(key: Key, rows: slice, columns: int) -> Int[Tensor, "N M"]:
    """Integers of 32 bits to draw lots by, for some rows of a matrix: as good as all different, above the lowest, ordered by the seed.

    A tenth of the price of `uniform`, which counts where one is drawn for each pair of a batch. In place: the memory would cost
    more than the arithmetic.
    """
    bits = torch.arange(rows.start * columns, rows.stop * columns, dtype=torch.int32, device=key.device)
    bits ^= key.to(torch.int32)
    bits ^= (bits >> 16).bitwise_and_(0xFFFF)
    bits *= SHORT_FIRST
    bits ^= (key >> 32).to(torch.int32)
    bits ^= (bits >> 15).bitwise_and_(0x1FFFF)
    bits *= SHORT_SECOND
    return bits.clamp_(min=BELOW_LOTS - (1 << 31)).reshape(-1, columns)


def _mix(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * FIRST
    bits = (bits ^ _shifted(bits, 27)) * SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right without the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)

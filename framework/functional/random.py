"""Random numbers from a key in a tensor, as in `jax.random`: functions of the key, for updates that are compiled or captured.

    u_k = the upper 24 bits of splitmix64, k steps after the key, / 2^24        (Steele, Lea and Flood, 2014)

A key comes from an explicit generator, once for each update. Different purposes fold different numbers into it. The ranks of a job have
one key: where a first axis is over rows of the batch, each draws those of its own rows, as one process with all of them would.
"""

import math
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework.functional import ranks

Key = Int[Tensor, ""]
"""What `uniform(key, ..)` and its like draw from: equal keys give equal numbers. `fold_in(key, 2)` is another, for another purpose."""
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
    return uniform_at(key, _own_indices(key, torch.Size(shape).numel())).reshape(shape)


def uniform_at(key: Key, index: Int[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """The number in [0, 1) with each index, from 0: the k-th of `uniform`."""
    bits = _mix(key + GOLDEN * (index + 1))
    return _shifted(bits, 40).to(torch.float32) * 2.0**-24


def normal(key: Key, *shape: int) -> Float[Tensor, "..."]:
    """Standard normal numbers (Box and Muller, 1958)."""
    count = torch.Size(shape).numel()
    index = _own_indices(key, count)
    length, angle = uniform_at(key, index), uniform_at(key, index + ranks.size() * count)
    return ((-2 * torch.log1p(-length)).sqrt() * torch.cos(2 * math.pi * angle)).reshape(shape)


def _own_indices(key: Key, count: int) -> Int[Tensor, " N"]:
    """The places of this rank's numbers among those of all ranks."""
    return ranks.rank() * count + torch.arange(count, device=key.device)


def _mix(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * FIRST
    bits = (bits ^ _shifted(bits, 27)) * SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right without the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)

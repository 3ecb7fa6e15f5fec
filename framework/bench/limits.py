"""What the machine can do, timed in the same run: a product of matrices, and a copy. Machines differ, ratios less."""

from dataclasses import dataclass
from typing import Final, final

import torch

from framework.bench.clock import Times, timed

SIZE: Final = 2048
"""Rows and columns of the product; large enough to be bound by arithmetic."""
COPIED: Final = 2**26
"""Numbers copied, 256 MiB of float32: far more than caches hold."""
CALLS: Final = 5


@final
@dataclass(frozen=True)
class Limits:
    """Operations a second of a product of 2,048-square matrices in the run's precision, and bytes a second of a copy, reads and writes."""

    flops: float
    bytes: float


def product(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second: the best of a few, since whatever disturbs only slows."""
    one = torch.randn(SIZE, SIZE, device=device).to(dtype)
    return 2 * SIZE**3 / _best(lambda: one @ one, device)


def copy(device: torch.device) -> float:
    """Bytes a second, read and written."""
    source, target = torch.ones(COPIED, device=device), torch.empty(COPIED, device=device)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), device)


def measured(device: torch.device, dtype: torch.dtype) -> Limits:
    return Limits(flops=product(device, dtype), bytes=copy(device))


def _best(call: object, device: torch.device) -> float:
    assert callable(call)
    call()
    return min(Times([timed(call, device) for _ in range(CALLS)]).seconds)

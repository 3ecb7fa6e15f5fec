"""The speed of the machine at a matrix product and at a copy, measured in the same run. Machines differ; ratios to these differ less."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch

from framework.measurement.timing import Effort, timed

SIZE: Final = 2048
"""Rows and columns of the product; large enough to be bound by arithmetic."""
COPIED: Final = 2**26
"""Numbers copied, 256 MiB of float32, far more than caches hold."""
EFFORT: Final = Effort(seconds=0.0, repeats=5)


@final
@dataclass(frozen=True)
class MachineLimits:
    """Operations a second of the product in the run's precision, and bytes a second of the copy, reads and writes."""

    flops: float
    bytes: float


def measured(device: torch.device, dtype: torch.dtype) -> MachineLimits:
    matrix = torch.randn(SIZE, SIZE, device=device).to(dtype)
    flops = 2 * SIZE**3 / _least(lambda: matrix @ matrix)
    source, target = torch.ones(COPIED, device=device), torch.empty(COPIED, device=device)
    return MachineLimits(flops=flops, bytes=2 * source.nbytes / _least(lambda: target.copy_(source)))


def _least(call: Callable[[], object]) -> float:
    """The shortest time: other work on the machine only slows."""
    return min(timed(call, EFFORT).seconds)

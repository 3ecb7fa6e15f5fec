"""Correlated Gaussians, whose mutual information and log ratio are known: `x ~ N(0, I)`, `y = rho x + sqrt(1 - rho^2) noise`.

`rho = sqrt(1 - exp(-2 I / d))` gives `I` nats in `d` dimensions.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from framework.testing.samples import seeded

SIZE = 20


def correlation(information: float, size: int = SIZE) -> float:
    return math.sqrt(1 - math.exp(-2 * information / size))


def pairs(information: float, *leading: int, seed: int = 0, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """`x` and `y` of shape `[*leading, size]`."""
    rho = correlation(information, size)
    x, noise = torch.randn(2, *leading, size, generator=seeded(seed))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def log_ratios(information: float, batches: int, candidates: int, seed: int = 0) -> Tensor:
    """`log p(x_i | y_j) - log p(x_i)` for every pair of every batch: `[batches, candidates, candidates]`."""
    x, y = pairs(information, batches, candidates, seed=seed)
    rho = correlation(information)
    square = x.square().sum(dim=-1)[:, :, None] + y.square().sum(dim=-1)[:, None, :] - 2 / rho * x @ y.mT
    return information - rho**2 * square / (2 * (1 - rho**2))


def mean_and_error(estimate: Callable[[Tensor, Tensor], Tensor], scores: Tensor) -> tuple[float, float]:
    """Of the estimates of many batches, each of its own scores with every candidate kept."""
    weights = torch.zeros(scores.shape[1:])
    estimates = torch.vmap(lambda each: estimate(each, weights).mean())(scores)
    return estimates.mean().item(), (estimates.std() / math.sqrt(len(estimates))).item()

"""Quantile regression: a double loop, and the quantiles that it finds."""

import pytest
import torch

from framework.functional.quantiles import quantile_huber
from tests.tiny import normal


def test_it_equals_a_double_loop():
    quantiles, target, width = 2 * normal(4, 5), normal(4, seed=1), 0.7
    for row in range(4):
        total = 0.0
        for k in range(5):
            error = float(target[row] - quantiles[row, k])
            huber = 0.5 * error**2 if abs(error) <= width else width * (abs(error) - 0.5 * width)
            total += abs((k + 0.5) / 5 - (error < 0)) * huber / width
        assert quantile_huber(quantiles, target, width)[row].item() == pytest.approx(total / 5, abs=1e-5)


def test_it_finds_the_quantiles_of_what_it_sees():
    draws = torch.distributions.Exponential(1.0).icdf((torch.arange(2000) + 0.5) / 2000)
    quantiles = torch.zeros(4, requires_grad=True)
    optimizer = torch.optim.Adam([quantiles], lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        quantile_huber(quantiles.expand(2000, 4), draws, width=1e-3).mean().backward()
        optimizer.step()
    expected = torch.distributions.Exponential(1.0).icdf(torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert torch.allclose(quantiles.detach(), expected, atol=0.05)

"""Quantile regression: a double loop, and the quantiles at its minimum."""

import pytest
import torch

from framework.functional.quantiles import quantile_huber
from framework.testing.samples import normal


def test_it_equals_a_double_loop():
    quantiles, target, width = 2 * normal(4, 5), normal(4, seed=1), 0.7
    for row in range(4):
        total = 0.0
        for k in range(5):
            error = float(target[row] - quantiles[row, k])
            huber = 0.5 * error**2 if abs(error) <= width else width * (abs(error) - 0.5 * width)
            total += abs((k + 0.5) / 5 - (error < 0)) * huber / width
        assert quantile_huber(quantiles, target, width)[row].item() == pytest.approx(total / 5, abs=1e-5)


def test_its_minimum_lies_at_the_quantiles():
    """The gradient vanishes at the quantiles of a sample, and pulls back from both sides."""
    draws = torch.distributions.Exponential(1.0).icdf((torch.arange(2000) + 0.5) / 2000)
    exact = torch.distributions.Exponential(1.0).icdf(torch.tensor([0.125, 0.375, 0.625, 0.875]))
    for shift, sign in ((-0.1, -1), (0.1, 1)):
        quantiles = (exact + shift).requires_grad_()
        (gradient,) = torch.autograd.grad(quantile_huber(quantiles.expand(2000, 4), draws, width=1e-3).mean(), quantiles)
        assert (gradient.sign() == sign).all()
    quantiles = exact.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(quantile_huber(quantiles.expand(2000, 4), draws, width=1e-3).mean(), quantiles)
    assert gradient.abs().max() < 1e-3

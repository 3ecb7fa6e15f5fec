"""Redundancy reduction: laws, nested loops, literal numbers, gradients."""

import pytest
import torch

from framework.functional.redundancy import cross_correlation, off_diagonal, redundancy_loss
from tests.tiny import normal

EVERY = torch.ones(40, dtype=torch.bool)


def test_samples_that_are_left_out_have_no_effect():
    one, other, kept = normal(40, 4), normal(40, 4, seed=1), torch.arange(40) < 25
    expected = cross_correlation(one[:25], other[:25], torch.ones(25, dtype=torch.bool))
    assert torch.allclose(cross_correlation(one.where(kept[:, None], 99.0), other, kept), expected, atol=1e-5)


def test_without_any_sample_everything_is_zero():
    nothing = torch.zeros(5, dtype=torch.bool)
    assert (cross_correlation(normal(5, 3), normal(5, 3), nothing) == 0).all()


def test_a_constant_dimension_has_no_correlation():
    one = normal(40, 3)
    one[:, 1] = 4.0
    correlation = cross_correlation(one, normal(40, 3), EVERY)
    assert correlation.isfinite().all()
    assert correlation[1].abs().max() < 1e-4


def test_correlation_and_loss_equal_nested_loops():
    one, other = normal(10, 3), normal(10, 3, seed=1)
    correlation = cross_correlation(one, other, torch.ones(10, dtype=torch.bool))
    for i in range(3):
        for j in range(3):
            expected = torch.corrcoef(torch.stack([one[:, i], other[:, j]]))[0, 1]
            assert correlation[i, j].item() == pytest.approx(expected.item(), abs=1e-4)
    loss = sum((1 - correlation[i, i].item()) ** 2 for i in range(3))
    loss += 0.25 * sum(correlation[i, j].item() ** 2 for i in range(3) for j in range(3) if i != j)
    assert redundancy_loss(correlation, 0.25).item() == pytest.approx(loss, abs=1e-5)


def test_the_loss_of_known_correlations():
    assert redundancy_loss(torch.eye(3), 1.0).item() == 0
    assert redundancy_loss(torch.tensor([[0.5, 0.2], [-0.4, 1.0]]), 0.1).item() == pytest.approx(0.25 + 0.1 * (0.04 + 0.16))
    assert off_diagonal(torch.tensor([[5.0, 2.0], [3.0, 7.0]])).tolist() == [[0.0, 2.0], [3.0, 0.0]]

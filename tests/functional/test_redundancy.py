"""Redundancy reduction beside its references: samples that are left out, degenerate samples, and literal numbers."""

import pytest
import torch

from framework.functional.redundancy import cross_correlation, off_diagonal, redundancy_loss
from framework.testing.samples import normal

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


def test_the_loss_of_known_correlations():
    assert redundancy_loss(torch.eye(3), 1.0).item() == 0
    assert redundancy_loss(torch.tensor([[0.5, 0.2], [-0.4, 1.0]]), 0.1).item() == pytest.approx(0.25 + 0.1 * (0.04 + 0.16))
    assert off_diagonal(torch.tensor([[5.0, 2.0], [3.0, 7.0]])).tolist() == [[0.0, 2.0], [3.0, 0.0]]

"""What every negative-sampling strategy promises."""

import math

import pytest
import torch

from framework.critics.gaussian_critic import gaussian_scores
from framework.data import Origin
from framework.functional import contrastive
from tests.members import build
from tests.tiny import normal, seeded

SIZES = [(2, 2), (3, 5), (5, 2), (4, 8)]


@pytest.fixture
def strategy(negatives_name):
    return build("negatives", negatives_name)


def origin(rows: int, times: int) -> Origin:
    return Origin.of(torch.arange(rows)[:, None].expand(rows, times))


def weigh(strategy, rows: int, times: int, seed: int = 0) -> torch.Tensor:
    steps = origin(rows, times)
    return strategy(normal(rows * times, rows * times, seed=seed), steps, steps)


@pytest.mark.parametrize(("rows", "times"), SIZES)
def test_it_keeps_the_positive(strategy, rows, times):
    weights = weigh(strategy, rows, times)
    assert weights.shape == (rows * times, rows * times)
    assert (weights.diagonal() == 0).all()


@pytest.mark.parametrize(("rows", "times"), SIZES)
def test_every_anchor_keeps_a_negative(strategy, rows, times):
    weights = weigh(strategy, rows, times)
    assert (weights.isfinite().sum(dim=1) >= 2).all()
    assert (weights.isfinite().sum(dim=0) >= 2).all()


@pytest.mark.parametrize(("rows", "times"), SIZES)
def test_a_weight_is_a_number_or_leaves_out(strategy, rows, times):
    weights = weigh(strategy, rows, times)
    assert weights.dtype == torch.float32
    assert (weights.isfinite() | weights.isneginf()).all()


def test_one_sequence_or_one_step_is_no_crash(strategy):
    for rows, times in ((1, 1), (1, 4), (4, 1)):
        weights = weigh(strategy, rows, times)
        loss = contrastive.row_loss(torch.zeros_like(weights), weights)
        assert loss.isfinite().all()


def test_it_draws_nothing_at_random(strategy):
    before = weigh(strategy, 3, 4)
    torch.manual_seed(99)
    assert torch.equal(weigh(strategy, 3, 4), before)


@pytest.mark.parametrize("axis", ["row", "column", "symmetric"])
def test_the_estimate_stays_below_its_ceiling(strategy, axis):
    scores, weights = 3 * normal(12, 12, seed=5), weigh(strategy, 3, 4, seed=5)
    ceiling = contrastive.log_candidates(weights, axis)
    assert (ceiling > 0).all()
    assert (ceiling - contrastive.infonce_loss(scores, weights, axis) <= ceiling + 1e-5).all()


def test_a_lower_bound_stays_below_the_information(strategy):
    """With the exact critic, on sequences of independent steps; two sequences, where leaving out the own one shows most."""
    information, size, rows, times = 4.0, 4, 2, 8
    rho = math.sqrt(1 - math.exp(-2 * information / size))
    steps, generator, found = origin(rows, times), seeded(3), []
    for _ in range(60):
        x, noise = torch.randn(2, rows * times, size, generator=generator)
        y = rho * x + math.sqrt(1 - rho**2) * noise
        scores = gaussian_scores(x, rho * y, torch.full_like(x, math.sqrt(1 - rho**2)))
        weights = strategy(scores, steps, steps)
        found.append((contrastive.log_candidates(weights, "row") - contrastive.row_loss(scores, weights)).mean())
    if strategy.is_lower_bound:
        assert torch.stack(found).mean() <= information
    assert torch.stack(found).mean() > 0.5

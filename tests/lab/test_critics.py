"""Densities and critics on the latents of a Kalman filter."""

import math

import pytest
import torch

from framework.lab import critics
from framework.lab.kalman import DENSITIES, Kalman, KalmanLatents
from framework.lab.settings import CriticsSettings
from framework.registry import components


def measured(**settings):
    return critics.measure(CriticsSettings(**settings))


def test_the_filtering_and_the_diagonal_density_are_wrong_and_the_others_exact(row):
    """Six dimensions, phi 0.9, noise 1, 1,024 candidates."""
    report = measured(steps=0, batches=8)
    for name, expected in zip(DENSITIES, (2.06, 1.41, 1.65, 2.06), strict=True):
        density = row(report, name)
        assert density["truth"] == pytest.approx(3 * math.log(2))
        assert density["stderr"] < 0.05
        assert abs(density["mean"] - expected) < 3 * density["stderr"] + 0.01


def test_all_densities_agree_in_a_world_without_memory(row):
    report = measured(phi=0.0, steps=0, batches=2, candidates=128)
    assert report.setting["I(h;o)"] == pytest.approx(0.0, abs=1e-9)
    means = [row(report, name)["mean"] for name in DENSITIES]
    assert means == pytest.approx([means[0]] * 4, abs=1e-3)


@pytest.mark.parametrize(("phi", "noise"), [(0.9, 1.0), (-0.5, 0.3), (0.99, 4.0), (0.0, 1.0)])
def test_the_filter_is_steady_and_its_informations_add_up(phi, noise):
    kalman = Kalman(phi=phi, noise=noise, dimensions=3)
    assert kalman.predicted == pytest.approx(phi**2 * kalman.filtered + 1 - phi**2)
    assert kalman.truth == pytest.approx(1.5 * math.log(1 + 1 / noise))
    assert kalman.information_ahead(0) == pytest.approx(kalman.truth)
    assert kalman.information_ahead(2) <= kalman.information_ahead(1) <= kalman.information_ahead(0)


def test_samples_have_the_moments_and_the_information_of_the_filter():
    kalman = Kalman(phi=0.9, noise=1.0, dimensions=1)
    step = kalman.draw(40_000, torch.Generator().manual_seed(0), offset=2)
    variance = torch.cov(torch.cat([step.h, step.z, step.later, step.observation], dim=1).T)
    shared = kalman.history + kalman.gain * kalman.predicted
    expected = [1 - kalman.predicted, kalman.history, 0.81 * kalman.history, kalman.history, 1.0, 0.81 * shared, 1.0, 2.0, 0.81, 2.0]
    assert variance[*torch.triu_indices(4, 4)].tolist() == pytest.approx(expected, abs=0.05)
    information = 0.5 * (variance[:2, :2].logdet() + variance[2, 2].log() - variance[:3, :3].logdet()).item()
    assert information == pytest.approx(kalman.information_ahead(2), abs=0.01)


def test_quantiles_keep_a_part_of_the_information():
    """Against a sum over a fine grid of h and o in one dimension."""
    kalman = Kalman(phi=0.9, noise=1.0, dimensions=1)
    latents = KalmanLatents(kalman, "categorical")
    truth = latents.truth(anchor=None, candidate="embedding", offset=0)
    assert kalman.history_information < truth < kalman.truth
    grid = torch.linspace(-6, 6, 241, dtype=torch.float64)
    weights = torch.exp(-0.5 * grid.square())
    h, innovation = math.sqrt(kalman.history) * grid, math.sqrt(kalman.predicted + kalman.noise) * grid
    after = torch.special.entr(latents._probabilities(h[:, None] + kalman.gain * innovation, kalman.filtered)).sum(dim=-1)
    before = torch.special.entr(latents._probabilities(h, kalman.predicted)).sum(dim=-1)
    weights = weights / weights.sum()
    assert truth - kalman.history_information == pytest.approx((weights @ (before - after @ weights)).item(), abs=1e-3)


def test_every_critic_has_a_row_and_stays_below_its_truth():
    report = measured(steps=3, candidates=64, batches=2)
    assert [each.name for each in report.rows] == [*DENSITIES, *components("critics")]
    for each in report.rows:
        assert each["mean"] is not None, each.note
        assert each["mean"] < each["truth"] + 5 * each["stderr"] + 0.1
        assert each["is_lower_bound"]


def test_a_bilinear_critic_learns_as_much_as_it_can_express(row):
    """`a z o` without the square of o that the density has: in each dimension `a - a^2`, at most 1/4 of a nat."""
    report = measured(steps=200, only=("BilinearCritic", "exact"), candidates=512, batches=2)
    assert [each.name for each in report.rows] == ["exact q(h,z|o)", "BilinearCritic"]
    assert 1.0 < row(report, "BilinearCritic")["mean"] < 1.6


def test_the_prior_critic_is_exact_without_training(row):
    prior = row(measured(only=("PriorCritic",), candidates=512, steps=1), "PriorCritic")
    assert prior["truth"] == pytest.approx(Kalman(phi=0.9, noise=1.0, dimensions=6).prior_information)
    assert abs(prior["mean"] - prior["truth"]) < 5 * prior["stderr"] + 0.1
    assert prior["trained"] == "nothing to train"


def test_a_later_observation_has_less_information():
    separable, prior = measured(steps=100, only=("SeparableCritic", "PriorCritic", "exact"), candidates=256, offset=2).rows
    assert separable["truth"] == pytest.approx(Kalman(phi=0.9, noise=1.0, dimensions=6).information_ahead(2))
    assert 0.4 * separable["truth"] < separable["mean"] < separable["truth"] + 5 * separable["stderr"]
    assert prior["truth"] is None

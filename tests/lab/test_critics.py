"""Densities and critics on a Kalman filter's latents."""

import math

import pytest
import torch

from framework.errors import UserError
from framework.lab import critics
from framework.lab.kalman import Kalman, KalmanLatents
from framework.registry import components


def measured(**given):
    return critics.measure(critics.Setting(**given))


KNOWN = {"exact q(h,z|o)": 2.06, "filtering q(z|h,o')": 1.41, "diagonal q(h|o)q(z|o)": 1.65, "q(z|o)": 2.06}


def test_which_density_is_the_right_one(row):
    """Six dimensions, phi 0.9, noise 1, 1,024 candidates."""
    report = measured(steps=0)
    for name, expected in KNOWN.items():
        found = row(report, name)
        assert found.truth == pytest.approx(3 * math.log(2))
        assert found.stderr < 0.025
        assert abs(found.mean - expected) < 3 * found.stderr + 0.01


def test_without_memory_all_are_right(row):
    report = measured(phi=0.0, steps=0, batches=4, candidates=256)
    assert report.setting["I(h;o)"] == pytest.approx(0.0, abs=1e-9)
    means = [row(report, name).mean for name in KNOWN]
    assert means == pytest.approx([means[0]] * 4, abs=1e-3)


@pytest.mark.parametrize(("phi", "noise"), [(0.9, 1.0), (-0.5, 0.3), (0.99, 4.0), (0.0, 1.0)])
def test_the_filter_is_steady_and_its_informations_add_up(phi, noise):
    found = Kalman(phi=phi, noise=noise, dimensions=3)
    assert found.predicted == pytest.approx(phi**2 * found.filtered + 1 - phi**2)
    assert found.truth == pytest.approx(1.5 * math.log(1 + 1 / noise))
    assert found.ahead(0) == pytest.approx(found.truth)
    assert found.ahead(2) <= found.ahead(1) <= found.ahead(0)


def test_what_is_drawn_has_the_filters_moments():
    found = Kalman(phi=0.9, noise=1.0, dimensions=1)
    step = found.draw(40_000, torch.Generator().manual_seed(0), offset=2)
    assert step.z.var().item() == pytest.approx(1.0, abs=0.03)
    assert step.h.var().item() == pytest.approx(1 - found.predicted, abs=0.02)
    assert step.observation.var().item() == pytest.approx(2.0, abs=0.05)
    assert (step.h * step.later).mean().item() == pytest.approx(0.81 * found.history, abs=0.03)
    assert (step.z * step.later).mean().item() == pytest.approx(0.81 * (found.history + found.gain * found.predicted), abs=0.03)
    assert (step.z * step.observation).mean().item() == pytest.approx(1.0, abs=0.04)
    variance = torch.cov(torch.cat([step.h, step.z, step.later], dim=1).T)
    information = 0.5 * (variance[:2, :2].logdet() + variance[2, 2].log() - variance.logdet()).item()
    assert information == pytest.approx(found.ahead(2), abs=0.01)


def test_the_information_of_quantiles_is_below_that_of_what_is_cut():
    found = Kalman(phi=0.9, noise=1.0, dimensions=6)
    cut = KalmanLatents(found, "categorical").truth(anchor=None, candidate="embedding", offset=0)
    assert found.of_history < cut < found.truth


def test_every_critic_has_a_row_and_learns_something(row):
    report = measured(steps=10, candidates=64, batches=2)
    assert [each.name for each in report.rows] == [*KNOWN, *components("critics")]
    for each in report.rows:
        assert each.mean is not None, each.note
        assert each.mean < each.truth + 5 * each.stderr + 0.1
        assert each.is_lower_bound


def test_a_bilinear_critic_learns_what_it_can_express(row):
    """`a z o` without the square of o that the density has: in each dimension `a - a^2`, at most 1/4 of a nat."""
    report = measured(steps=300, only=("BilinearCritic", "exact"), candidates=512, batches=4)
    assert [each.name for each in report.rows] == ["exact q(h,z|o)", "BilinearCritic"]
    assert 1.0 < row(report, "BilinearCritic").mean < 1.6


def test_the_prior_critic_needs_no_training(row):
    found = row(measured(only=("PriorCritic",), candidates=512, steps=1), "PriorCritic")
    assert found.truth == pytest.approx(Kalman(phi=0.9, noise=1.0, dimensions=6).predictive)
    assert abs(found.mean - found.truth) < 5 * found.stderr + 0.1
    assert found.also["trained"] == "nothing to train"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"phi": 1.5}, "--phi = 1.5"),
        ({"noise": 0.0}, "--noise = 0"),
        ({"dimensions": 0}, "--dimensions = 0"),
        ({"candidates": 1}, "--candidates = 1"),
        ({"steps": -1}, "--steps = -1"),
        ({"only": ("BilinearCritc",)}, "did you mean 'BilinearCritic'"),
    ],
)
def test_an_impossible_setting_is_named(given, named):
    with pytest.raises(UserError, match=named):
        measured(**given)

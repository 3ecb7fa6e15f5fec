"""LaProp against its equations, adaptive clipping against a loop, and the warm-up."""

import pytest
import torch
from torch import nn

from framework.errors import UserError
from framework.optimizers.base import bias_correction, warmed_up
from framework.optimizers.la_prop import LaProp
from tests.tiny import normal


def test_it_equals_its_equations():
    parameter = nn.Parameter(normal(4).double())
    optimizer = LaProp(parameters=[parameter], learning_rate=0.1, clip=None, warmup=0)
    expected, square, mean = parameter.detach().clone(), torch.zeros(4).double(), torch.zeros(4).double()
    for step in range(1, 6):
        gradient = normal(4, seed=step).double()
        square = 0.999 * square + 0.001 * gradient**2
        mean = 0.9 * mean + 0.1 * gradient / ((square / (1 - 0.999**step)).sqrt() + 1e-20)
        expected = expected - 0.1 * mean / (1 - 0.9**step)
        optimizer.step([gradient])
        assert torch.allclose(parameter, expected, rtol=1e-9)


def test_each_tensor_is_clipped_by_its_own_norm():
    parameters = [nn.Parameter(2 * torch.ones(4)), nn.Parameter(torch.zeros(3))]
    optimizer = LaProp(parameters=parameters, learning_rate=0.1, clip=0.3, smallest_norm=1e-3, warmup=0)
    large, small = torch.full((4,), 50.0), torch.full((4,), 0.1)
    clipped = optimizer._clipped([large, torch.ones(3)])
    assert clipped[0].norm().item() == pytest.approx(0.3 * 4.0)
    assert clipped[1].norm().item() == pytest.approx(0.3 * 1e-3)
    assert torch.allclose(optimizer._clipped([small, torch.zeros(3)])[0], small)


def test_the_rate_rises_to_its_value_and_stays():
    assert [warmed_up(1.0, 4, torch.tensor(float(step))).item() for step in range(1, 7)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmed_up(0.5, 0, torch.tensor(1.0)) == 0.5
    parameter = nn.Parameter(torch.ones(3))
    optimizer = LaProp(parameters=[parameter], learning_rate=0.1, clip=None, warmup=10)
    optimizer.step([torch.ones(3)])
    assert torch.allclose(parameter, torch.full((3,), 1 - 0.01))


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
def test_the_weight_that_an_average_gathered_is_exact_in_single_precision(decay):
    for step in (1, 2, 10, 1_000, 1_000_000):
        assert bias_correction(decay, torch.tensor(float(step))).item() == pytest.approx(1 - decay**step, rel=3e-7)


@pytest.mark.parametrize("settings", [{"learning_rate": 0.0}, {"clip": -1.0}, {"warmup": -1}, {"momentum": 1.0}, {"decay": 1.0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UserError, match=f"LaProp.{next(iter(settings))} = "):
        LaProp(parameters=[nn.Parameter(torch.ones(1))], **({"learning_rate": 0.1} | settings))

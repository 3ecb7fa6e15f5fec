"""Dreamer's value and its slow copy."""

import math

import pytest
import torch

from framework.errors import UserError
from framework.values.normal_value import NormalValue
from tests.tiny import normal

FEATURES = normal(4, 10)


def make(**settings) -> NormalValue:
    return NormalValue(feature_size=10, layers=1, units=8, **settings)


def test_its_loss_is_half_the_squared_error():
    value, target = make(), normal(4, seed=1)
    expected = 0.5 * (value(FEATURES) - target).square() + 0.5 * math.log(2 * math.pi)
    assert torch.allclose(value.loss(FEATURES, target), expected, atol=1e-6)


def test_the_paper_bootstraps_from_the_value_itself_with_gradient():
    value, features = make(), FEATURES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value.bootstrap(features).sum(), features)
    assert value.slow is None
    assert (gradient.abs().sum(dim=-1) > 0).all()


def test_a_slow_copy_moves_by_its_share_of_the_way():
    value = make(slow_rate=0.25)
    start = [parameter.detach().clone() for parameter in value.slow.parameters()]
    with torch.no_grad():
        for parameter in value.net.parameters():
            parameter += 1.0
    before = value.bootstrap(FEATURES)
    value.after_update()
    assert all(torch.allclose(now, old + 0.25) for now, old in zip(value.slow.parameters(), start, strict=True))
    assert not torch.allclose(value.bootstrap(FEATURES), before)


def test_a_slow_copy_is_never_trained_and_lets_gradient_through_to_features():
    value, features = make(slow_rate=0.5), FEATURES.clone().requires_grad_()
    bootstrap = value.bootstrap(features).sum()
    of_features, *of_net = torch.autograd.grad(bootstrap, [features, *value.net.parameters()], allow_unused=True)
    assert not any(parameter.requires_grad for parameter in value.slow.parameters())
    assert of_features.abs().sum() > 0
    assert all(gradient is None for gradient in of_net)


@pytest.mark.parametrize("rate", [0.0, 1.1])
def test_a_rate_that_is_no_share_is_refused(rate):
    with pytest.raises(UserError, match=r"NormalValue.slow_rate"):
        make(slow_rate=rate)

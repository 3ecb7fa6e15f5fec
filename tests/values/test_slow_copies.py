"""Values of one network, and the slow copies that their returns bootstrap from."""

import math

import pytest
import torch

from framework.testing.samples import normal
from framework.values.normal_value import NormalValue
from framework.values.quantile_value import QuantileValue
from framework.values.two_hot_value import TwoHotValue

FEATURES = normal(4, 10)


def make(value: type = NormalValue, **settings):
    return value(feature_size=10, layers=1, units=8, **settings)


def test_the_loss_of_a_normal_value_is_half_the_squared_error():
    value, target = make(), normal(4, seed=1)
    expected = 0.5 * (value(FEATURES) - target).square() + 0.5 * math.log(2 * math.pi)
    assert torch.allclose(value.loss(FEATURES, target), expected, atol=1e-6)


@pytest.mark.parametrize("value", [NormalValue, QuantileValue])
@pytest.mark.parametrize("slow_rate", [0.5, 1.0])
def test_the_gradient_of_a_bootstrap_reaches_the_features_and_the_parameters_unless_they_are_slow(value, slow_rate):
    made, features = make(value, slow_rate=slow_rate), FEATURES.clone().requires_grad_()
    parameters = [*made.net.parameters()] if slow_rate == 1 else [*made.net.parameters(), *made.slow.parameters()]
    assert (made.slow is None) == (slow_rate == 1)
    assert make(value, slow_every=2).slow is not None
    bootstrap = made.bootstrap(features).sum()
    (to_features,) = torch.autograd.grad(bootstrap, features, retain_graph=True)
    assert (to_features.abs().sum(dim=-1) > 0).all()
    trained = [each for each in parameters if each.requires_grad]
    assert trained == [*made.net.parameters()]
    gradients = torch.autograd.grad(bootstrap, trained, allow_unused=True)
    assert all((gradient is None) == (slow_rate < 1) for gradient in gradients)


@pytest.mark.parametrize("value", [NormalValue, QuantileValue, TwoHotValue])
@pytest.mark.parametrize(
    ("rate", "every", "expected"),
    [
        (1.0, 3, [1, 1, 1, 4, 4, 4, 7]),
        (0.5, 1, [0.5, 1.25, 2.125, 3.0625]),
        (0.5, 2, [0.5, 0.5, 1.75, 1.75, 3.375]),
    ],
)
def test_a_slow_copy_moves_by_its_rate_after_the_first_update_and_then_with_its_period(value, rate, every, expected):
    """While the weights of the network grow by one in each update; checkpoints count the updates."""
    made, weights = make(value, slow_rate=rate, slow_every=every), []
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    for _ in expected:
        with torch.no_grad():
            for parameter in made.net.parameters():
                parameter.add_(1.0)
        again = make(value, slow_rate=rate, slow_every=every)
        again.load_state_dict(made.state_dict())
        made = again
        made.after_update()
        assert len({weight.item() for parameter in made.slow.parameters() for weight in parameter.flatten()}) == 1
        weights.append(next(made.slow.parameters()).flatten()[0].item())
    assert weights == expected

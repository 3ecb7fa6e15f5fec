"""Values of one network, and the slow copies that their returns bootstrap from."""

import copy
import math

import pytest
import torch
from torch import nn

from framework.errors import UserError
from framework.values.normal_value import NormalValue
from framework.values.quantile_value import QuantileValue
from framework.values.slow_copy import SlowCopy
from framework.values.two_hot_value import TwoHotValue
from tests.tiny import normal

FEATURES = normal(4, 10)
every_value = pytest.mark.parametrize("value", [NormalValue, QuantileValue, TwoHotValue])


def make(value: type = NormalValue, **settings):
    return value(feature_size=10, layers=1, units=8, **settings)


def linear(rate: float, every: int) -> tuple[nn.Linear, SlowCopy]:
    source = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(source.weight)
    return source, SlowCopy(owner="Some", source=source, rate=rate, every=every)


def walk(source: nn.Linear, slow: SlowCopy, updates: int) -> list[float]:
    """The weight of the copy, while that of the source grows by one in each update."""
    weights = []
    for _ in range(updates):
        nn.init.constant_(source.weight, source.weight[0, 0].item() + 1)
        slow.after_update(source)
        weights.append(slow.copy.weight[0, 0].item())
    return weights


def test_the_loss_of_a_normal_value_is_half_the_squared_error():
    value, target = make(), normal(4, seed=1)
    expected = 0.5 * (value(FEATURES) - target).square() + 0.5 * math.log(2 * math.pi)
    assert torch.allclose(value.loss(FEATURES, target), expected, atol=1e-6)


@pytest.mark.parametrize("value", [NormalValue, QuantileValue])
def test_a_value_without_a_slow_copy_bootstraps_from_itself_with_gradient(value):
    made, features = make(value), FEATURES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made.bootstrap(features).sum(), features)
    assert made.slow is None
    assert make(value, slow_rate=1.0, slow_every=2).slow is not None
    assert (gradient.abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize(
    ("rate", "every", "expected"),
    [
        (1.0, 3, [1, 1, 1, 4, 4, 4, 7]),
        (0.5, 1, [0.5, 1.25, 2.125, 3.0625]),
        (0.5, 2, [0.5, 0.5, 1.75, 1.75, 3.375]),
        (1.0, 1, [1, 2, 3]),
    ],
)
def test_a_slow_copy_moves_by_its_rate_after_the_first_update_and_then_with_its_period(rate, every, expected):
    assert walk(*linear(rate, every), len(expected)) == expected


def test_a_slow_copy_counts_updates_across_a_checkpoint():
    source, slow = linear(1.0, 3)
    walk(source, slow, 2)
    _, again = linear(1.0, 3)
    again.load_state_dict(copy.deepcopy(slow.state_dict()))
    assert walk(source, again, 3) == [1, 4, 4]


@pytest.mark.parametrize("value", [NormalValue, QuantileValue])
def test_the_gradient_of_a_slow_copy_reaches_the_features_and_no_parameters(value):
    made, features = make(value, slow_rate=0.5), FEATURES.clone().requires_grad_()
    to_features, *to_net = torch.autograd.grad(made.bootstrap(features).sum(), [features, *made.net.parameters()], allow_unused=True)
    assert to_features.any()
    assert to_net == [None] * len(to_net)
    assert not any(parameter.requires_grad for parameter in made.slow.parameters())


@every_value
def test_the_slow_copy_of_a_value_moves_with_its_rate_and_period(value):
    made, moved = make(value, slow_rate=0.25, slow_every=2), []
    for _ in range(3):
        before = [parameter.clone() for parameter in made.slow.parameters()]
        with torch.no_grad():
            for parameter, slow in zip(made.net.parameters(), before, strict=True):
                parameter.copy_(slow + 1.0)
        made.after_update()
        steps = torch.cat([(new - old).flatten() for new, old in zip(made.slow.parameters(), before, strict=True)])
        moved.append((steps.min().item(), steps.max().item()))
    assert moved == [pytest.approx((share, share), abs=1e-6) for share in (0.25, 0.0, 0.25)]


@every_value
@pytest.mark.parametrize("settings", [{"slow_rate": 0.0}, {"slow_rate": 1.1}, {"slow_every": 0}])
def test_a_rate_or_period_out_of_range_is_refused(value, settings):
    with pytest.raises(UserError, match=rf"{value.__name__}.slow_rate = .* and {value.__name__}.slow_every = "):
        make(value, **settings)

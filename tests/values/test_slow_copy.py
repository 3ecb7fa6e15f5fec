"""A slow copy moves when it is time, by its share, and counts across a restart."""

import copy

import pytest
import torch
from torch import nn

from framework.errors import UserError
from framework.values.normal_value import NormalValue
from framework.values.quantile_value import QuantileValue
from framework.values.slow_copy import SlowCopy, slow_copy
from framework.values.two_hot_value import TwoHotValue


def make(rate: float, every: int) -> tuple[nn.Linear, SlowCopy]:
    source = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        source.weight.zero_()
    return source, SlowCopy(owner="Some", source=source, rate=rate, every=every)


def walk(source: nn.Linear, slow: SlowCopy, updates: int) -> list[float]:
    """The source grows by one each update."""
    said = []
    for _ in range(updates):
        with torch.no_grad():
            source.weight += 1
        slow.after_update(source)
        said.append(slow.copy.weight[0, 0].item())
    return said


@pytest.mark.parametrize(
    ("rate", "every", "expected"),
    [
        (1.0, 3, [1, 1, 1, 4, 4, 4, 7]),
        (0.5, 1, [0.5, 1.25, 2.125, 3.0625]),
        (0.5, 2, [0.5, 0.5, 1.75, 1.75, 3.375]),
        (1.0, 1, [1, 2, 3]),
    ],
)
def test_it_moves_by_its_rate_after_the_first_update_and_every_so_many(rate, every, expected):
    assert walk(*make(rate, every), len(expected)) == expected


def test_it_counts_across_a_restart():
    source, slow = make(1.0, 3)
    walk(source, slow, 2)
    _, again = make(1.0, 3)
    again.load_state_dict(copy.deepcopy(slow.state_dict()))
    assert walk(source, again, 3) == [1, 4, 4]


def test_a_rate_of_one_after_every_update_is_no_copy():
    assert slow_copy(owner="Some", source=nn.Linear(2, 1), rate=1.0, every=1) is None
    assert isinstance(slow_copy(owner="Some", source=nn.Linear(2, 1), rate=1.0, every=2), SlowCopy)


def test_gradient_passes_to_its_input_and_not_to_its_parameters():
    source, slow = nn.Linear(2, 1), slow_copy(owner="Some", source=nn.Linear(2, 1), rate=0.5, every=1)
    given = torch.ones(3, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad((slow(given) + source(given).detach()).sum(), given)
    assert gradient.any()
    assert not any(parameter.requires_grad for parameter in slow.parameters())


@pytest.mark.parametrize("value", [NormalValue, QuantileValue, TwoHotValue])
@pytest.mark.parametrize("settings", [{"slow_rate": 0.0}, {"slow_rate": 1.1}, {"slow_every": 0}])
def test_every_value_refuses_what_is_no_share_or_no_period(value, settings):
    with pytest.raises(UserError, match=rf"{value.__name__}.slow_rate = .* and {value.__name__}.slow_every = "):
        value(feature_size=4, layers=1, units=4, **settings)


@pytest.mark.parametrize("value", [NormalValue, QuantileValue, TwoHotValue])
def test_every_value_copies_by_its_period(value):
    made = value(feature_size=4, layers=1, units=4, slow_rate=1.0, slow_every=2)
    moved = []
    for _ in range(4):
        with torch.no_grad():
            for parameter in made.net.parameters():
                parameter += 1.0
        made.after_update()
        pairs = zip(made.slow.parameters(), made.net.parameters(), strict=True)
        moved.append(all(torch.equal(one, other) for one, other in pairs))
    assert moved == [True, False, True, False]

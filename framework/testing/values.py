"""The contract of values."""

import pytest
import torch

from framework.lab.members import Member
from framework.testing.checks import assert_reaches, assert_shape
from framework.testing.contract import Contract
from framework.testing.samples import normal
from framework.values.base import Value

FEATURES = 10


def learn(value, features, target, updates):
    optimizer = torch.optim.Adam([each for each in value.parameters() if each.requires_grad], lr=5e-2)
    for _ in range(updates):
        optimizer.zero_grad()
        value.loss(features, target).mean().backward()
        optimizer.step()
        value.after_update()


class ValueContract(Contract):
    """The contract of values."""

    family = "values"

    @pytest.fixture
    def value(self, member: Member) -> Value:
        return member.build(feature_size=FEATURES)

    @pytest.mark.parametrize("leading", [(3,), (2, 3)])
    def test_it_takes_any_leading_axes(self, value, leading):
        features = normal(*leading, FEATURES)
        assert_shape("the value", value(features), *leading)
        assert_shape("the bootstrap", value.bootstrap(features), *leading)
        assert_shape("the loss", value.loss(features, normal(*leading, seed=1)), *leading)

    def test_each_row_is_independent_of_the_others(self, value):
        features = normal(4, FEATURES)
        assert torch.allclose(value(features)[2], value(features[2:3])[0], atol=1e-6)

    def test_its_loss_reaches_every_trained_parameter(self, value):
        """After one step, since a last layer may be zero at first."""
        features, target = normal(4, FEATURES), torch.full((4,), 5.0)
        learn(value, features, target, updates=1)
        assert_reaches(value.loss(features, target).sum(), value)

    def test_it_learns_its_target(self, value):
        features, target = normal(6, FEATURES), 3 * normal(6, seed=1)
        before = (value(features) - target).abs().mean().item()
        learn(value, features, target, updates=80)
        assert (value.loss(features, target + 2.0) > value.loss(features, target)).all()
        assert (value.loss(features, target - 2.0) > value.loss(features, target)).all()
        assert (value(features) - target).abs().mean().item() < 0.3 * before
        assert (value.bootstrap(features) - target).abs().mean().item() < 0.5 * before

    def test_it_bootstraps_from_itself_at_first(self, value):
        features = normal(4, FEATURES)
        assert torch.allclose(value.bootstrap(features), value(features))

    def test_value_and_loss_equal_its_bootstrap_and_its_loss_without_gradient_through_the_value(self, value):
        features, target = normal(4, 3, FEATURES), normal(4, 3, seed=1)
        learn(value, features, 5 * normal(4, 3, seed=2), updates=3)
        trained = [parameter for parameter in value.parameters() if parameter.requires_grad]
        bootstrap, loss_of = value.value_and_loss(features.requires_grad_())
        assert not bootstrap.requires_grad
        assert torch.equal(bootstrap, value.bootstrap(features))
        assert torch.equal(loss_of(target), value.loss(features, target))
        gradients = (torch.autograd.grad(loss.sum(), trained) for loss in (loss_of(target), value.loss(features, target)))
        assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))

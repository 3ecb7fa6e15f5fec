"""The contract of optimizers."""

import copy

import pytest
import torch
from torch import nn

from framework.lab.members import Member
from framework.testing.checks import tensors
from framework.testing.contract import Contract
from framework.testing.samples import normal


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(normal(3, 2)), nn.Parameter(normal(4, seed=1))]


def gradients(seed: int) -> list[torch.Tensor]:
    return [normal(3, 2, seed=seed), normal(4, seed=seed + 1)]


class OptimizerContract(Contract):
    """The contract of optimizers."""

    family = "optimizers"

    @pytest.fixture
    def make(self, member: Member):
        """Steps of a hundredth, unless the learning rate is bound, so that a hundred of them arrive."""
        rate = {"learning_rate": 1e-2} if "learning_rate" in {each.name for each in member.component.settings} else {}
        return lambda parameters: member.build(**{**rate, **member.settings}, parameters=parameters)

    def test_it_moves_every_parameter_downhill(self, make):
        """Within two steps: a warm-up begins at a rate of 0."""
        parameters = weights()
        before = [parameter.detach().clone() for parameter in parameters]
        downhill = gradients(5)
        optimizer = make(parameters)
        for _ in range(2):
            optimizer.step([each.clone() for each in downhill])
        for parameter, old, gradient in zip(parameters, before, downhill, strict=True):
            assert ((parameter - old) * gradient).sum() < 0
            assert (parameter != old).all()

    def test_it_returns_the_norm_of_the_gradient_before_clipping(self, make):
        for scale in (0.01, 1e4):
            scaled = [scale * each for each in gradients(5)]
            norm = torch.cat([each.flatten() for each in scaled]).norm()
            assert torch.allclose(make(weights()).step(scaled)["gradient_norm"], norm)

    def test_it_converges_to_a_minimum(self, make):
        parameters = [nn.Parameter(0.3 * parameter.detach()) for parameter in weights()]
        optimizer = make(parameters)
        for _ in range(100):
            optimizer.step([parameter.detach().clone() for parameter in parameters])
        assert all(parameter.abs().max() < 0.05 for parameter in parameters)

    def test_it_takes_a_gradient_in_any_memory_layout(self, make):
        weight, gradient = normal(4, 3, 2, 2), normal(4, 3, 2, 2, seed=1)
        one, two = nn.Parameter(weight.clone()), nn.Parameter(weight.clone())
        one_optimizer, two_optimizer = make([one]), make([two])
        for _ in range(2):
            one_optimizer.step([gradient])
            two_optimizer.step([gradient.to(memory_format=torch.channels_last)])
        assert torch.equal(one, two)
        assert not torch.equal(one, weight)

    def test_it_continues_exactly_from_a_state_that_it_loads_in_place_and_keeps_its_settings(self, make, member):
        """A captured update holds addresses; a resumed run may have another learning rate."""
        parameters, others = weights(), weights()
        optimizer, other = make(parameters), member.build(parameters=others, learning_rate=3e-3)
        for seed in range(2):
            optimizer.step(gradients(seed))
            other.step(gradients(seed + 10))
        before = [each.data_ptr() for each in tensors(optimizer.state_dict())]
        optimizer.load_state_dict(copy.deepcopy(other.state_dict()))
        assert before == [each.data_ptr() for each in tensors(optimizer.state_dict())]
        copies = [nn.Parameter(parameter.detach().clone()) for parameter in parameters]
        again = make(copies)
        again.load_state_dict(copy.deepcopy(other.state_dict()))
        for seed in range(3):
            optimizer.step(gradients(seed))
            again.step(gradients(seed))
        assert all(torch.equal(one, two) for one, two in zip(parameters, copies, strict=True))

    def test_its_state_is_where_the_parameters_are_at_the_first_step(self, make):
        """An agent moves to its device after it was built; a precision stands for the device here."""
        parameters = weights()
        optimizer = make(parameters)
        for parameter in parameters:
            parameter.data = parameter.data.double()
        optimizer.step([each.double() for each in gradients(0)])
        assert {each.dtype for each in tensors(optimizer.state_dict()) if each.dim()} == {torch.float64}

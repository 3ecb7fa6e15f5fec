"""A tanh-normal sample with its own density."""

import torch

from framework.functional.distributions import TanhNormal
from framework.functional.squashing import squashed_sample
from tests.tiny import normal


def test_it_is_the_sample_and_its_log_density():
    policy = TanhNormal(mean=normal(50, 2), std=normal(50, 2, seed=1).exp().clamp(max=1.0))
    noise = normal(50, 2, seed=2)
    action, log_density = squashed_sample(policy, noise)
    assert torch.equal(action, policy.sample(noise))
    assert torch.allclose(log_density, policy.log_density(action), atol=1e-2, rtol=1e-3)


def test_its_density_and_gradient_are_exact_where_the_tanh_saturates():
    """At `u = 20` the density of `a` is that of `u` times `e^(2u) / 4`: its logarithm has slope 2 in the mean."""
    mean = torch.full((1, 1), 20.0, requires_grad=True)
    policy = TanhNormal(mean=mean, std=torch.full((1, 1), 0.1))
    _, log_density = squashed_sample(policy, torch.zeros(1, 1))
    expected = -torch.tensor(0.1).log() - 0.5 * torch.log(2 * torch.tensor(torch.pi)) + 40 - torch.tensor(4.0).log()
    assert torch.allclose(log_density, expected, atol=1e-4)
    (gradient,) = torch.autograd.grad(log_density.sum(), mean)
    assert torch.allclose(gradient, torch.tensor(2.0), atol=1e-5)

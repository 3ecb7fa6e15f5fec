"""Densities beside their reference: those of torch, precision, and the edges of a squashed normal."""

import torch
from torch import distributions as td

from framework.functional.distributions import Bernoulli, TanhNormal, UnitNormal, normal_log_density, squashed_sample
from framework.testing.samples import normal


def test_the_bernoulli_is_torchs():
    logit, value = 5 * normal(6), torch.tensor([0.0, 1.0, 1.0, 0.0, 0.5, 1.0])
    assert torch.allclose(Bernoulli(logit).mean, torch.sigmoid(logit))
    assert torch.allclose(Bernoulli(logit).log_density(value), td.Bernoulli(logits=logit, validate_args=False).log_prob(value), atol=1e-6)
    assert Bernoulli(torch.tensor([200.0])).log_density(torch.tensor([0.0])).item() == -200


def test_the_tanh_normal_is_a_transformed_normal():
    policy = TanhNormal(mean=normal(5, 2), std=normal(5, 2, seed=1).exp())
    action = policy.sample(normal(7, 5, 2, seed=2)).clamp(-0.999, 0.999)
    exact = td.TransformedDistribution(td.Normal(policy.mean, policy.std), [td.TanhTransform()])
    assert torch.allclose(policy.log_density(action), exact.log_prob(action).sum(dim=-1), atol=1e-3)


def test_the_tanh_normal_is_finite_at_the_edge():
    policy = TanhNormal(mean=torch.zeros(1, requires_grad=True), std=torch.ones(1))
    density = policy.log_density(torch.tensor([[1.0], [-1.0]]))
    (gradient,) = torch.autograd.grad(density.sum(), policy.mean)
    assert density.isfinite().all()
    assert gradient.isfinite().all()


def test_densities_are_float32_from_any_precision():
    half = normal(2, 3).bfloat16()
    assert normal_log_density(half, half, half.exp()).dtype == torch.float32
    assert UnitNormal(half, 1).log_density(half).dtype == torch.float32
    assert Bernoulli(half).log_density((half > 0).bfloat16()).dtype == torch.float32


def test_a_squashed_sample_has_its_log_density():
    policy = TanhNormal(mean=normal(50, 2), std=normal(50, 2, seed=1).exp().clamp(max=1.0))
    noise = normal(50, 2, seed=2)
    action, log_density = squashed_sample(policy, noise)
    assert torch.equal(action, policy.sample(noise))
    assert torch.allclose(log_density, policy.log_density(action), atol=1e-2, rtol=1e-3)


def test_the_density_and_gradient_of_a_squashed_sample_are_exact_where_the_tanh_saturates():
    """At `u = 20` the density of `a` is that of `u` times `e^(2u) / 4`: its logarithm has slope 2 in the mean."""
    mean = torch.full((1, 1), 20.0, requires_grad=True)
    policy = TanhNormal(mean=mean, std=torch.full((1, 1), 0.1))
    _, log_density = squashed_sample(policy, torch.zeros(1, 1))
    expected = -torch.tensor(0.1).log() - 0.5 * torch.log(2 * torch.tensor(torch.pi)) + 40 - torch.tensor(4.0).log()
    assert torch.allclose(log_density, expected, atol=1e-4)
    (gradient,) = torch.autograd.grad(log_density.sum(), mean)
    assert torch.allclose(gradient, torch.tensor(2.0), atol=1e-5)

"""The Gaussian density by matrix products, against the naive tensor; `tests/reference` has the scores of its latents."""

import pytest
import torch
from torch import distributions as td

from framework.critics.gaussian_critic import GaussianCritic
from framework.functional.distributions import gaussian_scores
from framework.testing.samples import LATENT, normal


def naive(value, mean, std):
    return td.Normal(mean[None].double(), std[None].double()).log_prob(value[:, None].double()).sum(dim=-1)


@pytest.mark.parametrize("size", [1, 7, 30])
def test_the_scores_equal_the_naive_density_of_every_pair(size):
    value, mean, std = normal(5, size), normal(8, size, seed=1), normal(8, size, seed=2).exp() + 0.1
    assert torch.allclose(gaussian_scores(value, mean, std).double(), naive(value, mean, std), rtol=1e-4, atol=1e-3)


def test_the_gradient_of_the_scores_equals_the_naive_one():
    leaves = [normal(5, 4).requires_grad_(), normal(6, 4, seed=1).requires_grad_(), normal(6, 4, seed=2).requires_grad_()]
    weight = normal(5, 6, seed=3)
    expanded = torch.autograd.grad((gaussian_scores(leaves[0], leaves[1], leaves[2].exp()) * weight).sum(), leaves)
    direct = torch.autograd.grad((naive(leaves[0], leaves[1], leaves[2].exp()) * weight).sum(), leaves)
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-3) for one, other in zip(expanded, direct, strict=True))


@pytest.mark.parametrize(("size", "offset", "error"), [(230, 0.0, 0.05), (230, 10.0, 0.05), (30, 10.0, 0.01)])
def test_scores_at_the_floor_of_sigma_do_not_lose_nats_to_cancellation(size, offset, error):
    """Also where the latents lie away from zero."""
    mean, std = offset + normal(256, size), torch.full((256, size), 0.1)
    value = mean + 0.1 * normal(256, size, seed=1)
    exact = td.Normal(mean.double(), std.double()).log_prob(value.double()).sum(dim=-1)
    assert (gaussian_scores(value, mean, std).diagonal() - exact).abs().max() < error


def test_sigma_begins_where_it_is_bound():
    """The perceptron of an embedding of zeros gives its biases; the released head has `softplus(. + 0.54) + 0.01`."""
    for settings, first in (({}, 0.6931 + 0.1), ({"minimum_std": 0.01, "initial_std": 1.01}, 1.01)):
        critic = GaussianCritic(latent=LATENT, embedding_size=5, density="feature", **settings)
        assert critic.diagnose(torch.zeros(3, 5))["contrastive/sigma_smallest"].item() == pytest.approx(first, abs=1e-4)


def test_sigma_has_a_floor_and_the_smallest_is_a_metric():
    critic = GaussianCritic(latent=LATENT, embedding_size=5, layers=1, units=8, minimum_std=0.25)
    with torch.no_grad():
        critic.head.net[-1].bias[4:] = -100.0
        critic.head.net[-1].weight.zero_()
    assert critic.diagnose(normal(6, 5))["contrastive/sigma_smallest"].item() == pytest.approx(0.25)

"""The Gaussian density by matrix products, against the naive tensor."""

import pytest
import torch
from torch import distributions as td

from framework.critics.gaussian_critic import GaussianCritic, gaussian_scores
from framework.errors import UserError
from tests.tiny import LATENT, latent, normal


def naive(value, mean, std):
    return td.Normal(mean[None].double(), std[None].double()).log_prob(value[:, None].double()).sum(dim=-1)


def error(size: int, sigma: float) -> float:
    """The largest error in nats between pairs that match, where scores decide."""
    mean, std = normal(64, size), torch.full((64, size), sigma)
    value = mean + sigma * normal(64, size, seed=1)
    return (gaussian_scores(value, mean, std) - naive(value, mean, std)).diagonal().abs().max().item()


@pytest.mark.parametrize("size", [1, 7, 30])
def test_it_equals_the_naive_density_of_every_pair(size):
    value, mean, std = normal(5, size), normal(8, size, seed=1), normal(8, size, seed=2).exp() + 0.1
    assert torch.allclose(gaussian_scores(value, mean, std).double(), naive(value, mean, std), rtol=1e-4, atol=1e-3)


def test_its_gradient_equals_the_naive_one():
    leaves = [normal(5, 4).requires_grad_(), normal(6, 4, seed=1).requires_grad_(), normal(6, 4, seed=2).requires_grad_()]
    weight = normal(5, 6, seed=3)
    expanded = torch.autograd.grad((gaussian_scores(leaves[0], leaves[1], leaves[2].exp()) * weight).sum(), leaves)
    direct = torch.autograd.grad((naive(leaves[0], leaves[1], leaves[2].exp()) * weight).sum(), leaves)
    assert all(torch.allclose(one, other, rtol=1e-3, atol=1e-3) for one, other in zip(expanded, direct, strict=True))


def test_cancellation_costs_nats_at_a_small_sigma_and_not_at_the_floor():
    assert error(size=230, sigma=0.01) > 0.3
    assert error(size=230, sigma=0.1) < 0.05
    assert error(size=30, sigma=0.1) < 0.01


@pytest.mark.parametrize(("density", "size"), [("stochastic", 4), ("feature", 10)])
def test_it_is_the_density_of_the_part_that_it_names(density, size):
    critic = GaussianCritic(latent=LATENT, embedding_size=5, density=density, layers=1, units=8)
    latents, embeddings = latent(4), normal(6, 5, seed=2)
    mean, raw = critic.head(embeddings).chunk(2, dim=-1)
    value = {"stochastic": latents.stochastic, "feature": latents.features}[density]
    assert mean.shape[-1] == size
    std = torch.nn.functional.softplus(raw) + 0.1
    assert torch.allclose(critic(latents, embeddings).double(), naive(value, mean, std), atol=1e-3)


def test_a_shift_of_everything_costs_no_precision():
    """Latents far from zero are centred before they are squared."""
    critic = GaussianCritic(latent=LATENT, embedding_size=5, layers=1, units=8)
    latents, embeddings = latent(4), normal(6, 5, seed=2)
    before = critic(latents, embeddings)
    with torch.no_grad():
        critic.head.net[-1].bias[:4] += 1000.0
    latents.stochastic.add_(1000.0)
    assert torch.allclose(critic(latents, embeddings), before, atol=0.02)


def test_the_floor_holds_and_the_smallest_sigma_is_shown():
    critic = GaussianCritic(latent=LATENT, embedding_size=5, layers=1, units=8, minimum_std=0.25)
    with torch.no_grad():
        critic.head.net[-1].bias[4:] = -100.0
        critic.head.net[-1].weight.zero_()
    assert critic.diagnose(normal(6, 5))["contrastive/sigma_smallest"].item() == pytest.approx(0.25)


def test_a_floor_of_zero_is_refused():
    with pytest.raises(UserError, match=r"GaussianCritic.minimum_std"):
        GaussianCritic(latent=LATENT, embedding_size=5, minimum_std=0.0)

"""Groups of categorical variables: probabilities, samples, straight-through gradients, and the KL."""

import math

import pytest
import torch
from torch import distributions as td

from framework.functional.categorical import categorical_kl, gumbel, mixed_log_probabilities, straight_through
from tests.tiny import normal, seeded


@pytest.mark.parametrize("unimix", [0.0, 0.01, 1.0])
def test_every_group_sums_to_one_and_is_mixed_with_the_uniform_distribution(unimix):
    log_probabilities = mixed_log_probabilities(5 * normal(7, 12), classes=4, unimix=unimix).exp().reshape(7, 3, 4)
    assert torch.allclose(log_probabilities.sum(dim=-1), torch.ones(7, 3), atol=1e-6)
    assert log_probabilities.min() >= unimix / 4 - 1e-7
    plain = (5 * normal(7, 12)).reshape(7, 3, 4).softmax(dim=-1)
    assert torch.allclose(log_probabilities, (1 - unimix) * plain + unimix / 4, atol=1e-6)


def test_samples_are_one_hot_and_follow_the_probabilities():
    logits = torch.tensor([0.0, 1.0, 2.0, 1.0, 0.0, -1.0])
    log_probabilities = mixed_log_probabilities(logits, classes=3, unimix=0.0).expand(40_000, 6)
    sample = straight_through(log_probabilities, gumbel(40_000, 6, generator=seeded()), classes=3)
    grouped = sample.reshape(-1, 2, 3)
    assert torch.allclose(grouped.sum(dim=-1), torch.ones(40_000, 2), atol=1e-5)
    assert ((grouped - grouped.round()).abs() < 1e-5).all()
    assert torch.allclose(sample.mean(dim=0), log_probabilities[0].exp(), atol=0.01)


def test_the_gradient_is_that_of_the_probabilities():
    logits, weight = normal(3, 8).requires_grad_(), normal(3, 8, seed=1)
    log_probabilities = mixed_log_probabilities(logits, classes=4, unimix=0.01)
    sample = straight_through(log_probabilities, gumbel(3, 8, generator=seeded()), classes=4)
    gradient, expected = (
        torch.autograd.grad((each * weight).sum(), logits, retain_graph=True)[0] for each in (sample, log_probabilities.exp())
    )
    assert torch.allclose(gradient, expected, atol=1e-6)
    assert expected.any()


def test_the_kl_is_torchs():
    one, other = (mixed_log_probabilities(3 * normal(5, 8, seed=seed), classes=4, unimix=0.01) for seed in (1, 2))
    expected = td.kl_divergence(td.Categorical(logits=one.reshape(5, 2, 4)), td.Categorical(logits=other.reshape(5, 2, 4))).sum(dim=-1)
    assert torch.allclose(categorical_kl(one, other), expected, atol=1e-5)
    assert torch.equal(categorical_kl(one, one), torch.zeros(5))


def test_gumbel_noise_has_its_mean_and_variance():
    noise = gumbel(200_000, generator=seeded())
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.02)

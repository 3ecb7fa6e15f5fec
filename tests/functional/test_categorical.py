"""Groups of categorical variables: laws, a naive reference, straight-through gradients."""

import math

import pytest
import torch
from torch import distributions as td

from framework.functional.categorical import categorical_kl, gumbel, mixed_log_probabilities, straight_through
from tests.tiny import normal, seeded


@pytest.mark.parametrize("unimix", [0.0, 0.01, 1.0])
def test_every_group_sums_to_one_and_has_its_uniform_share(unimix):
    found = mixed_log_probabilities(5 * normal(7, 12), classes=4, unimix=unimix).exp().reshape(7, 3, 4)
    assert torch.allclose(found.sum(dim=-1), torch.ones(7, 3), atol=1e-6)
    assert found.min() >= unimix / 4 - 1e-7
    plain = (5 * normal(7, 12)).reshape(7, 3, 4).softmax(dim=-1)
    assert torch.allclose(found, (1 - unimix) * plain + unimix / 4, atol=1e-6)


def test_samples_are_one_hot_and_follow_the_probabilities():
    logits = torch.tensor([0.0, 1.0, 2.0, 1.0, 0.0, -1.0])
    found = mixed_log_probabilities(logits, classes=3, unimix=0.0).expand(40_000, 6)
    sample = straight_through(found, gumbel(40_000, 6, generator=seeded()), classes=3)
    grouped = sample.reshape(-1, 2, 3)
    assert torch.allclose(grouped.sum(dim=-1), torch.ones(40_000, 2), atol=1e-5)
    assert ((grouped - grouped.round()).abs() < 1e-5).all()
    assert torch.allclose(sample.mean(dim=0), found[0].exp(), atol=0.01)


def test_without_noise_the_mode_is_taken():
    found = mixed_log_probabilities(normal(5, 8), classes=4, unimix=0.01)
    mode = straight_through(found, torch.zeros(5, 8), classes=4).reshape(5, 2, 4).argmax(dim=-1)
    assert torch.equal(mode, found.reshape(5, 2, 4).argmax(dim=-1))


def test_the_gradient_is_that_of_the_probabilities():
    logits, weight = normal(3, 8).requires_grad_(), normal(3, 8, seed=1)
    found = mixed_log_probabilities(logits, classes=4, unimix=0.01)
    (through,) = torch.autograd.grad((straight_through(found, gumbel(3, 8, generator=seeded()), classes=4) * weight).sum(), logits)
    again = mixed_log_probabilities(logits, classes=4, unimix=0.01)
    (direct,) = torch.autograd.grad((again.exp() * weight).sum(), logits)
    assert torch.allclose(through, direct, atol=1e-6)
    assert direct.abs().sum() > 0


def test_the_divergence_is_that_of_a_library():
    one, other = (mixed_log_probabilities(3 * normal(5, 8, seed=seed), classes=4, unimix=0.01) for seed in (1, 2))
    expected = td.kl_divergence(td.Categorical(logits=one.reshape(5, 2, 4)), td.Categorical(logits=other.reshape(5, 2, 4))).sum(dim=-1)
    assert torch.allclose(categorical_kl(one, other), expected, atol=1e-5)
    assert torch.equal(categorical_kl(one, one), torch.zeros(5))


def test_unimix_bounds_the_divergence():
    """Without it a prior may exclude what happened; with 1 % over 4 classes no group costs more than log 400."""
    sure = torch.tensor([100.0, 0.0, 0.0, 0.0])
    one, other = (mixed_log_probabilities(each, classes=4, unimix=0.01) for each in (sure, sure.roll(1)))
    assert categorical_kl(one, other).item() == pytest.approx(math.log(400), rel=0.02)


def test_gumbel_noise_has_its_mean_and_variance():
    noise = gumbel(200_000, generator=seeded())
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.02)

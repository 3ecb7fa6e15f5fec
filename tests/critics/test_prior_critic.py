"""The prior as a score beside its reference: the floor of sigma, and categorical latents."""

import torch

from framework.critics.prior_critic import PriorCritic
from framework.testing.samples import LATENT, latent, latent_spec, normal


def test_its_sigma_has_a_floor():
    critic = PriorCritic(latent=LATENT, embedding_size=5, minimum_std=0.5)
    prior, samples = latent(4), normal(6, LATENT.stochastic, seed=3)
    prior.statistics["std"] = torch.full_like(prior.stochastic, 0.5)
    expected = critic(prior, samples)
    prior.statistics["std"] = torch.full_like(prior.stochastic, 1e-8)
    assert torch.equal(critic(prior, samples), expected)


def test_a_categorical_prior_scores_by_its_logits():
    spec = latent_spec("categorical")
    critic, prior, samples = PriorCritic(latent=spec, embedding_size=5), latent(4, spec=spec), latent(6, spec=spec, seed=3).stochastic
    logs = prior.statistics["logits"].reshape(4, 2, 2).log_softmax(dim=-1).reshape(4, 4)
    assert torch.allclose(critic(prior, samples), logs @ samples.T, atol=1e-6)

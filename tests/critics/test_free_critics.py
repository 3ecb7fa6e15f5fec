"""The critics without a density: how one begins, and what the other multiplies."""

import torch

from framework.critics.bilinear_critic import BilinearCritic
from framework.critics.separable_critic import SeparableCritic
from framework.testing.samples import LATENT, latent, normal


def test_the_bilinear_weights_start_around_zero():
    """Positive ones, as in CURL, tie every score to the sum of the latent."""
    (weight,) = BilinearCritic(latent=LATENT, embedding_size=50).parameters()
    limit = (6 / (LATENT.feature_size + 50)) ** 0.5
    assert weight.abs().max() <= limit
    assert weight.mean().abs() < limit / 10


def test_the_separable_score_is_a_dot_product_of_two_networks():
    critic = SeparableCritic(latent=LATENT, embedding_size=5, layers=1, units=8, size=3)
    latents, embeddings = latent(4), normal(6, 5, seed=2)
    a, b = critic.from_latent(latents.features), critic.from_embedding(embeddings)
    assert a.shape == (4, 3)
    assert torch.allclose(critic(latents, embeddings), torch.einsum("nd,md->nm", a, b), atol=1e-5)

"""What every critic promises."""

import pytest
import torch

from framework.data import LatentSpec
from tests.members import build
from tests.tiny import latent, latent_spec, normal, requiring_gradient

EMBEDDING = 5


@pytest.fixture
def built(critic_name):
    """The critic for each kind of latent that it takes, with latents and embeddings to score."""
    found = []
    for kind in build("critics", critic_name, latent=latent_spec("gaussian"), embedding_size=EMBEDDING).takes_latent:
        critic = build("critics", critic_name, latent=latent_spec(kind), embedding_size=EMBEDDING)
        found.append((critic, latent(4, spec=latent_spec(kind)), normal(6, EMBEDDING, seed=2)))
    assert found
    return found


def test_it_scores_every_latent_against_every_embedding(built):
    for critic, latents, embeddings in built:
        scores = critic(latents, embeddings)
        assert scores.shape == (4, 6)
        assert scores.isfinite().all()
        assert scores.std() > 0


def test_a_score_depends_on_its_own_pair_alone(built):
    for critic, latents, embeddings in built:
        scores = critic(latents, embeddings)
        for i in range(4):
            for j in range(6):
                alone = critic(latents.map(lambda tensor, row=i: tensor[row : row + 1]), embeddings[j : j + 1])
                assert torch.allclose(alone, scores[i, j], atol=1e-4)


def test_it_differs_between_latents_and_between_embeddings(built):
    for critic, latents, embeddings in built:
        scores = critic(latents, embeddings)
        assert (scores.std(dim=0) > 1e-4).all()
        assert (scores.std(dim=1) > 1e-4).all()


def test_it_is_float32_under_bfloat16(built):
    for critic, latents, embeddings in built:
        exact = critic(latents, embeddings)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            under = critic(latents, embeddings)
            cast = critic(latents.map(torch.Tensor.bfloat16), embeddings.bfloat16())
        assert under.dtype == cast.dtype == torch.float32
        assert torch.equal(under, exact)


def test_it_is_normalised_over_what_it_says(critic_name, built):
    """Integrates `exp f` along one axis: a density gives one, whatever stands on the other side."""
    critic, _, _ = built[0]
    grid = torch.linspace(-60, 60, 24_001)[:, None]
    if critic.normalised_over == "latent":
        narrow = LatentSpec(deterministic=6, stochastic=1, kind="gaussian")
        density = build("critics", critic_name, latent=narrow, embedding_size=EMBEDDING)
        points = latent(len(grid), spec=narrow)
        points.stochastic.copy_(grid)
        total = density(points, normal(3, EMBEDDING)).exp().sum(dim=0)
    elif critic.normalised_over == "observation":
        density = build("critics", critic_name, latent=latent_spec("gaussian"), embedding_size=1)
        total = density(latent(3), grid).exp().sum(dim=1)
    else:
        assert critic.normalised_over is None
        return
    assert torch.allclose(total * (grid[1] - grid[0]), torch.ones(3), atol=1e-2)


def test_it_is_bounded_if_it_says_so(built):
    """Training may make its parameters a hundred times larger."""
    for critic, latents, embeddings in built:
        before = critic(latents, embeddings).abs().max()
        with torch.no_grad():
            torch._foreach_mul_(list(critic.parameters()), 100.0)
        grown = critic(latents, embeddings).abs().max()
        assert bool(grown > 10 * before) != critic.bounded


def test_everything_gets_gradient(built):
    for critic, latents, embeddings in built:
        given, leaf = requiring_gradient(latents), embeddings.clone().requires_grad_()
        weight = normal(4, 6, seed=7)
        total = (critic(given, leaf) * weight).sum()
        gradients = torch.autograd.grad(total, [given.stochastic, leaf, *critic.parameters()])
        assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_what_it_says_of_itself_is_a_number(built):
    for critic, _, embeddings in built:
        for name, value in critic.diagnose(embeddings).items():
            assert name.startswith("contrastive/")
            assert value.dim() == 0
            assert not value.requires_grad

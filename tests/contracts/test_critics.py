"""What every critic promises."""

import pytest
import torch

from framework.critics.base import examine
from framework.errors import UserError
from framework.registry import registry_of
from framework.specs import LatentSpec
from tests.members import build
from tests.tiny import candidates, latent, latent_spec, normal, requiring_gradient

EMBEDDING = 5


@pytest.fixture
def built(critic_name):
    """The critic for each kind of latent that it takes, with latents and embeddings to score."""
    parts = []
    for kind in registry_of("critics").get(critic_name).takes_latent:
        critic = build("critics", critic_name, latent=latent_spec(kind), embedding_size=EMBEDDING)
        parts.append((critic, latent(4, spec=latent_spec(kind)), candidates(critic, 6, latent_spec(kind), EMBEDDING)))
    assert parts
    return parts


def test_it_scores_every_latent_against_every_embedding(built):
    for critic, latents, embeddings in built:
        scores = critic(latents, embeddings)
        assert scores.shape == (4, 6)
        assert scores.isfinite().all()
        assert (scores.std(dim=0) > 1e-4).all()
        assert (scores.std(dim=1) > 1e-4).all()


def test_a_score_depends_on_its_own_pair_alone(built):
    for critic, latents, embeddings in built:
        scores = critic(latents, embeddings)
        for i in range(4):
            for j in range(6):
                alone = critic(latents.map(lambda tensor, row=i: tensor[row : row + 1]), embeddings[j : j + 1])
                assert torch.allclose(alone, scores[i, j], atol=1e-4)


def test_it_is_float32_under_bfloat16(built):
    for critic, latents, embeddings in built:
        exact = critic(latents, embeddings)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            under = critic(latents, embeddings)
            cast = critic(latents.map(torch.Tensor.bfloat16), embeddings.bfloat16())
        assert under.dtype == cast.dtype == torch.float32
        assert torch.equal(under, exact)


def over_all_values(critic_name):
    """The critic for each kind of latent of one number or one group, with all values that this can take, and the size of a cell."""
    for kind in registry_of("critics").get(critic_name).takes_latent:
        values = {"gaussian": torch.linspace(-60, 60, 24_001)[:, None], "categorical": torch.eye(3)}[kind]
        spec = LatentSpec(deterministic=6, stochastic=values.shape[1], kind=kind, classes={"gaussian": None, "categorical": 3}[kind])
        cell = {"gaussian": 120 / 24_000, "categorical": 1.0}[kind]
        yield build("critics", critic_name, latent=spec, embedding_size=EMBEDDING), spec, values, cell


def test_a_density_integrates_to_one_over_what_it_declares(critic_name):
    """Integrates `exp f` along one axis: a density gives one, whatever stands on the other side."""
    for critic, spec, values, cell in over_all_values(critic_name):
        if critic.normalized_over == "latent":
            points = latent(len(values), spec=spec)
            points.stochastic.copy_(values)
            total = critic(points, normal(3, EMBEDDING)).exp().sum(dim=0)
        elif critic.normalized_over == "observation":
            assert critic.candidate == "stochastic", "state here how all observations are run through"
            total = critic(latent(3, spec=spec), values).exp().sum(dim=1)
        else:
            assert critic.normalized_over is None
            continue
        assert torch.allclose(total * cell, torch.ones(3), atol=1e-2)


def test_its_scores_are_bounded_only_where_it_declares_so(built):
    """Training may make its parameters, and what the encoder gives, a hundred times larger."""
    for critic, latents, embeddings in built:
        before = critic(latents, embeddings).abs().max()
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.mul_(100.0)
        grown = critic(latents, 100.0 * embeddings).abs().max()
        assert bool(grown > 10 * before) != critic.bounded


def test_both_sides_and_every_parameter_have_gradients(built):
    for critic, latents, embeddings in built:
        latents, embeddings = requiring_gradient(latents), embeddings.clone().requires_grad_()
        total = (critic(latents, embeddings) * normal(4, 6, seed=7)).sum()
        parts = [latents.stochastic, *latents.statistics.values()]
        gradients = torch.autograd.grad(total, [*parts, embeddings, *critic.parameters()], allow_unused=True)
        of_latents, others = gradients[: len(parts)], gradients[len(parts) :]
        assert any(gradient is not None and (gradient.abs().sum(dim=-1) > 0).all() for gradient in of_latents)
        assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in others)


def test_its_scores_are_finite_and_those_of_pairs_are_the_diagonal(built):
    for critic, latents, embeddings in built:
        assert critic.cost
        assert torch.allclose(critic.score_pairs(latents, embeddings[:4]), critic(latents, embeddings).diagonal(), atol=1e-5)
        assert torch.equal(examine(critic, latents, embeddings), critic(latents, embeddings))


def test_its_metrics_are_numbers(built):
    for critic, _, embeddings in built:
        for name, value in critic.diagnose(embeddings).items():
            assert name.startswith("contrastive/")
            assert value.dim() == 0
            assert not value.requires_grad


def test_another_kind_of_latent_is_refused(critic_name):
    for kind in {"gaussian", "categorical"} - set(registry_of("critics").get(critic_name).takes_latent):
        with pytest.raises(UserError, match=rf"{critic_name} takes a latent that is .*gives a {kind} one"):
            build("critics", critic_name, latent=latent_spec(kind), embedding_size=EMBEDDING)

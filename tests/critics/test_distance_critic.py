"""Distances by products, against the naive ones; and the root at 0."""

import pytest
import torch

from framework.critics.distance_critic import DistanceCritic, plain_distances, squared_distances
from framework.testing.samples import LATENT, latent, normal


@pytest.mark.parametrize(("distance", "power"), [("squared", 2), ("plain", 1)])
def test_it_is_minus_the_distance_of_two_maps_in_value_and_gradient(distance, power):
    critic = DistanceCritic(latent=LATENT, embedding_size=5, size=7, distance=distance, temperature_kind="learned", temperature=0.5)
    latents, embeddings = latent(4), normal(6, 5, seed=2).requires_grad_()
    a, b = critic.from_latent(latents.features), critic.from_embedding(embeddings)
    naive = -2.0 * (a[:, None] - b[None]).norm(dim=-1).pow(power)
    scores, weight = critic(latents, embeddings), normal(4, 6, seed=3)
    assert torch.allclose(scores, naive, atol=1e-4)
    one, other = (torch.autograd.grad((each * weight).sum(), embeddings)[0] for each in (scores, naive))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size", [1, 7, 200])
@pytest.mark.parametrize("distances", [squared_distances, plain_distances])
def test_the_gradient_at_distance_0_is_0(size, distances):
    """Where every pair is the same point, and where only those on the diagonal are."""
    for points in (torch.full((5, size), 3.0), torch.zeros(5, size), 10 * normal(5, size)):
        a, b = points.clone().requires_grad_(), points.clone().requires_grad_()
        own = distances(a, b).diagonal()
        assert own.abs().max() <= 1e-5 * points.square().sum(dim=-1).max()
        for gradient in torch.autograd.grad(own.sum(), [a, b]):
            assert gradient.abs().max() <= 1e-4 * points.abs().max()
    for gradient in torch.autograd.grad(plain_distances(a, b).sum(), [a, b]):
        assert gradient.isfinite().all()


def test_a_distance_beyond_rounding_keeps_its_gradient():
    a = normal(4, 7).requires_grad_()
    b = a.detach() + 0.01 * normal(4, 7, seed=1)
    distances = plain_distances(a, b).diagonal()
    assert torch.allclose(distances, (a - b).norm(dim=-1), rtol=0.01)
    (gradient,) = torch.autograd.grad(distances.sum(), a)
    assert torch.allclose(gradient.norm(dim=-1), torch.ones(4), rtol=0.01)

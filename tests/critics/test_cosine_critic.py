"""The cosine, its temperature, and the limit of a learned one."""

import math

import pytest
import torch

from framework.critics.cosine_critic import CosineCritic
from framework.critics.distance_critic import DistanceCritic
from framework.functional.contrastive import infonce_loss
from framework.testing.samples import LATENT, latent, normal


def make(critic=CosineCritic, **settings):
    return critic(latent=LATENT, embedding_size=5, size=7, **settings)


@pytest.mark.parametrize("temperature", ["fixed", "learned"])
def test_it_is_the_cosine_of_two_maps_over_the_temperature(temperature):
    critic = make(temperature_kind=temperature, temperature=0.2)
    assert len(list(critic.parameters())) == {"fixed": 2, "learned": 3}[temperature]
    latents, embeddings = latent(4), normal(6, 5, seed=2)
    a, b = critic.from_latent(latents.features), critic.from_embedding(embeddings)
    naive = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=-1) / 0.2
    assert torch.allclose(critic(latents, embeddings), naive, atol=1e-5)
    assert torch.allclose(critic.score_pairs(latents, embeddings[:4]), naive.diagonal(), atol=1e-5)


def test_no_score_leaves_the_range_of_its_temperature():
    for temperature in (1.0, 0.07, 0.001):
        critic = make(temperature_kind="fixed", temperature=temperature)
        scores = critic(latent(50), 1e3 * normal(60, 5, seed=2))
        assert scores.abs().max() <= (1 + 1e-5) / temperature
        least = math.log(1 + 59 * math.exp(-2 / temperature))
        assert infonce_loss(critic(latent(60), normal(60, 5)), torch.zeros(60, 60)).min() >= least - 1e-5


@pytest.mark.parametrize("critic", [CosineCritic, DistanceCritic])
def test_a_learned_scale_stays_at_most_a_hundred_and_comes_down_again(critic):
    made = make(critic, temperature_kind="learned", temperature=0.5)
    limit, log_scale = math.log(100), made.temperature.log_scale
    with torch.no_grad():
        log_scale.fill_(limit + 3)
    assert made.temperature.scale.item() == pytest.approx(100, rel=1e-5)
    (upward,) = torch.autograd.grad(-made.temperature.scale, log_scale)
    (downward,) = torch.autograd.grad(made.temperature.scale, log_scale)
    assert upward == 0
    assert downward.item() == pytest.approx(100, rel=1e-5)
    with torch.no_grad():
        log_scale.fill_(limit - 1)
    (inside,) = torch.autograd.grad(-made.temperature.scale, log_scale)
    assert inside.item() == pytest.approx(-100 / math.e, rel=1e-5)

"""The categorical density by one product, against the sum over the groups."""

import math

import pytest
import torch

from framework.critics.categorical_critic import CategoricalCritic
from framework.specs import LatentSpec
from framework.testing.samples import latent, normal

GROUPS, CLASSES = 3, 4
SPEC = LatentSpec(deterministic=6, stochastic=GROUPS * CLASSES, kind="categorical", classes=CLASSES)


def make(**settings) -> CategoricalCritic:
    return CategoricalCritic(**({"latent": SPEC, "embedding_size": 5, "layers": 1, "units": 8} | settings))


def test_it_is_the_sum_of_the_log_probabilities_of_the_active_classes():
    critic = make(unimix=0.2)
    latents, embeddings = latent(5, spec=SPEC), normal(6, 5, seed=2)
    mixed = 0.8 * critic.head(embeddings).reshape(6, GROUPS, CLASSES).softmax(dim=-1) + 0.2 / CLASSES
    on = latents.stochastic.reshape(5, GROUPS, CLASSES).argmax(dim=-1)
    scores = critic(latents, embeddings)
    for i in range(5):
        for j in range(6):
            naive = sum(mixed[j, group, on[i, group]].log() for group in range(GROUPS))
            assert scores[i, j].item() == pytest.approx(naive.item(), abs=1e-5)


def test_scores_of_a_head_with_extreme_logits_are_bounded():
    critic = make(unimix=0.01)
    with torch.no_grad():
        critic.head.net[-1].weight.mul_(1e6)
    latents, embeddings = latent(20, spec=SPEC), normal(30, 5, seed=2).requires_grad_()
    scores = critic(latents, embeddings)
    assert scores.min().item() == pytest.approx(GROUPS * math.log(0.01 / CLASSES), abs=1e-3)
    (gradient,) = torch.autograd.grad(scores.sum(), embeddings)
    assert gradient.isfinite().all()

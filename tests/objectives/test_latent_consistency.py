"""Latent consistency: rolled forward by hand, one start and one step at a time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.objectives.latent_consistency import LatentConsistency
from framework.testing.samples import DYNAMICS, ROWS, TIMES, example, key_of, latent_spec, objective_sizes, requiring_gradient
from tests.objectives.contrasts import pairs


def make(kind="gaussian", **settings) -> LatentConsistency:
    torch.manual_seed(0)
    return LatentConsistency(**objective_sizes(latent_spec(kind)), **settings)


def naive(objective, sample, target, distance):
    """The loss of every step, each start rolled alone."""
    losses = torch.zeros(ROWS, TIMES)
    for b in range(ROWS):
        for t in range(TIMES):
            latent_ = sample.posterior.map(lambda part, at=(b, t): part[at][None])
            for k in range(1, objective.horizon + 1):
                if t + k >= TIMES or sample.batch.is_first[b, t + 1 : t + k + 1].any():
                    break
                latent_ = DYNAMICS.imagine_step(latent_, sample.batch.action[b, t + k][None], torch.zeros(1, 4))
                expected = objective.map(latent_.features)[0]
                actual = target[b, t + k]
                apart = (expected - actual).square().mean() if distance == "squared" else 1 - F.cosine_similarity(expected, actual, dim=0)
                share = len(pairs(sample, k)) / (ROWS * TIMES)
                losses[b, t] += objective.discount ** (k - 1) * apart.detach() / objective.horizon / share
    return losses


@pytest.mark.parametrize(
    ("kind", "distance", "target", "slow_rate"),
    [
        ("gaussian", "squared", "latent", None),
        ("categorical", "cosine", "latent", None),
        ("gaussian", "cosine", "embedding", None),
        ("gaussian", "squared", "embedding", 0.01),
    ],
)
def test_losses_equal_rolls_of_one_start_at_a_time(kind, distance, target, slow_rate):
    objective, sample = make(kind, distance=distance, target=target, slow_rate=slow_rate, discount=0.7), example(latent_spec(kind))
    target_of = {
        "latent": sample.posterior.features,
        "embedding": sample.embedding if slow_rate is None else sample.slow_embedding,
    }[target]
    losses, metrics = objective(sample, DYNAMICS, key_of(0))
    assert metrics["model/consistency_next_step"] > 0
    expected = naive(objective, sample, target_of, distance)
    assert torch.allclose(losses["latent_consistency"], expected, atol=1e-5)
    assert (expected[:, -1] == 0).all()
    assert expected[1, 1] == 0
    assert (expected > 0).sum() == ROWS * (TIMES - 1) - 1


def test_the_dynamics_has_gradients_and_the_target_has_none():
    objective, sample = make(horizon=1, target="embedding"), example()
    posterior, embedding = requiring_gradient(sample.posterior), sample.embedding.clone().requires_grad_()
    loss = objective(replace(sample, posterior=posterior, embedding=embedding), DYNAMICS, key_of(0))[0]["latent_consistency"].sum()
    parameters = [parameter for name, parameter in DYNAMICS.named_parameters() if "prior" in name or "cell" in name]
    gradients = torch.autograd.grad(loss, [embedding, posterior.stochastic, *parameters], allow_unused=True)
    assert gradients[0] is None
    assert (gradients[1][:, :-1].abs().sum(dim=-1) > 0).sum() == ROWS * (TIMES - 1) - 1
    assert len(parameters) >= 4
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients[2:])
    assert sum(bool(gradient.abs().sum() > 0) for gradient in gradients[2:]) >= 4


def test_the_latent_as_a_target_has_no_gradient():
    """The last step of a sequence is a target only."""
    sample = example()
    posterior = requiring_gradient(sample.posterior)
    loss = make()(replace(sample, posterior=posterior), DYNAMICS, key_of(0))[0]["latent_consistency"].sum()
    (gradient,) = torch.autograd.grad(loss, [posterior.stochastic])
    assert (gradient[:, -1] == 0).all()
    assert (gradient[0, :-1].abs().sum(dim=-1) > 0).all()

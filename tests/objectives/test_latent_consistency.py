"""Latent consistency: rolled forward by hand, one start and one step at a time."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from framework.errors import UserError
from framework.objectives.latent_consistency import LatentConsistency
from tests.tiny import DYNAMICS, ROWS, TIMES, batch, inferred, key_of, latent, latent_spec, normal, objective_sizes, requiring_gradient


def make(kind="gaussian", **settings) -> LatentConsistency:
    torch.manual_seed(0)
    return LatentConsistency(**objective_sizes(latent_spec(kind)), **settings)


def example(kind="gaussian"):
    spec = latent_spec(kind)
    torch.manual_seed(1)
    return inferred(latent(ROWS, TIMES, spec=spec), latent(ROWS, TIMES, spec=spec, seed=5), normal(ROWS, TIMES, 5, seed=3), batch())


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
                losses[b, t] += objective.discount ** (k - 1) * apart.detach() / objective.horizon
    return losses


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
@pytest.mark.parametrize("distance", ["squared", "cosine"])
@pytest.mark.parametrize(("target", "slow_rate"), [("latent", None), ("embedding", None), ("embedding", 0.01)])
def test_losses_equal_rolls_of_one_start_at_a_time(kind, distance, target, slow_rate):
    objective, sample = make(kind, distance=distance, target=target, slow_rate=slow_rate, discount=0.7), example(kind)
    target_of = {
        "latent": sample.posterior.features,
        "embedding": sample.embedding if slow_rate is None else sample.slow_embedding,
    }[target]
    losses, _ = objective(sample, DYNAMICS, key_of(0))
    expected = naive(objective, sample, target_of, distance)
    assert torch.allclose(losses["latent_consistency"], expected, atol=1e-5)
    assert objective.slow_rate == slow_rate
    assert (expected[:, -1] == 0).all()
    assert expected[1, 1] == 0
    assert (expected > 0).sum() == ROWS * (TIMES - 1) - 1


def test_a_perfect_prediction_has_no_loss():
    """The posterior is the prior at its mean, step by step."""
    objective, sample = make(horizon=2), example()
    steps = [DYNAMICS.initial(ROWS)]
    for t in range(1, TIMES):
        steps.append(DYNAMICS.imagine_step(steps[-1], sample.batch.action[:, t], torch.zeros(ROWS, 4)))
    posterior = type(steps[0]).stack(steps, dim=1)
    losses, metrics = objective(replace(sample, posterior=posterior), DYNAMICS, key_of(0))
    assert losses["latent_consistency"].abs().max() < 1e-9
    assert metrics["model/consistency_next_step"] < 1e-9


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, r"LatentConsistency.horizon = 0 must be at least 1"),
        ({"discount": 0.0}, r"LatentConsistency.discount = 0.0 above 0"),
        ({"slow_rate": 0.01}, r"only embeddings come from; bind LatentConsistency.target = 'embedding'"),
        ({"target": "embedding", "slow_rate": 2.0}, r"LatentConsistency.slow_rate = 2.0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
